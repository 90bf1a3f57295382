package stress_test

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// plantedVariable names the fault that a re-executed test binary plants in its
// subjects.
const plantedVariable = "TENSILE_PLANTED"

var planted = os.Getenv(plantedVariable)

// skipUnlessPlanted is for tests that are a kit over a planted subject: they are run
// by mustBeCaught and the like, in a process of their own each.
func skipUnlessPlanted(t *testing.T) {
	if planted == "" {
		t.Skip("no fault is planted")
	}
}

// fault is a planted bug, and the words by which its kit must name it.
type fault struct{ name, says string }

// turns is how many kits with planted bugs are at work at once. Those of patient wait
// for nearly all of their time, for what never comes. With more of them a slow machine
// leaves each so little that sound parts of a kit miss their bounds.
var (
	turns   = make(chan struct{}, 2)
	patient = make(chan struct{}, 3)
)

// processes is the patience for kits of which each round takes several processes,
// beside those of other kits.
const processes = "STRESS_PATIENCE=6s"

// everyPlant has all planted bugs tried, as "make planted" does.
const everyPlant = "TENSILE_EVERY_PLANT"

// unhurried skips a test of many subjects, each in a process of its own, or of subjects
// that wait for what never comes. Their kits have bounds in time, which a busy or slow
// machine reaches before the bug strikes, and go test ./... must not depend on that.
func unhurried(t *testing.T) {
	if os.Getenv(everyPlant) == "" {
		t.Skip("make planted")
	}
}

// whole has runKit take all of a kit, and not what is left of it with -short.
const whole = "TENSILE_WHOLE=1"

// mustBeCaught shows that a kit can fail: each fault, in a process of its own,
// must fail it with a message that names the fault, with -short already. kit is the
// name of its test, or that of a phase ("TestFaultyX$/^phase") where an earlier one
// fails first and has other words for the fault. env is added to the environment of each.
func mustBeCaught(t *testing.T, kit string, faults []fault, env ...string) {
	mustBeCaughtInTurns(t, turns, kit, faults, env...)
}

// mustBeCaughtWaiting is mustBeCaught for faults that have a kit wait for
// something that never comes.
func mustBeCaughtWaiting(t *testing.T, kit string, faults []fault, env ...string) {
	mustBeCaughtInTurns(t, patient, kit, faults, env...)
}

func mustBeCaughtInTurns(t *testing.T, turns chan struct{}, kit string, faults []fault, env ...string) {
	var all sync.WaitGroup
	for _, f := range faults {
		if testing.Short() { // and what there is can be listed
			t.Run(f.name, func(t *testing.T) { t.Skip("takes a process of its own") })
			continue
		}
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			t.Run(f.name, func(t *testing.T) { mustBeCaughtNow(t, kit, f, env...) })
		})
	}
	all.Wait()
}

func mustBeCaughtNow(t *testing.T, kit string, f fault, env ...string) {
	out := t.TempDir()
	// What hangs on purpose need not be waited for as long as what may only be slow.
	plant := []string{plantedVariable + "=" + f.name, "STRESS_SCALE=2000", "STRESS_PATIENCE=3s", "STRESS_OUT=" + out}
	// What comes after the phase that names the fault adds nothing.
	// What explores has tests of its own, and would find most of them first.
	skip := "-test.skip=/^(explore|programs)$"
	if strings.Contains(kit, "/^programs") {
		skip = "-test.skip=^$"
	}
	said, err := runKitWith([]string{"-test.failfast", skip}, kit, append(plant, env...)...)
	assert.Error(t, err, "the kit passed")
	assert.Contains(t, said, f.says)
	r, err := report.Load(out)
	if assert.NoError(t, err) {
		assert.Equal(t, report.Failed, r.State, "the report must say so too")
	}
}

// mustPass shows that a kit has nothing against a plant that is no fault, beside
// that it may be slow: these are plain, and not made for it.
func mustPass(t *testing.T, kit, plant string) {
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	out := t.TempDir()
	said, _ := runKit(kit, plantedVariable+"="+plant, "STRESS_SCALE=2000", "STRESS_OUT="+out) // the report says it
	r, err := report.Load(out)
	require.NoError(t, err, said)
	assert.Equal(t, 1, r.Totals.Scenarios)
	nothingButSlow(t, r)
}

// nothingButSlow shows that nothing was found, beside figures in time that are
// too slow.
func nothingButSlow(t *testing.T, r *report.Run) {
	for _, s := range r.Scenarios {
		slow := 0
		for _, c := range validate.FailedOf(s.Checks) {
			assert.True(t, c.InTime(), c.String())
			slow++
		}
		assert.Len(t, s.Failures, slow, "%q", s.Failures)
	}
}

// runKit runs a test of this binary in a process of its own, with -short, and
// returns what it printed.
func runKit(kit string, env ...string) (said string, err error) { return runKitWith(nil, kit, env...) }

// notInCI keeps failures that are wanted off the page of the job that runs these
// tests, and has them judged by the targets of the specification.
var notInCI = []string{"GITHUB_ACTIONS=", "GITHUB_STEP_SUMMARY=", targetsVariable + "="}

const targetsVariable = "STRESS_TARGETS"

// unexplored leaves out the phases that search for a time, for tests of what the others do.
var unexplored = []string{"-test.skip=/^(explore|programs|power_cut|tcp|lives)$"}

// runKitWith is runKit with more flags of a test binary.
func runKitWith(flags []string, kit string, env ...string) (said string, err error) {
	flags = append([]string{"-test.run=^" + kit + "$", "-test.v",
		"-test.short=" + strconv.FormatBool(!slices.Contains(env, whole))}, flags...)
	child := exec.Command(os.Args[0], flags...)
	child.Env = append(append(os.Environ(), notInCI...), env...)
	out, err := child.CombinedOutput()
	return string(out), err
}
