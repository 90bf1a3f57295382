//go:build unix

package proc

import "syscall"

// Stop and Continue halt a process and have it go on.
const (
	Stop     = syscall.SIGSTOP
	Continue = syscall.SIGCONT
)
