//go:build !linux

package proc

import "syscall"

// dieWithParent has nothing to add here: a child notices that its input ends.
func dieWithParent() *syscall.SysProcAttr { return nil }
