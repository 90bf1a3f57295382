//go:build unix

package stress_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
)

// TestEndOfTheProcessLeavesAReport: in whatever way a run ends in the middle of
// a load, its report is complete and says so, and no process is left behind.
// atLast is how long something is waited for that is only a matter of time.
const atLast = 10 * time.Minute

func TestEndOfTheProcessLeavesAReport(t *testing.T) {
	if testing.Short() {
		t.Skip("kits are run and ended")
	}
	for _, c := range []struct {
		name  string
		end   os.Signal // nil for none
		flags []string
		code  int // exit code; -1 for a signal
		state report.State
		says  string
	}{
		{"interrupt", os.Interrupt, nil, 130, report.Interrupted, "interrupted by interrupt"},
		{"terminate", syscall.SIGTERM, nil, 143, report.Interrupted, "interrupted by terminated"},
		{"kill", os.Kill, nil, -1, report.Interrupted, "the process ended without a word"},
		{"time limit", nil, []string{"-test.timeout=5s"}, 2, report.Failed, "test timed out after 5s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			var said bytes.Buffer
			cmd := exec.Command(os.Args[0], append(c.flags, "-test.run=^TestStressPool$", "-test.skip=/^explore$")...)
			cmd.Env = append(os.Environ(), "STRESS_SCALE=1000", "STRESS_RATE=20", "STRESS_OUT="+out)
			cmd.Stdout, cmd.Stderr = &said, &said
			require.NoError(t, cmd.Start())
			reached := func() bool {
				log, _ := os.ReadFile(filepath.Join(out, report.LogName))
				return strings.Contains(string(log), "pooling: steady")
			}
			var children []int
			if c.end != nil {
				assert.Eventually(t, reached, atLast, 5*time.Millisecond, "the steady load has not begun")
				children = childrenOf(cmd.Process.Pid)
				require.NoError(t, cmd.Process.Signal(c.end))
			}
			_ = cmd.Wait() // the code says more
			assert.Equal(t, c.code, cmd.ProcessState.ExitCode(), said.String())

			var r *report.Run
			ended := func() bool {
				var err error
				r, err = report.Load(out) // the monitor may be at it
				return err == nil && r.State == c.state
			}
			require.Eventually(t, ended, atLast, 5*time.Millisecond, "the report does not say %s", c.state)
			s := r.Scenarios[1]
			assert.Equal(t, c.state, s.State)
			assert.Contains(t, strings.Join(s.Failures, "\n"), c.says)
			if c.code > 128 { // the process itself had a last word
				assert.NotNil(t, s.Burst, "what was measured until then is there")
			}
			assert.Nil(t, s.Steady, "it was not over")
			for _, a := range r.Acceptance {
				assert.NotEqual(t, "passed", string(a.Verdict), a.Name)
			}
			for _, name := range []string{"results.csv", "report.md", "report.html", "checklist.md", "bench.txt"} {
				assert.FileExists(t, filepath.Join(out, name))
			}
			for _, pid := range children {
				gone := func() bool { return syscall.Kill(pid, 0) != nil }
				assert.Eventually(t, gone, atLast, 5*time.Millisecond, "process %d is left behind", pid)
			}
		})
	}
}

// TestInterruptKey: whatever a kit is at, Ctrl-C in a terminal, which every process of
// the group is told of, ends it at once, and what goes with it is no failure.
func TestInterruptKey(t *testing.T) {
	if testing.Short() {
		t.Skip("every kit is run and ended")
	}
	for _, c := range []struct{ kit, id, phase string }{
		{"TestStressCluster", "formation", "kills"},
		{"TestStressPool", "pooling", "steady"},
		{"TestStressRouter", "routing", "kept"},
		{"TestStressQueue", "queueing", "kills"},
		{"TestStressConnections", "memory", "hold"},
		{"TestStressBalancer", "balancing", "connections"},
		{"TestStressSessions", "sessions", "faults"},
		{"TestStressTransport", "messaging", "throughput"},
		{"TestStressChaos", "chaos", "workers: a tenth dies"},
	} {
		t.Run(c.kit, func(t *testing.T) {
			out := t.TempDir()
			var said bytes.Buffer
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+c.kit+"$/^"+c.phase+"$")
			cmd.Env = append(append(os.Environ(), notInCI...), "STRESS_SCALE=20000", "STRESS_HOLD=30s", "STRESS_OUT="+out)
			cmd.Stdout, cmd.Stderr = &said, &said
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			require.NoError(t, cmd.Start())
			at := c.id + ": " + c.phase
			reached := func() bool {
				log, _ := os.ReadFile(filepath.Join(out, report.LogName))
				return strings.Contains(string(log), at+"\n")
			}
			assert.Eventually(t, reached, atLast, 5*time.Millisecond, "%s has not begun", at)
			children := childrenOf(cmd.Process.Pid)
			pressed := time.Now()
			require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
			_ = cmd.Wait() // the code says more
			t.Logf("it took %v", time.Since(pressed).Round(time.Millisecond))
			assert.Equal(t, 130, cmd.ProcessState.ExitCode(), said.String())
			assert.NotContains(t, said.String(), "FAIL")
			r, err := report.Load(out)
			require.NoError(t, err)
			assert.Equal(t, report.Interrupted, r.State)
			assert.Equal(t, []string{"interrupted by interrupt during " + at}, ranAlone(t, r).Failures)
			log, err := os.ReadFile(filepath.Join(out, report.LogName))
			require.NoError(t, err)
			assert.NotContains(t, string(log), "FAILED")
			for _, pid := range children {
				gone := func() bool { return syscall.Kill(pid, 0) != nil }
				assert.Eventually(t, gone, atLast, 5*time.Millisecond, "process %d is left behind", pid)
			}
		})
	}
}

// childrenOf are the processes that a process has started; none if the
// system does not tell.
func childrenOf(pid int) (children []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}
