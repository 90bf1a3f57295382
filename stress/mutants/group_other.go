//go:build !unix

package main

import "os/exec"

// asOne has nothing to set here: what the go command started may outlive it.
func asOne(*exec.Cmd) {}
