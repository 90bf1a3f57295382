//go:build !linux

package run

import "os"

// parentStderr cannot be had here.
func parentStderr() *os.File { return nil }

func columnsOf(*os.File) int { return 80 }
