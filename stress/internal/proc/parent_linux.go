package proc

import "syscall"

// DieWithParent has the kernel kill a child whose parent is gone.
func DieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
