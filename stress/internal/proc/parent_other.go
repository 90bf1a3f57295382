//go:build !linux

package proc

import "syscall"

// DieWithParent has nothing to add here: a child notices that its input ends.
func DieWithParent() *syscall.SysProcAttr { return nil }
