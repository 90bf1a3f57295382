//go:build unix

package proc

import (
	"os/exec"
	"syscall"
)

// OwnGroup has a command start in a process group of its own, so that the interrupt key
// of a terminal is told to its parent alone, also before the command could ignore it.
func OwnGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
}
