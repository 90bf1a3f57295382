package programs

import (
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
