package programs

import (
	"strings"
	"testing"

	"tensile/stress/explore"
)

// Explored is for the tests of a vocabulary: it explores a subject as the phase of a
// kit does, by a number of schedules, and skips the test where none can be controlled.
func (v *Vocabulary[W]) Explored(t *testing.T, schedules int) explore.Outcome {
	t.Helper()
	out := explore.Try(t, v.Body(t), explore.Schedules(schedules), explore.Points(mostPoints))
	if !out.Controlled {
		t.Skip(out.Reason)
	}
	return out
}

// mostShown is how many lines a failing program may take, with its criterion and what repeats it.
const mostShown = 15

// MustFind is for tests that plant a fault: it returns the failure that an exploration found. There
// must be one, and it must be short.
func MustFind(t *testing.T, out explore.Outcome) *explore.Failure {
	t.Helper()
	f := out.Failure
	if f == nil {
		t.Fatal("not found")
	}
	if n := strings.Count(f.Program, "\n") + 3; n > mostShown {
		t.Errorf("the failure is shown in %d lines, must be at most %d:\n%s", n, mostShown, f.Program)
	}
	return f
}
