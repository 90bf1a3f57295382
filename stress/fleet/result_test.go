package fleet

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// offered is a member of which everything is known: its clock is ours, and its
// operations took so many ms.
func offered(t *testing.T, of task, ms ...int64) *member {
	latencies := make([]int64, len(ms))
	for i := range ms {
		latencies[i] = ms[i] * 1e6
	}
	samples := recorded(latencies...)
	m := &member{task: of, hello: hello{Host: "here"},
		account: account{Asked: of.Count, Started: len(ms), Succeeded: len(ms),
			Size: len(samples), Sum: checksum(samples), Offered: of.Rate}}
	var err error
	m.recorder, m.latency, err = audit(of, m.account, samples)
	require.NoError(t, err)
	return m
}

func times(n int, ms int64) []int64 { return slices.Repeat([]int64{ms}, n) }

// halves is a load of two equal parts.
func halves(n int) (Load, []task) {
	l := Load{Rate: float64(n), For: time.Second, Do: nothing}
	return l, l.split(2, Options{})
}

// TestMerge: figures that can be told by hand.
func TestMerge(t *testing.T) {
	t.Parallel()
	l, tasks := halves(2000)
	members := []*member{
		offered(t, tasks[0], times(1000, 1)...), offered(t, tasks[1], append(times(980, 1), times(20, 500)...)...),
	}
	r := merge(Options{}, l, members)
	assert.Equal(t, int64(1e6), r.Parts[0].Latency.P99)
	assert.Equal(t, int64(500e6), r.Parts[1].Latency.P99)
	assert.Equal(t, int64(1e6), r.Latency.P99, "1 % of all are slow; the average would be 250 ms")
	assert.Equal(t, int64(500e6), r.Latency.P999)
	assert.Equal(t, 2000, r.Latency.N)
	assert.Equal(t, 1.0, r.Share)
}

func verdicts(r *Result) map[string]validate.Verdict {
	all := make(map[string]validate.Verdict)
	for _, c := range r.Checks {
		all[strings.TrimPrefix(c.ID, "fleet.")] = c.Verdict
	}
	return all
}

// TestVerdictsWithAPart: with a part of the load only what is worse than with all
// of it can be said.
func TestVerdictsWithAPart(t *testing.T) {
	t.Parallel()
	l, tasks := halves(200)
	l.Criteria = append(slices.Clone(Criteria), Throughput(1e6))
	slowly := func() []*member {
		return []*member{
			offered(t, tasks[0], times(100, 1)...), offered(t, tasks[1], append(times(80, 1), times(20, 80)...)...),
		}
	}
	whole := merge(Options{}, l, slowly())
	assert.Equal(t, map[string]validate.Verdict{"failed": validate.Passed, "unfinished": validate.Passed,
		"p50": validate.Passed,
		"p95": validate.Failed, "p99": validate.Passed, "throughput": validate.Passed}, verdicts(whole))

	lost := slowly()
	lost[0].lost = errors.New("gone")
	part := merge(Options{}, l, lost)
	assert.Equal(t, map[string]validate.Verdict{"failed": validate.NotMeasured, "unfinished": validate.NotMeasured,
		"p50": validate.NotMeasured,
		"p95": validate.Failed, "p99": validate.NotMeasured, "throughput": validate.Passed}, verdicts(part))
	assert.Equal(t, []int{2, 1, 100, 100}, []int{part.Agents, part.Measured, part.Asked, part.Latency.N})
	assert.Equal(t, 0.5, part.Share)
	assert.Contains(t, part.Notes[0], "Agent 0 on here (process 0), 50 % of the load, is not measured: gone.")

	l.Criteria = append(l.Criteria, Throughput(1e12))
	slow := merge(Options{}, Load{Rate: 200, For: time.Second, Do: nothing,
		Criteria: []validate.Criterion{Throughput(1e12)}}, lost)
	assert.Equal(t, validate.NotMeasured, verdicts(slow)["throughput"])
}

