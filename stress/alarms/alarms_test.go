//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/validate"
)

func TestUpperBound(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want float64
	}{
		{0, 300, 0.00994}, // the rule of three says 0.01
		{0, 1, 0.95}, {1, 1, 1}, {1, 10, 0.394}, {5, 100, 0.1023},
	} {
		assert.InDelta(t, c.want, upperBound(c.k, c.n), 0.0005, "%d of %d", c.k, c.n)
	}
}

// TestProcessesOfASession: a stall stops a test and what it has started.
func TestProcessesOfASession(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this program runs on Linux")
	}
	family := exec.Command("sh", "-c", "sleep 60 & echo $!; wait")
	family.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	says, err := family.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, family.Start())
	var child int
	_, err = fmt.Fscan(says, &child)
	require.NoError(t, err)
	assert.ElementsMatch(t, []int{family.Process.Pid, child}, processesOf(family.Process.Pid))
	assert.NotContains(t, processesOf(family.Process.Pid), os.Getpid())
	require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
	_ = family.Wait() // it was killed
}

func TestTable(t *testing.T) {
	conditions, subjects := conditions[:1], []subject{{name: "sound"}, {name: "slow", planted: "slow: 3 times"}}
	counts := map[string]*count{"sound\x00quiet": {}, "slow\x00quiet": {}}
	for range 300 {
		counts["sound\x00quiet"].add(green)
		counts["slow\x00quiet"].add(slow)
	}
	counts["slow\x00quiet"].add(wrong)
	var text strings.Builder
	table(&text, conditions, subjects, counts)
	assert.Contains(t, text.String(), "| sound | red 0 of 300, below 0.99 % | red 0 of 300")
	assert.Contains(t, text.String(), "| slow | caught 301 of 301, 1 misreported |")
}

func TestJudge(t *testing.T) {
	list := validate.NewChecklist(validate.Of(validate.Pooling))
	s := &report.Scenario{ID: validate.Pooling}
	say := func() outcome {
		s.Checks, s.Failures = list.Checks(), nil
		for _, c := range validate.FailedOf(s.Checks) {
			s.Failures = append(s.Failures, c.String())
		}
		return judge(&report.Run{Scenarios: []*report.Scenario{s}})
	}
	here := validate.Conditions{Scale: validate.BaseScale, Share: 1}
	assert.Equal(t, green, say())
	list.Measure("pooling.throughput", 10, here)
	assert.Equal(t, slow, say())
	s.Failures = append(s.Failures, "pooling: Close hangs")
	assert.Equal(t, wrong, judge(&report.Run{Scenarios: []*report.Scenario{s}}), "a failure that is no check")
	list.Measure("pooling.leaks", 1, here)
	assert.Equal(t, wrong, say())
}

func TestChoose(t *testing.T) {
	all, err := choose("")
	require.NoError(t, err)
	assert.Len(t, all, 5)
	some, err := choose("stalls,quiet")
	require.NoError(t, err)
	assert.Equal(t, "stalls", some[0].name)
	_, err = choose("noisy")
	assert.ErrorContains(t, err, `"noisy" must be one of quiet, `)
}
