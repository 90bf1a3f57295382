package programs

import (
	"maps"
	"regexp"
	"slices"
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

// MustFind is for tests that plant faults: an exploration of the subject with each must find a
// failure whose sentence matches the regular expression of the fault, and print it in few lines.
// With -short each is only listed.
func MustFind(t *testing.T, faults map[string]string, explored func(t *testing.T, fault string) explore.Outcome) {
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Run(fault, func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes a process of its own")
			}
			out := explored(t, fault)
			found := out.Failure
			if found == nil {
				t.Fatalf("not found: %v", out)
			}
			t.Logf("%d: %s", found.After, found.Sentence)
			if !regexp.MustCompile(faults[fault]).MatchString(found.Sentence) {
				t.Errorf("the failure is %q, must match %q:\n%s", found.Sentence, faults[fault], found.Program)
			}
			if n := strings.Count(found.Program, "\n") + 3; n > mostShown {
				t.Errorf("the failure is shown in %d lines, must be at most %d:\n%s", n, mostShown, found.Program)
			}
		})
	}
}
