package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

func writeJSON(w io.Writer, r *Run) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

// writeCSV writes one line for every check and every metric, so that a table
// program can filter and compare them.
func writeCSV(w io.Writer, r *Run) error {
	out := csv.NewWriter(w)
	line := func(fields ...string) { _ = out.Write(fields) } // the writer keeps its first error
	line("scenario", "metric", "measured", "unit", "comparison", "target", "kind", "verdict")
	checks := func(all []validate.Check) {
		for _, c := range all {
			measured := ""
			if c.Measured != nil {
				measured = exact(*c.Measured)
			}
			line(c.Scenario, c.ID, measured, c.Unit, string(c.Comparison), exact(c.Target), string(c.Kind), string(c.Verdict))
		}
	}
	for _, s := range r.Scenarios {
		line(s.ID, s.ID+".state", string(s.State), "", "", "", "", "")
		for _, m := range s.metrics() {
			line(s.ID, s.ID+"."+m.name, exact(m.value), m.unit, "", "", "metric", "")
		}
		checks(s.Checks)
	}
	checks(r.Checks)
	out.Flush()
	return out.Error()
}

func exact(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// benchUnits are the metrics that bench.txt has, by phase, each with its unit
// there.
var benchUnits = []struct{ phase, metric, unit string }{
	{"burst", "burst.throughput", "ops/s"},
	{"burst", "burst.mean", "mean-ns"}, {"burst", "burst.p50", "p50-ns"}, {"burst", "burst.p95", "p95-ns"},
	{"burst", "burst.p99", "p99-ns"}, {"burst", "burst.p999", "p999-ns"}, {"burst", "burst.max", "max-ns"},
	{"steady", "steady.offered", "ops/s"},
	{"steady", "steady.mean", "mean-ns"}, {"steady", "steady.p50", "p50-ns"}, {"steady", "steady.p95", "p95-ns"},
	{"steady", "steady.p99", "p99-ns"}, {"steady", "steady.p999", "p999-ns"}, {"steady", "steady.max", "max-ns"},
	{"memory", "memory.rss_peak", "rss-peak-B"}, {"memory", "memory.heap_peak", "heap-peak-B"},
	{"memory", "memory.stacks_peak", "stacks-peak-B"},
}

// writeBench writes the figures as Go benchmark results, which benchstat can
// compare between runs. See golang.org/design/14313-benchmark-format. What
// differs from run to run without being a configuration is in comments: else
// benchstat would put each run in a table of its own.
func writeBench(w io.Writer, r *Run) error {
	e := r.Environment
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: tensile/stress\ncpu: %s\nscale: %d\n", e.OS, e.Arch, e.CPU, e.Scale)
	fmt.Fprintf(w, "# commit %s, seed %d\n", e.Commit, e.Seed)
	fmt.Fprint(w, "Unit ops/s better=higher\n")
	names := r.names()
	for i, s := range r.Scenarios {
		values := make(map[string]float64)
		for _, m := range s.metrics() {
			values[m.name] = m.value
		}
		for _, phase := range s.benchPhases() {
			fields := []string{
				fmt.Sprintf("Benchmark%s/phase=%s-%d", benchName(names[i]), phase.name, e.GOMAXPROCS), strconv.Itoa(phase.n),
			}
			if rate := values[phase.name+".throughput"]; rate > 0 {
				fields = append(fields, exact(1e9/rate)+" ns/op")
			}
			for _, u := range benchUnits {
				if value, ok := values[u.metric]; ok && u.phase == phase.name {
					fields = append(fields, exact(value)+" "+u.unit)
				}
			}
			if len(fields) > 2 {
				fmt.Fprintln(w, strings.Join(fields, "\t"))
			}
		}
	}
	return nil // w is a buffer
}

// benchPhase is a line of bench.txt.
type benchPhase struct {
	name string
	n    int // operations
}

func (s *Scenario) benchPhases() []benchPhase {
	var phases []benchPhase
	if s.Burst != nil && s.Burst.N > 0 {
		phases = append(phases, benchPhase{"burst", s.Burst.N})
	}
	if s.Steady != nil && s.Steady.N > 0 {
		phases = append(phases, benchPhase{"steady", s.Steady.N})
	}
	if s.Memory != nil {
		phases = append(phases, benchPhase{"memory", 1})
	}
	return phases
}

func benchName(id string) string { return strings.ToUpper(id[:1]) + id[1:] }

// benchMetrics are the metrics of a Baseline by phase and unit in bench.txt.
var benchMetrics = func() map[string]metric {
	all := make(map[string]metric)
	// One of everything, for what is known of each metric.
	some := &measure.Latency{N: 1}
	s := Scenario{State: Passed, Burst: &Burst{Throughput: 1, Latency: some}, Steady: &Steady{Latency: *some},
		Memory: &measure.MemoryUse{Peak: measure.Memory{RSS: new(int64)}}}
	for _, m := range s.metrics() {
		for _, u := range benchUnits {
			if u.metric == m.name && m.better != neither {
				all[u.phase+" "+u.unit] = m
			}
		}
	}
	return all
}()
