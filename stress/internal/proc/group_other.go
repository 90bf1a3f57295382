//go:build !unix

package proc

import "os/exec"

// OwnGroup has nothing to set here: a child ignores the interrupt key by itself.
func OwnGroup(*exec.Cmd) {}
