package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// nasty are texts that end cells, fields, fences and tags.
var nasty = []string{
	"plain", "a|b", `a\|b`, `"quoted", and a comma`, "two\nlines", "```\ncode\n```",
	"````", "<b>", "é ≤ 💥", "\r\n", "'", "| --- |", "# no heading", "",
}

// fill sets everything in v to something, at random but for what is enumerated.
func fill(v reflect.Value, random *rand.Rand) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(random.Int64N(1e9), random.Int64N(1e9)).UTC()))
		return
	case State:
		v.Set(reflect.ValueOf([]State{NotRun, NothingRan, Running, Passed, Partial, Failed, Interrupted}[random.IntN(7)]))
		return
	case validate.Verdict:
		v.Set(reflect.ValueOf([]validate.Verdict{validate.Passed, validate.Failed, validate.NotMeasured,
			validate.NotOffered}[random.IntN(4)]))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if random.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), random)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+random.IntN(3), 3))
		for i := range v.Len() {
			if e := v.Index(i); e.Kind() == reflect.Pointer {
				e.Set(reflect.New(e.Type().Elem()))
				fill(e.Elem(), random)
			} else {
				fill(e, random)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), random)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // which no file holds
				fill(v.Field(i), random)
			}
		}
	case reflect.String:
		v.SetString(nasty[random.IntN(len(nasty))])
	case reflect.Bool:
		v.SetBool(random.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(random.Int64N(1 << 40))
	case reflect.Uint64:
		v.SetUint(random.Uint64())
	case reflect.Float64:
		v.SetFloat(random.ExpFloat64() * 1e6)
	default:
		panic("no filling for " + v.Type().String())
	}
}

// filled is a run in which everything there can be is set.
func filled(seed uint64) *Run {
	r := &Run{}
	fill(reflect.ValueOf(r).Elem(), rand.New(rand.NewPCG(seed, 0)))
	r.Schema = Schema
	for i, s := range r.Scenarios {
		s.ID = validate.Scenarios[i].ID
	}
	r.total()
	return r
}

// runs are what every file must be able to hold.
func runs() map[string]*Run {
	all := map[string]*Run{"everything": sampleRun(), "nothing": {Schema: Schema}}
	for seed := range uint64(20) {
		all[fmt.Sprint("filled ", seed)] = filled(seed)
	}
	return all
}

func TestResultsDecodeToTheSame(t *testing.T) {
	for name, r := range runs() {
		var text bytes.Buffer
		require.NoError(t, writeJSON(&text, r), name)
		back, err := parse(text.Bytes())
		require.NoError(t, err, name)
		require.Equal(t, r, back, name)
	}
}

func TestResultsHoldNoFigureThatWasNotMeasured(t *testing.T) {
	var text bytes.Buffer
	s := &Scenario{ID: "pooling", Checks: validate.NewChecklist(validate.Of(validate.Pooling)).Checks()}
	require.NoError(t, writeJSON(&text, &Run{Scenarios: []*Scenario{s}}))
	var got struct{ Scenarios []map[string]any }
	require.NoError(t, json.Unmarshal(text.Bytes(), &got))
	for _, name := range []string{"burst", "steady", "ledger", "memory", "leaks", "processor_share"} {
		value, present := got.Scenarios[0][name]
		assert.True(t, present && value == nil, "%s is null", name)
	}
	for _, c := range got.Scenarios[0]["checks"].([]any) {
		assert.Nil(t, c.(map[string]any)["measured"])
	}
}

