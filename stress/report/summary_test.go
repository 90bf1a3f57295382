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
	require.NoError(t, WriteSummary(&text, r))
	for _, want := range []string{
		"## ✕ Stress: Failed", "N = 100,000, seed 42", "| 3 | Registry routing | ✕ failed |", "4 scenarios were not run.",
		"### 3 Registry routing: what failed", "\n````\n", "and 15 more", "STRESS_SEED=42", "| pooling.burst.throughput | 140,000 ops/s |",
		"| 1 | the five base scenarios pass: formation, pooling, routing, queueing, memory | ✕ failed | failed: routing, routing.lost |",
	} {
		assert.Contains(t, text.String(), want)
	}
	assert.Less(t, text.Len(), 10_000, "it stays short")
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
	r := &Run{Environment: measure.Environment{Scale: validate.BaseScale}, Scenarios: []*Scenario{{ID: validate.Balancing, State: Passed, Checks: list.Checks()}, {ID: validate.Pooling, State: NotRun}}}
	Derive(r)
	var table strings.Builder
	WriteTable(&table, r)
	assert.NotContains(t, table.String(), "not judged")
	assert.Contains(t, table.String(), "\npassed, 1 of 6 criteria measured\n")

	list.Compare("balancing.throughput", slow)
	r.Scenarios[0].Checks = list.Checks()
	Derive(r)
	table.Reset()
	WriteTable(&table, r)
	assert.Contains(t, table.String(), "not judged: balancing.throughput: this machine: the control does 41,000 ops/s where 50,000 are asked; the subject does 0.94 of the control\n"+
		"passed, 0 of 6 criteria measured\n")
}
