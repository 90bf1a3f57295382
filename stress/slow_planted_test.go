package stress_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// slowPlant is how the names of faults begin that are none but to be slow. Command alarms
// knows them all.
const slowPlant = "slow: "

// slowFactor is how many times as much a planted subject does for each operation.
func slowFactor() int {
	n := 1
	if _, err := fmt.Sscanf(planted, slowPlant+"%d times", &n); err != nil {
		return 1
	}
	return n
}

// Planted subjects of which some operations stall have one in stallEvery do so.
const (
	stallEvery = 100
	stallTime  = 150 * time.Millisecond
)

// mustBeFoundSlow runs a kit on a plant that is slow and nothing else. On a machine on
// which even that meets the target, or not even the control does, the kit is run again with
// one between the two.
func mustBeFoundSlow(t *testing.T, kit, plant, criterion string) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	s, said, err := runSlow(t, kit, plant)
	if c := checkOf(t, s, criterion); c.Verdict != validate.Failed && c.Beside != nil &&
		checkOf(t, s, validate.Slowness).Verdict != validate.Failed {
		between := math.Sqrt(c.Beside.Subject * c.Beside.Control)
		s, said, err = runSlow(t, kit, plant, fmt.Sprintf("%s=%s=%g", targetsVariable, c.ID, between))
	}
	mustBeSlow(t, s, criterion, said, err)
}

// runSlow runs a kit on a slow plant, of which nothing else is to be said.
func runSlow(t *testing.T, kit, plant string, env ...string) (s *report.Scenario, said string, err error) {
	t.Helper()
	out := t.TempDir()
	env = append([]string{plantedVariable + "=" + plant, "STRESS_SCALE=500", "STRESS_OUT=" + out}, env...)
	said, err = runKitWith(unexplored, kit, env...)
	r, loaded := report.Load(out)
	require.NoError(t, loaded, said)
	nothingButSlow(t, r)
	at := slices.IndexFunc(r.Scenarios, func(s *report.Scenario) bool { return s.State != report.NotRun })
	require.GreaterOrEqual(t, at, 0, said)
	return r.Scenarios[at], said, err
}

// checkOf is the check of a criterion of a scenario.
func checkOf(t *testing.T, s *report.Scenario, criterion string) validate.Check {
	t.Helper()
	at := slices.IndexFunc(s.Checks, func(c validate.Check) bool { return c.ID == s.ID+"."+criterion })
	require.GreaterOrEqual(t, at, 0, criterion)
	return s.Checks[at]
}

// mustBeSlow shows that a figure in time was missed, or was found far behind the
// control's. Where the control is as slow, or all is in doubt, there is nothing to be
// caught.
func mustBeSlow(t *testing.T, s *report.Scenario, criterion, said string, err error) {
	t.Helper()
	check, slowness := checkOf(t, s, criterion), checkOf(t, s, validate.Slowness)
	if slowness.Verdict == validate.Failed {
		check = slowness
	}
	if check.Verdict == validate.NotMeasured && check.Beside != nil {
		t.Skip(check.Note)
	}
	t.Log(check)
	assert.Equal(t, validate.Failed, check.Verdict, said)
	assert.Error(t, err)
	assert.Contains(t, said, check.String())
}

// isSlowPlant tells whether the fault that is planted is none but to be slow.
func isSlowPlant() bool { return strings.HasPrefix(planted, slowPlant) }
