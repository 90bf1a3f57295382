//go:build !linux

package stress

import "os"

// parentStderr cannot be had here.
func parentStderr() *os.File { return nil }
