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
	for _, id := range []string{"pooling.throughput", "queueing.p99", "memory.per_connection", "sessions.recovery",
		"run.memory", "memory.peak", "memory.tcp_peak", "pooling.memory"} {
		assert.Contains(t, ids, id)
	}
}

// TestAMemoryTargetOfTheRun is that of every scenario without one of its own, and as
// many times as large at every N.
func TestAMemoryTargetOfTheRun(t *testing.T) {
	set := map[string]float64{"run.memory": 1000, "routing.memory": 800}
	for id, target := range map[string]float64{"pooling.memory": 1000, "routing.memory": 800, "memory.peak": 1000} {
		c := WithTargets([]Criterion{Known(id)}, set)[0]
		assert.Equal(t, target, c.Bound(Conditions{Scale: BaseScale, Share: 1}), id)
		assert.InDelta(t, target/500*206, c.Bound(Conditions{Scale: 2000, Share: 1}), 1e-9, id)
	}
	assert.Equal(t, 200.0, Known("pooling.memory").Floor, "the list itself stays")
}

// TestAVerdictIsExplainedAndAdopted with all that it has.
func TestAVerdictIsExplainedAndAdopted(t *testing.T) {
	list := NewChecklist(WithTargets(Of(Pooling), map[string]float64{"pooling.memory": 800}))
	list.Measure("pooling.memory", 900, Conditions{Scale: BaseScale, Share: 1})
	c := list.Explain("pooling.memory", "890 MB of live heap")
	assert.Contains(t, c.String(),
		"at most 800 MB, measured was 900 MB (890 MB of live heap; target set, the specification has 500)")
	run := NewChecklist(Of(WholeRun)).Adopt("run.memory", c)
	assert.Equal(t, Failed, run.Verdict)
	assert.Contains(t, run.String(),
		"run.memory: highest peak memory of a subject must be at most 800 MB, measured was 900 MB (890 MB of live heap")
}
