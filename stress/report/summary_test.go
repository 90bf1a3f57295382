package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

func TestSummary(t *testing.T) {
	r := sampleRun()
	r.Scenarios[2].Failures = append(r.Scenarios[2].Failures, "with ``` in it", strings.Repeat("x", 5000))
	for range 20 {
		r.Scenarios[2].Failures = append(r.Scenarios[2].Failures, "again")
	}
	var text strings.Builder
	require.NoError(t, writeSummary(&text, r))
	for _, want := range []string{
		"## ✕ Stress: Failed", "N = 100,000, seed 42", "| 3 | Registry routing | ✕ failed |",
		"Not run: Cluster formation, Queue handling, ",
		"### 3 Registry routing: what failed", "\n````\n", "and 15 more", "STRESS_SEED=42",
		"| pooling.burst.throughput | 140,000 ops/s |",
	} {
		assert.Contains(t, text.String(), want)
	}
	assert.Less(t, text.Len(), 10_000, "it stays short")
	assert.NotContains(t, text.String(), "criteria", "not all scenarios were run")

	for _, s := range r.Scenarios {
		if s.State == NotRun {
			s.State = Passed
		}
	}
	text.Reset()
	require.NoError(t, writeSummary(&text, r))
	assert.Contains(t, text.String(),
		"| 1 | the five base scenarios pass: formation, pooling, routing, queueing, memory | ✕ failed | failed: routing, "+
			"routing.lost |")
}

// TestAppendSummary: what others have written stays, and of a run there is one
// summary, the latest.
func TestAppendSummary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "summary.md")
	require.NoError(t, os.WriteFile(path, []byte("before"), 0o644))
	one, two := sampleRun(), sampleRun()
	two.Started = one.Started.Add(time.Second)
	read := func() string {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(text)
	}
	one.State = Running
	require.NoError(t, AppendSummary(path, one))
	assert.True(t, strings.HasPrefix(read(), "before\n<!--"))
	assert.Contains(t, read(), "Stress: Not finished")

	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString("between\n")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.NoError(t, AppendSummary(path, two))
	one.State, one.Notes, one.Scenarios[2].Failures = Failed, nil, nil // shorter than it was
	require.NoError(t, AppendSummary(path, one))

	text := read()
	assert.True(t, strings.HasPrefix(text, "before\n<!--"))
	assert.NotContains(t, text, "Not finished")
	assert.Equal(t, 2, strings.Count(text, "## ✕ Stress: Failed"))
	assert.Equal(t, 1, strings.Count(text, "between\n"))
	assert.True(t, strings.HasSuffix(text, "<!-- end of the stress run -->\n"))

	assert.Error(t, AppendSummary(filepath.Join(path, "no folder"), one))
}

func TestTheTableSaysWhatWasNotJudged(t *testing.T) {
	slow := measure.ComparePairs([]measure.Pair{{Subject: 38_540, Control: 41_000}})
	list := validate.NewChecklist(validate.Of(validate.Balancing))
	for _, c := range validate.Of(validate.Balancing) {
		list.Measure(c.ID, c.Target, validate.Conditions{Scale: validate.BaseScale, Share: 1})
	}
	r := &Run{Environment: measure.Environment{Scale: validate.BaseScale}, Scenarios: []*Scenario{
		{ID: validate.Balancing, State: Passed, Checks: list.Checks()}, {ID: validate.Pooling, State: NotRun},
	}}
	Derive(r)
	var table strings.Builder
	WriteTable(&table, r)
	assert.NotContains(t, table.String(), "not judged")
	assert.True(t, strings.HasSuffix(table.String(), "\npassed\n"), table.String())
	assert.NotContains(t, table.String(), "criteria", "only one scenario was run")
	assert.NotContains(t, table.String(), "ooling", "nor is the other told of")

	list.Compare("balancing.throughput", slow)
	r.Scenarios[0].Checks = list.Checks()
	Derive(r)
	table.Reset()
	WriteTable(&table, r)
	assert.Contains(t, table.String(), "not judged: balancing.throughput: this machine: the control does 41,000 ops/s "+
		"where 50,000 are asked; the subject does 0.94 of the control\n"+
		"passed, timing not judged\n")
}

// TestOutcome: what was not tried, or not judged, does not read "passed".
func TestOutcome(t *testing.T) {
	timed, count := validate.Of(validate.Pooling)[1], validate.Of(validate.Pooling)[0]
	of := func(c validate.Criterion, v validate.Verdict) validate.Check {
		return validate.Check{Criterion: c, Verdict: v}
	}
	for _, c := range []struct {
		state  State
		checks []validate.Check
		want   string
	}{
		{Passed, []validate.Check{of(timed, validate.Passed), of(count, validate.NotOffered)}, "passed"},
		{Passed, []validate.Check{of(timed, validate.NotMeasured), of(count, validate.Passed)}, "passed, timing not judged"},
		{
			Passed, []validate.Check{of(timed, validate.NotMeasured), of(count, validate.NotMeasured)},
			"passed, 2 checks not measured",
		},
		{Partial, []validate.Check{of(timed, validate.NotMeasured)}, "passed (1 of 12 phases)"},
		{Failed, []validate.Check{of(timed, validate.NotMeasured)}, "failed"},
		{NothingRan, nil, "nothing ran"},
	} {
		r := &Run{Scenarios: []*Scenario{
			{ID: validate.Pooling, State: c.state, Checks: c.checks, PhasesRun: 1, PhasesAll: 12},
			{ID: validate.Routing, State: NotRun},
		}}
		Derive(r)
		assert.Equal(t, c.want, r.Outcome)
		assert.Equal(t, c.want, r.Scenarios[0].Outcome)
		assert.Equal(t, c.state, r.State)
	}
	for _, c := range []struct{ a, b, want State }{
		{Passed, NothingRan, Partial}, {NothingRan, NotRun, NothingRan}, {Partial, Passed, Partial},
		{Partial, Failed, Failed},
		{Failed, Running, Running}, {Interrupted, Failed, Interrupted},
	} {
		assert.Equal(t, c.want, worse(c.a, c.b), "%s and %s", c.a, c.b)
		assert.Equal(t, c.want, worse(c.b, c.a), "%s and %s", c.b, c.a)
	}
}
