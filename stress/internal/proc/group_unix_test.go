//go:build unix

package proc_test

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/proc"
)

// TestAChildHasAGroupOfItsOwn: the interrupt key is told to the group in the foreground. A
// child that were in it could be ended before its first line of Go runs, and would look
// like a fault of the subject.
func TestAChildHasAGroupOfItsOwn(t *testing.T) {
	child, err := proc.Start("sleeper", nil)
	require.NoError(t, err)
	group, err := syscall.Getpgid(child.Pid())
	require.NoError(t, err)
	assert.Equal(t, child.Pid(), group)
	require.NoError(t, child.Close())
}

// TestOwnGroupKeepsAttributes: what else was asked of a command stays.
func TestOwnGroupKeepsAttributes(t *testing.T) {
	cmd := exec.Command("sleep", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: "/"}
	proc.OwnGroup(cmd)
	assert.Equal(t, &syscall.SysProcAttr{Chroot: "/", Setpgid: true}, cmd.SysProcAttr)
}
