//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// asOne has a command end with all that it started.
func asOne(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