// TestSaturated: a generator that could not offer its part says nothing in time.
func TestSaturated(t *testing.T) {
	t.Parallel()
	l, tasks := halves(200)
	members := []*member{offered(t, tasks[0], times(100, 900)...), offered(t, tasks[1], times(100, 1)...)}
	assert.Equal(t, validate.Failed, verdicts(merge(Options{}, l, members))["p99"])
	members[1].account.Saturated = true
	r := merge(Options{}, l, members)
	assert.True(t, r.Saturated)
	assert.Equal(t, map[string]validate.Verdict{"failed": validate.Passed, "unfinished": validate.Passed,
		"p50": validate.NotMeasured, "p95": validate.NotMeasured, "p99": validate.NotMeasured}, verdicts(r))
	assert.Contains(t, r.Notes[0], "was saturated")
}

// TestNothingSucceeded is no pass.
func TestNothingSucceeded(t *testing.T) {
	t.Parallel()
	l := quick()
	l.Criteria = nil
	l.Do = func(context.Context, int) error { return errors.New("no") }
	r, err := Run(t.Context(), Options{}, l)
	require.NoError(t, err)
	for id, v := range verdicts(r) {
		assert.True(t, v == validate.Failed || id == "unfinished", "%s %s", id, v)
	}
}

// TestProcessors: to one agent, another on its machine is other work; to the
// fleet it is not.
func TestProcessors(t *testing.T) {
	t.Parallel()
	f := func(x float64) *float64 { return &x }
	on := func(host string, left, used *float64) *member {
		return &member{hello: hello{Host: host}, account: account{Left: left, Used: used}}
	}
	got := processors([]*member{on("a", f(0.5), f(0.3)), on("a", f(0.6), f(0.2)), on("b", f(0.9), f(0.9)),
		on("c", nil, nil)})
	assert.InDelta(t, 0.7, *got[0], 1e-9)
	assert.InDelta(t, 0.9, *got[1], 1e-9)
	assert.InDelta(t, 0.9, *got[2], 1e-9)
	assert.Nil(t, got[3])
	r := &Result{Agents: 1, Measured: 1, Latency: measure.Latency{N: 1, P50: 60e6}, Parts: []Part{{Processors: f(0.5)}}}
	r.judge(nil)
	assert.Equal(t, validate.Passed, verdicts(r)["p50"], "50 ms at half of the processors")
}

// TestPage: machines choose their own names, and do not write the page by them.
func TestPage(t *testing.T) {
	t.Parallel()
	l, tasks := halves(20)
	members := []*member{offered(t, tasks[0], times(10, 1)...), offered(t, tasks[1], times(10, 1)...)}
	members[0].hello.Host = "a|b\n# <script>"
	members[1].lost = errors.New("gone|away")
	var page bytes.Buffer
	write(&page, merge(Options{Name: "TestX"}, l, members))
	columns := 0
	for line := range strings.Lines(page.String()) {
		if strings.HasPrefix(line, "|") {
			n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			if columns == 0 {
				columns = n
			}
			assert.Equal(t, columns, n, line)
		}
	}
	assert.Equal(t, 17, columns)
	assert.NotContains(t, page.String(), "\n# ")
	assert.NotContains(t, page.String(), "<script>")
}

// TestAResultThatCanNotBeKept leaves what was kept as it was, and takes no later
// result along.
func TestAResultThatCanNotBeKept(t *testing.T) {
	dir := t.TempDir()
	book.Lock()
	others := book.Fleets
	book.Fleets = nil
	book.Unlock()
	t.Cleanup(func() {
		book.Lock()
		defer book.Unlock()
		book.Fleets = others
	})
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(text)
	}
	require.NoError(t, keep(dir, &Result{Name: "first"}))
	before := map[string]string{"fleet.json": read("fleet.json"), "fleet.md": read("fleet.md")}
	huge := &Result{Name: "huge"}
	huge.add(Part{Offered: math.MaxFloat64})
	huge.add(Part{Offered: math.MaxFloat64})
	assert.ErrorContains(t, keep(dir, huge), `fleet "huge"`)
	for name, text := range before {
		assert.Equal(t, text, read(name), name)
	}
	require.NoError(t, keep(dir, &Result{Name: "last"}))
	assert.Contains(t, read("fleet.json"), `"last"`)
	assert.NotContains(t, read("fleet.json"), `"huge"`)
}