func TestCSVHoldsEveryCheckAndMetric(t *testing.T) {
	for name, r := range runs() {
		var text bytes.Buffer
		require.NoError(t, writeCSV(&text, r), name)
		lines, err := csv.NewReader(&text).ReadAll() // fails where lines differ in length
		require.NoError(t, err, name)
		require.Len(t, lines[0], 8)
		lines = lines[1:]
		next := func() []string {
			require.NotEmpty(t, lines, name)
			line := lines[0]
			lines = lines[1:]
			return line
		}
		checks := func(all []validate.Check) {
			for _, c := range all {
				line := next()
				// A line end within a field comes back as the format has it.
				want := strings.ReplaceAll(fmt.Sprint(c.ID, c.Unit, c.Kind), "\r\n", "\n")
				require.Equal(t, want, fmt.Sprint(line[1], line[3], line[6]), name)
				require.Equal(t, string(c.Verdict), line[7], name)
				if c.Measured == nil {
					require.Empty(t, line[2], name)
					continue
				}
				measured, err := strconv.ParseFloat(line[2], 64)
				require.NoError(t, err)
				require.Equal(t, *c.Measured, measured, "with all its digits")
			}
		}
		for _, s := range r.Scenarios {
			require.Equal(t, []string{s.ID, s.ID + ".state", string(s.State)}, next()[:3])
			for _, m := range s.metrics() {
				line := next()
				require.Equal(t, strings.ReplaceAll(s.ID+"."+m.name, "\r\n", "\n"), line[1])
				require.Equal(t, "metric", line[6])
			}
			checks(s.Checks)
		}
		checks(r.Checks)
		assert.Empty(t, lines, name)
	}
}

// malformed returns the lines of a Markdown text in which a table has a row of
// another length than its head, or a fence does not end.
func malformed(text string) (wrong []string) {
	fence, head := "", 0
	for line := range strings.SplitSeq(text, "\n") {
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "":
			if len(ticks) >= len(fence) && strings.TrimSpace(line) == ticks {
				fence = ""
			}
			continue
		case len(ticks) >= 3:
			fence, head = ticks, 0
			continue
		case !strings.HasPrefix(line, "|"):
			head = 0
			continue
		}
		cells := 0
		for i := 1; i < len(line); i++ {
			switch line[i] {
			case '\\':
				i++
			case '|':
				cells++
			}
		}
		if head == 0 {
			head = cells
		}
		if cells != head || !strings.HasSuffix(line, "|") {
			wrong = append(wrong, line)
		}
	}
	if fence != "" {
		wrong = append(wrong, "a fence of "+fence+" does not end")
	}
	return wrong
}

func TestMarkdownIsWellFormed(t *testing.T) {
	for name, r := range runs() {
		// Text between the tables is the kits' own, and may hold what it likes.
		r.Notes = nil
		for i := range r.Acceptance {
			r.Acceptance[i].Name = "criterion"
		}
		if c := r.Comparison; c != nil {
			c.Baseline, c.Notes, c.Missing = "earlier", nil, nil
		}
		for _, s := range r.Scenarios {
			s.Notes, s.Title, s.Subject, s.Replay = nil, "title", "subject", "command"
			if s.Knee != nil {
				s.Knee.Missed = "a threshold"
			}
			if s.Scaling != nil {
				s.Scaling.Cut = "N"
			}
			if s.Ledger != nil {
				s.Ledger.Examples = nil
			}
			if s.Leaks != nil {
				s.Leaks.What = nil
			}
			if s.Memory != nil {
				s.Memory.Subject = nil
			}
			for i := range s.Connections {
				s.Connections[i].KernelSource = "files"
			}
		}
		for file, write := range map[string]func(*bytes.Buffer) error{
			"report.md":    func(b *bytes.Buffer) error { return writeMarkdown(b, r) },
			"checklist.md": func(b *bytes.Buffer) error { return writeChecklist(b, r) },
		} {
			var text bytes.Buffer
			require.NoError(t, write(&text))
			require.Empty(t, malformed(text.String()), "%s of %s", file, name)
			for _, c := range r.shown() {
				assert.Contains(t, text.String(), "| "+inCell.Replace(c.ID)+" |")
			}
		}
	}
}

func TestMalformedMarkdownIsSeen(t *testing.T) {
	for _, text := range []string{
		"| a | b |\n| --- | --- |\n| 1 | 2 | 3 |", "| a |\n| --- |\n| x", "```\ntext", "````\ntext\n```",
	} {
		assert.NotEmpty(t, malformed(text), text)
	}
	assert.Empty(t, malformed("| a | b |\n| --- | --- |\n| 1 \\| 1 | 2 |\n\n| other |\n````\n```\n| x\n````\n"))
}

