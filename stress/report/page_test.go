package report

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// svgNames is the name of a vocabulary, and nothing is fetched from it.
const svgNames = "http://www.w3.org/2000/svg"

func pageOf(t *testing.T, r *Run) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, writePage(&text, r))
	return text.String()
}

// shows fails t without the whole page in its message.
func shows(t *testing.T, page, want string) {
	t.Helper()
	assert.True(t, strings.Contains(page, want), "the page does not show %q", want)
}

func showsNot(t *testing.T, page, unwanted string) {
	t.Helper()
	assert.False(t, strings.Contains(page, unwanted), "the page shows %q", unwanted)
}

// TestPageNeedsNothingElse: no network, no font, no script but its own.
func TestPageNeedsNothingElse(t *testing.T) {
	page := pageOf(t, sampleRun())
	for _, pattern := range []string{
		`https?://`, `<script .`, `<link`, `<iframe`, `src=`, `url\([^#]`, `@import`, `@font-face`,
		`href="(?:[^#e]|e[^v])`, `fetch\(`, `XMLHttpRequest`, `import\(`,
	} {
		assert.Empty(t, regexp.MustCompile(pattern).FindString(strings.ReplaceAll(page, svgNames, "")), pattern)
	}
	assert.Equal(t, 1, strings.Count(page, "<script"))
	assert.Contains(t, html.UnescapeString(page), `content="`+policy()+`"`, "and a browser is told so")
	assert.Regexp(t, `^default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[A-Za-z0-9+/]{43}='$`, policy())
}

func TestPageShowsWhatHappened(t *testing.T) {
	page := pageOf(t, sampleRun())
	for _, want := range []string{
		"Failed</h1>", "Connection pooling: passed, 18 checks not measured; Registry routing: failed; ",
		"Not run: Cluster formation, Queue handling, Session state persistence, Inter-node communication.",
		"routing.lost: messages lost must be exactly 0, measured was 3", "&lt;script&gt;alert", // told, and harmless
		`href="evidence/routing.goroutines.txt"`, `href="evidence/routing.heap.pprof"`,
		`<a href="#routing-2">Registry routing`,
		"message 7 of sender 0 to 12 never arrived", "seed 42", "Scale cut from 200000 to 100000: not enough memory.",
		"STRESS_SEED=42 STRESS_SCALE=100000 go test -count=1 -run Stress ./...",
		"Burst: throughput over time", "Steady run: latency over time", "Distribution of latencies", "Memory of the process",
		"60 MB of live heap, most of it by yours.(*Pool).Acquire (pool.go:12), 10 MB of stacks of 5000 goroutines",
		"steady p99 below 100 ms", "offered 60K ops/s", "A tenth of the workers killed", "node-3: SIGSTOP", "±2,000 allowed",
		"All thresholds held up to 80,000 ops/s; at the next rate: p99 was 240 ms.", "held up to here",
		"Time grows as N^1.02",
		"Memory grows as N^(not measured)", "Universal Scalability Law: λ = 40,000 ops/s", "N = 1,000,000: it does not fit",
		"What one connection takes, in bytes", "callers&#39; heap and stack", "memory while held",
		"Where it breaks", "knee", "killed node known dead to all", "a processor, 2 cores",
		"processors left free</dt><dd>61 %",
	} {
		shows(t, page, want)
	}
	assert.Equal(t, strings.Count(page, `<svg class="drawing`), strings.Count(page, `<details class="table">`))
}

// TestWhatFailedComesFirst, in the headline and among the scenarios.
func TestWhatFailedComesFirst(t *testing.T) {
	page := pageOf(t, sampleRun())
	header, main, _ := strings.Cut(page, "</header>")
	assert.Contains(t, header, "routing.lost: messages lost must be exactly 0")
	failed, passed := strings.Index(main, `id="routing-2"`), strings.Index(main, `id="pooling-1"`)
	assert.Positive(t, failed)
	assert.Less(t, failed, passed)
	s := &Scenario{Failures: []string{"first\nevidence: out/evidence/a.txt, elsewhere/b.txt\nmore", " second "}}
	assert.Equal(t, []headline{{"first", []string{"a.txt"}}, {"second", nil}}, s.headlines())
}

// TestPageDrawsNothingThatWasNotMeasured, and says so.
func TestPageDrawsNothingThatWasNotMeasured(t *testing.T) {
	r := &Run{State: Running, Started: time.Now()}
	for i, s := range validate.Scenarios {
		r.Scenarios = append(r.Scenarios, &Scenario{Number: i + 1, ID: s.ID, Title: s.Title, State: NotRun})
	}
	page := pageOf(t, r)
	shows(t, page, "Nothing has run yet</h1>")
	showsNot(t, page, `<svg class="drawing`)
	shows(t, page, "Not run: Cluster formation, Connection pooling, ")
	showsNot(t, page, `class="card`)

	r.Scenarios[1].State = Passed
	r.Scenarios[1].Checks = validate.NewChecklist(validate.Of(validate.Pooling)).Checks()
	r.Scenarios[1].Steady = &Steady{}
	r.Scenarios[1].Memory = &measure.MemoryUse{}
	page = pageOf(t, r)
	shows(t, page,
		"Not measured: a burst, throughput of the steady run over time, the distribution of latencies, memory over time.")
	showsNot(t, page, `<svg class="drawing`)
	showsNot(t, page, "steady rate")
}

