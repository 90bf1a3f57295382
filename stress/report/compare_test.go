package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// TestMannWhitney against values that are known: of samples that do not overlap
// it is twice one of all ways to choose them, and the others are from tables of
// the exact distribution.
func TestMannWhitney(t *testing.T) {
	for _, c := range []struct {
		before, after []float64
		want          float64
	}{
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 2.0 / 20},
		{[]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0 / 70},
		{[]float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2.0 / 252},
		{[]float64{1, 2, 3, 5}, []float64{4, 6, 7, 8}, 4.0 / 70},
		{[]float64{1, 4, 6, 7}, []float64{2, 3, 5, 8}, 1},
	} {
		p, ok := mannWhitney(c.before, c.after)
		require.True(t, ok)
		assert.InDelta(t, c.want, p, 1e-9, "%v and %v", c.before, c.after)
		q, _ := mannWhitney(c.after, c.before)
		assert.InDelta(t, p, q, 1e-9, "whichever comes first")
	}
	_, ok := mannWhitney([]float64{1, 1}, []float64{1, 1})
	assert.False(t, ok, "all are the same")
}

func of(better direction, values ...float64) *sample {
	return &sample{scenario: "pooling", name: "figure", unit: "ops/s", better: better, judged: true, values: values}
}

func TestDifference(t *testing.T) {
	disturbed, notJudged := of(higher, 50), of(higher, 50)
	disturbed.disturbed, notJudged.judged = 1, false
	for name, c := range map[string]struct {
		before, after *sample
		verdict       Change
		regressed     bool
		says          string
	}{
		"the same":                      {of(higher, 100), of(higher, 100), Same, false, ""},
		"better, few":                   {of(higher, 100), of(higher, 200), Unknown, false, "+100.0 %"},
		"worse, few, within the bound":  {of(higher, 100), of(higher, 91), Unknown, false, "-9.0 %"},
		"worse, few, beyond":            {of(higher, 100), of(higher, 80), Unknown, true, "by the bound alone"},
		"lower is better, beyond":       {of(lower, 100), of(lower, 120), Unknown, true, "+20.0 %"},
		"lower is better, and is lower": {of(lower, 100), of(lower, 10), Unknown, false, ""},
		"from nothing":                  {of(lower, 0), of(lower, 5), Unknown, true, ""},
		"shown and beyond": {of(higher, 100, 101, 102, 103), of(higher, 80, 81, 82, 83), Worse, true,
			"p = 0.029, n = 4 and 4"},
		"shown and within":          {of(higher, 100, 101, 102, 103), of(higher, 95, 96, 97, 98), Worse, false, ""},
		"shown and better":          {of(higher, 80, 81, 82, 83), of(higher, 100, 101, 102, 103), Better, false, ""},
		"beyond, and may be chance": {of(higher, 100, 60, 140, 101), of(higher, 80, 105, 61, 82), Same, false, ""},
		"three of a kind are few":   {of(higher, 100, 100, 100), of(higher, 80, 80, 80, 80, 80), Unknown, true, ""},
		"beside other work": {of(higher, 100), disturbed, Unknown, false,
			"not judged: other work held the processors in 1 of 2 runs"},
		"of the far tail": {of(higher, 100), notJudged, Unknown, false, "not judged: it comes from too little"},
	} {
		d := difference(c.before, c.after, pointer(10.0))
		assert.Equal(t, c.verdict, d.Verdict, name)
		assert.Equal(t, c.regressed, d.Regressed, name)
		assert.Contains(t, d.String(), c.says, name)
		assert.False(t, difference(c.before, c.after, nil).Regressed, "%s, without a bound", name)
	}
}

