package report

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

const described = "../../docs/results.md"

// tables reads the tables of a Markdown text by the heading above them: for
// each, the first cell of every row and the other cells.
func tables(text string) map[string]map[string][]string {
	found := map[string]map[string][]string{}
	heading := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if h, ok := strings.CutPrefix(line, "#"); ok {
			heading = strings.TrimLeft(h, "# ")
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		name := strings.TrimSpace(cells[0])
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if found[heading] == nil {
			found[heading] = map[string][]string{}
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		found[heading][strings.Trim(name, "`")] = cells[1:]
	}
	return found
}

// inWords is how a field is described that has a type and a tag.
func inWords(t reflect.Type, omitted bool) string {
	optional := ""
	if omitted {
		optional = ", optional"
	}
	switch {
	case t.Kind() == reflect.Pointer && omitted:
		return inWords(t.Elem(), true)
	case t.Kind() == reflect.Pointer:
		return inWords(t.Elem(), false) + " or null"
	case t == reflect.TypeFor[time.Time]():
		return "time" + optional
	case t == reflect.TypeFor[[]Point]():
		return "list of pairs" + optional
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Pointer:
		return "list of " + inWords(t.Elem().Elem(), false) + optional
	case t.Kind() == reflect.Slice:
		return "list of " + inWords(t.Elem(), false) + optional
	case t.Kind() == reflect.Struct:
		return t.Name() + optional
	case t.Kind() == reflect.String:
		return "text" + optional
	case t.Kind() == reflect.Bool:
		return "true or false" + optional
	case t.Kind() == reflect.Float64:
		return "number" + optional
	}
	return "whole number" + optional
}

// fieldsOf returns what a type encodes to, by field, and the types in it.
func fieldsOf(t reflect.Type) (fields map[string]string, inside []reflect.Type) {
	fields = map[string]string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous { // its fields stand among those of t
			more, types := fieldsOf(f.Type)
			for name, words := range more {
				fields[name] = words
			}
			inside = append(inside, types...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		fields[name] = inWords(f.Type, options == "omitempty")
		inside = append(inside, f.Type)
	}
	return fields, inside
}

// undocumented returns what the description lacks, says wrongly or has too much.
func undocumented(text string) (wrong []string) {
	tables := tables(text)
	seen := map[string]reflect.Type{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || seen[t.Name()] == t {
			return
		}
		if other := seen[t.Name()]; other != nil {
			wrong = append(wrong, fmt.Sprintf("%v and %v have one name", t, other))
		}
		seen[t.Name()] = t
		fields, inside := fieldsOf(t)
		for name, words := range fields {
			cells, ok := tables[t.Name()][name]
			if !ok {
				wrong = append(wrong, fmt.Sprintf("%s has no %s", t.Name(), name))
			} else if cells[0] != words {
				wrong = append(wrong, fmt.Sprintf("%s of %s is %q, it says %q", name, t.Name(), words, cells[0]))
			}
		}
		for name := range tables[t.Name()] {
			if _, ok := fields[name]; !ok {
				wrong = append(wrong, fmt.Sprintf("%s of %s does not exist", name, t.Name()))
			}
		}
		for _, t := range inside {
			visit(t)
		}
	}
	visit(reflect.TypeFor[Run]())
	for heading := range tables {
		known := seen[heading] != nil || heading == "What a run leaves behind" || heading == "results.csv"
		if !known {
			wrong = append(wrong, heading+" does not exist")
		}
	}
	return wrong
}

func description(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(described)
	require.NoError(t, err)
	return string(text)
}

// TestEveryFieldIsDocumented holds docs/results.md to the types that are encoded.
func TestEveryFieldIsDocumented(t *testing.T) {
	text := description(t)
	assert.Empty(t, undocumented(text))
	assert.Contains(t, text, fmt.Sprintf("## results.json, schema %d\n", Schema))
}

func TestWhatIsNotDocumentedIsSeen(t *testing.T) {
	text := description(t)
	for says, change := range map[string][2]string{
		`Burst has no n_over_x_ns`:                      {"| `n_over_x_ns` |", "| n_over_x_ns |"},
		`seed of Environment is "whole number"`:         {"| `seed` | whole number |", "| `seed` | text |"},
		`subject of Scenario is "text, optional"`:       {"| `subject` | text, optional |", "| `subject` | text |"},
		`speed of Environment does not exist`:           {"| `seed` |", "| `speed` |"},
		`Wave does not exist`:                           {"### Mark\n", "### Wave\n"},
		`peak of MemoryUse is "Memory", it says "text"`: {"| `peak` | Memory |", "| `peak` | text |"},
	} {
		require.Contains(t, text, change[0])
		found := strings.Join(undocumented(strings.Replace(text, change[0], change[1], 1)), "\n")
		assert.Contains(t, found, says)
	}
}

// TestEveryWordIsDocumented: values that stand for something.
func TestEveryWordIsDocumented(t *testing.T) {
	tables := tables(description(t))
	for _, c := range []struct {
		heading, field string
		words          []string
	}{
		{"Run", "state", []string{string(Running), string(Passed), string(Failed), string(Interrupted)}},
		{"Scenario", "state", []string{string(NotRun)}},
		{"Acceptance", "verdict", []string{string(validate.Passed), string(validate.Failed), string(validate.NotMeasured)}},
		{
			"Check", "verdict", []string{
				string(validate.Passed), string(validate.Failed), string(validate.NotMeasured), string(validate.NotOffered),
			},
		},
		{
			"Check", "comparison", []string{
				string(validate.AtLeast), string(validate.AtMost), string(validate.Below), string(validate.Equal),
			},
		},
		{"Check", "kind", []string{string(validate.Must), string(validate.Reach)}},
		{"Check", "scaling", []string{string(validate.WithN), string(validate.WithShare), string(validate.WithControl)}},
		{"Difference", "verdict", []string{string(Better), string(Worse), string(Same), string(Unknown)}},
		{"Event", "kind", []string{string(Fault), string(Detected), string(Undone), string(Recovered), string(Remark)}},
	} {
		for _, word := range c.words {
			assert.Contains(t, tables[c.heading][c.field][1], "`"+word+"`", "%s of %s", c.field, c.heading)
		}
	}
}

// TestEveryFileIsDocumented.
func TestEveryFileIsDocumented(t *testing.T) {
	listed := tables(description(t))["What a run leaves behind"]
	want := []string{LogName, CrashName, evidenceFolder + "/", marker, logsFolder + "/"}
	for _, f := range files {
		want = append(want, f.name)
	}
	for _, name := range want {
		assert.Contains(t, listed, name)
	}
	assert.Len(t, listed, len(want))
}

// TestEveryColumnAndMetricIsDocumented.
func TestEveryColumnAndMetricIsDocumented(t *testing.T) {
	text := description(t)
	var csv, bench strings.Builder
	require.NoError(t, writeCSV(&csv, sampleRun()))
	header, _, _ := strings.Cut(csv.String(), "\n")
	columns := tables(text)["results.csv"]
	for name := range strings.SplitSeq(header, ",") {
		assert.Contains(t, columns, name)
	}
	assert.Len(t, columns, strings.Count(header, ",")+1)
	s := &Scenario{Burst: &Burst{Latency: &measure.Latency{N: 1}}, Steady: &Steady{Latency: measure.Latency{N: 1}},
		Memory: &measure.MemoryUse{Peak: measure.Memory{RSS: pointer(int64(1))}},
		Connections: []Connections{{ID: "tcp", Callers: 1, RSS: pointer(1.0), Kernel: pointer(1.0),
			PeakRSS: pointer(int64(1)), Hold: &Hold{}}}}
	for _, m := range s.metrics() {
		phase, rest, nested := strings.Cut(m.name, ".")
		if !nested || phase == "memory" || rest == "peak_in_flight" || rest == "throughput" || rest == "offered" {
			assert.Contains(t, text, "`"+m.name+"`")
		} else {
			assert.Contains(t, text, "`"+rest+"`")
		}
	}
	require.NoError(t, writeBench(&bench, sampleRun()))
	_, about, _ := strings.Cut(text, "## bench.txt")
	for _, unit := range regexp.MustCompile(`\t[\d.]+ (\S+)`).FindAllStringSubmatch(bench.String(), -1) {
		assert.Contains(t, about, "`"+unit[1]+"`")
	}
	for _, key := range regexp.MustCompile(`(?m)^([a-z]+): `).FindAllStringSubmatch(bench.String(), -1) {
		assert.Contains(t, about, "`"+key[1]+"`")
	}
}