// TestMarkdownSaysWhatFailed with the words of the test and how to repeat it.
func TestMarkdownSaysWhatFailed(t *testing.T) {
	s := &Scenario{Number: 2, ID: "pooling", Title: "Connection pooling", State: Failed, N: 10,
		Failures: []string{"pooling.bound: 9 connections", "panic: x\n```\nstack\n```"}, Replay: "STRESS_SEED=1 go test"}
	var text bytes.Buffer
	require.NoError(t, writeMarkdown(&text, &Run{State: Failed, Scenarios: []*Scenario{s}}))
	assert.Contains(t, text.String(), "```\npooling.bound: 9 connections\n```")
	assert.Contains(t, text.String(), "````\npanic: x\n```\nstack\n```\n````")
	assert.Contains(t, text.String(), "To repeat it: `STRESS_SEED=1 go test`")
}

func TestChecklistTicksOnlyWhatPassed(t *testing.T) {
	r := &Run{Scenarios: []*Scenario{{State: Passed}}, Acceptance: []validate.Acceptance{
		{Number: 1, Name: "a", Verdict: validate.Passed}, {Number: 2, Name: "b", Verdict: validate.NotMeasured},
		{Number: 3, Name: "c", Verdict: validate.Failed},
	}}
	var text bytes.Buffer
	require.NoError(t, writeChecklist(&text, r))
	assert.Contains(t, text.String(), "- [x] (1) a: passed\n- [ ] (2) b: not measured\n- [ ] (3) c: failed\n")
}

// TestBenchLines by the grammar of the format; a module of its own reads them
// with the library for it.
func TestBenchLines(t *testing.T) {
	line := regexp.MustCompile(`^(goos|goarch|pkg|cpu|scale): .*$|^# commit abc\+changes, seed \d+$|` +
		`^Unit ops/s better=higher$|^Benchmark[A-Z]\w*/phase=(burst|steady|memory)-\d+\t\d+(\t[\d.]+ [\w/-]+)+$`)
	for name, r := range runs() {
		r.Environment.CPU, r.Environment.Commit = "a processor", "abc+changes"
		r.Environment.OS, r.Environment.Arch = "linux", "amd64"
		var text bytes.Buffer
		require.NoError(t, writeBench(&text, r))
		loads := 0
		for l := range strings.Lines(text.String()) {
			assert.Regexp(t, line, strings.TrimSuffix(l, "\n"), name)
			if strings.HasPrefix(l, "Benchmark") {
				loads++
			}
		}
		want := 0
		for _, s := range r.Scenarios {
			if s.Burst != nil {
				want++
			}
			if s.Steady != nil {
				want++
			}
			if s.Memory != nil {
				want++
			}
		}
		assert.Equal(t, want, loads, name)
	}
}

// TestFiguresAgree: the same rate stands in every file.
func TestFiguresAgree(t *testing.T) {
	l := measure.Latency{N: 5, P50: 1_500_000, P99: 2_500_000, Max: 9e9}
	s := &Scenario{Number: 2, ID: "pooling", Title: "Connection pooling", State: Passed,
		Burst:  &Burst{N: 5, Peak: 5, Throughput: 123_456, Latency: &l},
		Steady: &Steady{N: 5, Arrivals: "constant", Offered: 65_432, Latency: l}}
	r := &Run{Scenarios: []*Scenario{s}, Environment: measure.Environment{GOMAXPROCS: 2}}
	for want, write := range map[string]func(*bytes.Buffer) error{
		`"ops_per_s": 123456`:                   func(b *bytes.Buffer) error { return writeJSON(b, r) },
		"pooling.burst.throughput,123456,ops/s": func(b *bytes.Buffer) error { return writeCSV(b, r) },
		"| burst | 5 | 5 | 123,456 |":           func(b *bytes.Buffer) error { return writeMarkdown(b, r) },
		"123456 ops/s":                          func(b *bytes.Buffer) error { return writeBench(b, r) },
	} {
		var text bytes.Buffer
		require.NoError(t, write(&text))
		assert.Contains(t, text.String(), want)
	}
	var table strings.Builder
	WriteTable(&table, r)
	assert.Regexp(t, `2 +Connection pooling +passed +5 +123,456 +1\.5 ms`, table.String())
	assert.Contains(t, s.Line(), "stress 2/9 Connection pooling")
	assert.Contains(t, s.Line(), "123,456 ops/s")
}