func TestCompare(t *testing.T) {
	before, after := sampleRun(), sampleRun()
	pooling := after.Scenarios[1]
	pooling.Burst.Throughput /= 2
	pooling.Steady.Latency.P99 *= 3
	pooling.Steady.Latency.Max *= 30
	pooling.Memory.Peak.RSS = nil
	after.Environment.GoVersion = "go9"
	c := Compare(sampleBaseline(before), after, pointer(10.0))
	var names []string
	for _, d := range c.Regressions(validate.Pooling, pooling.Test) {
		names = append(names, d.Figure)
	}
	assert.Equal(t, []string{"burst.throughput", "steady.p99"}, names, "the largest of all operations is not judged")
	assert.Empty(t, c.Regressions(validate.Routing, ""), "it had failed before, and so is not in the baseline")
	assert.Equal(t, []string{"pooling.memory.rss_peak"}, c.Missing)
	assert.Equal(t, []string{"Go was go1.26 and is go9."}, c.Notes)
	for _, d := range c.Figures {
		assert.NotEqual(t, validate.Routing, d.Scenario)
		assert.NotContains(t, d.Figure, "in_flight")
	}

	after.Comparison = c
	var page, text strings.Builder
	require.NoError(t, writePage(&page, after))
	require.NoError(t, writeMarkdown(&text, after))
	for _, want := range []string{"pooling.burst.throughput",
		"regressed", "-50.0 %", "2 have become worse by more than 10 %.",
		"Go was go1.26 and is go9.", "Measured before and not now: pooling.memory.rss_peak."} {
		shows(t, page.String(), want)
		assert.Contains(t, text.String(), want)
	}
}

// TestSeveralTestsOfOneScenario are compared each with its own.
func TestSeveralTestsOfOneScenario(t *testing.T) {
	run := func(a, b float64) *Run {
		r := &Run{}
		for _, s := range []struct {
			test string
			rate float64
		}{{"TestA", a}, {"TestB", b}} {
			r.Scenarios = append(r.Scenarios, &Scenario{ID: validate.Pooling, Test: s.test, State: Passed,
				Burst: &Burst{N: 1, Throughput: s.rate}})
		}
		return r
	}
	c := Compare(sampleBaseline(run(100, 1000)), run(100, 500), pointer(10.0))
	assert.Empty(t, c.Regressions(validate.Pooling, "TestA"))
	require.Len(t, c.Regressions(validate.Pooling, "TestB"), 1)
	assert.Equal(t, "pooling/test=TestB", c.Regressions(validate.Pooling, "TestB")[0].Scenario)
}

// TestRepeatedScenarioGivesSeveralValues, as with -count.
func TestRepeatedScenarioGivesSeveralValues(t *testing.T) {
	r := &Run{}
	for _, rate := range []float64{1, 2, 3, 4} {
		r.Scenarios = append(r.Scenarios, &Scenario{ID: validate.Pooling, Test: "T", State: Passed,
			Burst: &Burst{N: 1, Throughput: rate}})
	}
	all := newSamples()
	all.addRun(r, func(*Scenario) bool { return true })
	assert.Equal(t, []float64{1, 2, 3, 4}, all.index["pooling.burst.throughput"].values)
	assert.Empty(t, all.index["pooling.steady.p99"])
}

func write(t *testing.T, path string, r *Run, render func(w *strings.Builder, r *Run) error) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, render(&text, r))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o644))
	return path
}

func asJSON(w *strings.Builder, r *Run) error  { return writeJSON(w, r) }
func asBench(w *strings.Builder, r *Run) error { return writeBench(w, r) }

func TestLoadBaseline(t *testing.T) {
	dir := t.TempDir()
	r := sampleRun()
	one := write(t, filepath.Join(dir, "1", resultName), r, asJSON)
	write(t, filepath.Join(dir, "2", resultName), r, asJSON)
	bench := write(t, filepath.Join(dir, "bench.txt"), r, asBench)
	for path, runs := range map[string]int{one: 1, filepath.Dir(one): 1, dir: 2, bench: 1} {
		b, err := LoadBaseline(path)
		require.NoError(t, err, path)
		assert.Equal(t, runs, b.runs, path)
		got := b.figures.index["pooling.burst.throughput"]
		require.NotNil(t, got, path)
		require.Len(t, got.values, runs, path)
		assert.Equal(t, r.Scenarios[1].Burst.Throughput, got.values[0], path)
		assert.NoError(t, b.Fits(100_000))
		assert.ErrorIs(t, b.Fits(2000), ErrBaseline)
		assert.ErrorContains(t, b.Fits(2000), "N = 100000")
		assert.Empty(t, Compare(b, r, pointer(1.0)).Regressions(validate.Pooling, ""), path)
	}
}

