package validate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATargetThatIsSetIsJudgedAndSaid(t *testing.T) {
	list := NewChecklist(WithTargets(Of(Pooling), map[string]float64{"pooling.throughput": 20_000}))
	quiet := Conditions{Scale: BaseScale, Share: 1}
	c := list.Measure("pooling.throughput", 30_000, quiet)
	assert.Equal(t, Passed, c.Verdict)
	assert.Contains(t, c.String(),
		"at least 20,000 ops/s, measured was 30,000 ops/s (target set, the specification has 50,000)")
	c = list.Measure("pooling.p99", 1, quiet)
	assert.Empty(t, c.Note, "it is as specified")
}

// TestWhatIsRightHasNoOtherTarget: only rates, times and memory can be set.
func TestWhatIsRightHasNoOtherTarget(t *testing.T) {
	ids := SettableIDs()
	require.NotEmpty(t, ids)
	for _, id := range []string{
		"pooling.in_flight", "pooling.leaks", "routing.delivery", "queueing.lost", "sessions.survival", "balancing.spread",
		"run.throughput",
	} {
		assert.NotContains(t, ids, id)
	}
	for _, id := range []string{"pooling.throughput", "queueing.p99", "memory.per_connection", "sessions.recovery"} {
		assert.Contains(t, ids, id)
	}
}
