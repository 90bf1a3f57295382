//go:build unix

package chaos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// child is this program, waiting on its input.
func child(t *testing.T) *os.Process {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildWaits$")
	cmd.Env = append(os.Environ(), "CHAOS_CHILD=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // where the test has not done it
		_ = in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process
}

func TestChildWaits(t *testing.T) {
	if os.Getenv("CHAOS_CHILD") == "" {
		t.Skip("only a child of other tests")
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func TestKill(t *testing.T) {
	process := child(t)
	restarted := ""
	kill := Processes(func(string) (*os.Process, error) { return process, nil },
		func(target string) error { restarted = target; return nil })[Kill]
	undo, err := kill(t.Context(), "node-1")
	require.NoError(t, err)
	state, err := process.Wait()
	require.NoError(t, err)
	assert.Equal(t, syscall.SIGKILL, state.Sys().(syscall.WaitStatus).Signal())
	assert.Empty(t, restarted)
	require.NoError(t, undo())
	assert.Equal(t, "node-1", restarted)

	_, err = kill(t.Context(), "node-1")
	assert.ErrorIs(t, err, os.ErrProcessDone)
}

// changed waits for a change of a child's state.
func changed(t *testing.T, pid int, options int) syscall.WaitStatus {
	t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &status, options, nil)
		if !errors.Is(err, syscall.EINTR) {
			require.NoError(t, err)
			return status
		}
	}
}

func TestPause(t *testing.T) {
	process := child(t)
	pause := Processes(func(string) (*os.Process, error) { return process, nil }, nil)[Pause]
	undo, err := pause(t.Context(), "x")
	require.NoError(t, err)
	assert.True(t, changed(t, process.Pid, syscall.WUNTRACED).Stopped())
	require.NoError(t, undo())
	assert.True(t, changed(t, process.Pid, syscall.WCONTINUED).Continued())

	undo, err = pause(t.Context(), "x")
	require.NoError(t, err)
	require.NoError(t, process.Kill())
	_, err = process.Wait()
	require.NoError(t, err)
	assert.NoError(t, undo(), "it has died meanwhile")
}

func TestUnknownProcess(t *testing.T) {
	errUnknown := errors.New("unknown")
	all := Processes(func(string) (*os.Process, error) { return nil, errUnknown }, nil)
	for fault, inject := range all {
		_, err := inject(context.Background(), "x")
		assert.ErrorIs(t, err, errUnknown, fault)
	}
	assert.Len(t, all, 2)
}

// TestExperimentOnAProcess pauses a process that answers, and sees it lost and
// found again.
func TestExperimentOnAProcess(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	if err := cmd.Start(); err != nil {
		t.Skip("no cat: ", err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait()
	}()
	answers := make(chan byte)
	go func() {
		defer close(answers)
		var b [1]byte
		for {
			if _, err := out.Read(b[:]); err != nil {
				return
			}
			answers <- b[0]
		}
	}()
	sent, got := byte(0), byte(0)
	check := func(ctx context.Context) error {
		if sent == got { // nothing is on its way
			sent++
			if _, err := in.Write([]byte{sent}); err != nil {
				return err
			}
		}
		late := time.NewTimer(time.Second)
		defer late.Stop()
		select {
		case got = <-answers:
			return nil
		case <-late.C:
			return errors.New("no answer")
		}
	}
	const pause = 3 * time.Second // for longer than an answer may take
	report, err := Experiment{
		Plan:       Plan{Bound: 1, Steps: []Step{{Pause, "cat", 0, pause}}},
		Injectors:  Processes(func(string) (*os.Process, error) { return cmd.Process, nil }, nil),
		Hypothesis: Hypothesis{Name: "it answers", Check: check},
	}.Run(t.Context())
	require.NoError(t, err)
	recovery, ok := report.Recovery()
	assert.True(t, ok)
	assert.GreaterOrEqual(t, recovery, pause, report)
}