// TestBenchHasEveryFigureOfTheLoad that a baseline is compared by.
func TestBenchHasEveryFigureOfTheLoad(t *testing.T) {
	r := sampleRun()
	b := &Baseline{figures: newSamples()}
	var text strings.Builder
	require.NoError(t, writeBench(&text, r))
	require.NoError(t, b.add([]byte(text.String())))
	for _, m := range r.Scenarios[1].metrics() {
		if m.better == neither {
			continue
		}
		got := b.figures.index["pooling."+m.name]
		if assert.NotNil(t, got, m.name) {
			assert.Equal(t, []float64{m.value}, got.values, m.name)
			assert.Equal(t, []any{m.better, m.judged, m.unit}, []any{got.better, got.judged, got.unit}, m.name)
		}
	}
}

func TestBaselineThatIsNone(t *testing.T) {
	dir := t.TempDir()
	other := sampleRun()
	other.Environment.Scale = 5
	write(t, filepath.Join(dir, "mixed", "a", resultName), sampleRun(), asJSON)
	write(t, filepath.Join(dir, "mixed", "b", resultName), other, asJSON)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	for name, text := range map[string]string{
		"schema.json": `{"schema": 99}`, "broken.json": `{"schema": 2`, "nobody.json": `{"schema": 2, "scenarios": []}`,
		"null.json": `{"schema": 2, "scenarios": [null]}`, "other.txt": "PASS\nok  tensile 1s\n", "empty.txt": "",
		"number.txt": "BenchmarkPooling/phase=burst-2\t10\tmany ops/s\n", "scale.txt": "scale: few\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	for name, says := range map[string]string{
		"schema.json": "schema 99, must be 2", "broken.json": "unexpected end", "nobody.json": "no scenario has passed",
		"null.json": "scenario 1 has no id", "other.txt": "neither a results.json nor a bench.txt", "empty.txt": "neither",
		"number.txt": `"many" is no number`, "scale.txt": "scale is", "missing": "no such file",
		"empty": "has no results.json",
		"mixed": "it has N = 5, the one before N = 100000",
	} {
		_, err := LoadBaseline(filepath.Join(dir, name))
		if assert.ErrorIs(t, err, ErrBaseline, name) {
			assert.ErrorContains(t, err, says, name)
			assert.ErrorContains(t, err, name)
		}
	}
}

// FuzzBaseline: whatever a file holds, it is refused or can be compared with.
func FuzzBaseline(f *testing.F) {
	r := sampleRun()
	r.Scenarios = r.Scenarios[1:2]
	text, err := json.Marshal(r)
	require.NoError(f, err)
	f.Add(text)
	var bench strings.Builder
	require.NoError(f, writeBench(&bench, r))
	f.Add([]byte(bench.String()))
	f.Add([]byte("scale: 7\nBenchmarkX/phase=burst-2 1 5e3 ops/s"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := &Baseline{figures: newSamples()}
		if b.add(text) != nil {
			return
		}
		c := Compare(b, r, pointer(5.0))
		for _, d := range c.Figures {
			if len(d.Before) == 0 || len(d.After) == 0 {
				t.Fatalf("%s is compared with nothing", d)
			}
		}
		if err := writeMarkdown(&strings.Builder{}, &Run{Comparison: c}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRaceAndOtherWorkDisturb(t *testing.T) {
	r := sampleRun()
	s := r.Scenarios[1]
	for name, change := range map[string]func(){
		"race":       func() { r.Environment.Race = true },
		"other work": func() { r.Environment.Race, s.Share = false, pointer(0.4) },
	} {
		change()
		all := newSamples()
		all.addRun(r, func(one *Scenario) bool { return one == s })
		assert.Equal(t, 1, all.index["pooling.steady.p99"].disturbed, name)
		assert.Zero(t, all.index["pooling.memory.rss_peak"].disturbed, "%s: memory is what it is", name)
	}
}

func TestChecksAreCompared(t *testing.T) {
	list := validate.NewChecklist(validate.Of(validate.Memory))
	where := validate.Conditions{Scale: validate.BaseScale, Share: 1}
	list.Measure("memory.per_connection", 3000, where)
	list.Measure("memory.leaks", 0, where)
	r := &Run{
		Scenarios: []*Scenario{{ID: validate.Memory, State: Passed, Checks: list.Checks(), Memory: &measure.MemoryUse{}}},
	}
	all := newSamples()
	all.addRun(r, func(*Scenario) bool { return true })
	require.NotNil(t, all.index["memory.per_connection"])
	assert.Equal(t, lower, all.index["memory.per_connection"].better)
	assert.Nil(t, all.index["memory.leaks"], "it is right or wrong")
	assert.Nil(t, all.index["memory.slope"], "it was not measured")
}