func TestVerdictOfARun(t *testing.T) {
	all := func(v validate.Verdict) []validate.Acceptance {
		six := make([]validate.Acceptance, 6)
		for i := range six {
			six[i].Verdict = v
		}
		return six
	}
	mixed := all(validate.Passed)
	mixed[3].Verdict = validate.NotMeasured
	for _, c := range []struct {
		state       State
		acceptances []validate.Acceptance
		ran         int
		want, class string
	}{
		{Passed, all(validate.Passed), 9, "Passed", "passed"},
		{Passed, mixed, 9, "Nothing failed", "not-measured"},
		{Passed, all(validate.Failed), 9, "Failed", "failed"},
		{Failed, all(validate.Passed), 9, "Failed", "failed"},
		{Interrupted, all(validate.Passed), 9, "Interrupted", "failed"},
		{Partial, mixed, 9, "Passed (9 of 18 phases)", "not-measured"},
		{Running, all(validate.NotMeasured), 3, "Not finished", "not-measured"},
		{Running, all(validate.NotMeasured), 0, "Nothing has run yet", "not-measured"},
		{Passed, all(validate.NotMeasured), 1, "Passed", "passed"},
		{Failed, all(validate.NotMeasured), 1, "Failed", "failed"},
		{Partial, all(validate.NotMeasured), 2, "Passed (2 of 4 phases)", "not-measured"},
		{NothingRan, all(validate.NotMeasured), 1, "Nothing ran", "not-measured"},
	} {
		r := &Run{State: c.state, Acceptance: c.acceptances}
		for i, s := range validate.Scenarios {
			one := &Scenario{ID: s.ID, Title: s.Title, State: NotRun}
			if i < c.ran {
				one.State, one.PhasesRun, one.PhasesAll = Passed, 1, 2
			}
			r.Scenarios = append(r.Scenarios, one)
		}
		word, sentence, class := verdict(r)
		assert.Equal(t, []string{c.want, c.class}, []string{word, class}, "%+v", c)
		assert.NotEmpty(t, sentence)
		assert.Equal(t, c.ran == 9, strings.Contains(sentence, "criteria"), sentence)
	}
}

// TestLastPartOfASeries ends with the run: its rate is that of what is left of
// it and of the part before.
func TestLastPartOfASeries(t *testing.T) {
	series := []measure.Bin{
		{At: 0, Width: 0.1, Ended: 100}, {At: 0.1, Width: 0.1, Ended: 100}, {At: 0.2, Width: 0.1, Ended: 1},
	}
	assert.InDeltaSlice(t, []float64{1000, 1000, 1000}, rates(throughput("", series, 0.201, 0).Lines[0].Points), 1e-6)
	assert.InDeltaSlice(t, []float64{2000, 2000}, rates(throughput("", series[:1], 0.05, 0).Lines[0].Points), 1e-6)
	assert.Empty(t, throughput("", nil, 1, 0).Lines[0].Points)
}

func rates(points [][2]float64) []float64 {
	var all []float64
	for _, p := range points {
		all = append(all, p[1])
	}
	return all
}

func TestPercentilesAreNamed(t *testing.T) {
	name := percentile(100_000)
	for x, want := range map[float64]string{
		1: "0 %", 2: "50 %", 20: "95 %", 100: "99 %", 1000: "99.9 %", 100_000: "99.999 %", 200_000: "max",
	} {
		assert.Equal(t, want, name(x))
	}
}

// TestFolderHasEveryFile: whatever a run holds, all files of the folder are
// written.
func TestFolderHasEveryFile(t *testing.T) {
	for name, r := range map[string]*Run{"everything": sampleRun(), "nothing": {}} {
		folder, err := Open(t.TempDir())
		require.NoError(t, err)
		require.NoError(t, folder.Write(r), name)
		for _, f := range files {
			assert.FileExists(t, folder.Path(f.name))
		}
		require.NoError(t, folder.Close())
	}
}

func TestValuesFarApartAreOnALogarithmicAxis(t *testing.T) {
	s := strips([]Repeats{{Unit: "ms", Values: []float64{1, 2}}, {Unit: "ms", Values: []float64{70}},
		{Unit: "s", Values: []float64{1, 20}},
		{Unit: "B", Values: []float64{0, 1000}}})
	assert.Equal(t, []bool{true, false, false}, []bool{s[0].X.Log, s[1].X.Log, s[2].X.Log})
	assert.Len(t, s[0].Series, 2)
}
