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

type metric struct {
	name, unit string
	value      float64
}

func latencyMetrics(prefix string, l *measure.Latency) []metric {
	if l == nil || l.N == 0 {
		return nil
	}
	return []metric{
		{prefix + ".mean", "ns", l.Mean},
		{prefix + ".p50", "ns", float64(l.P50)},
		{prefix + ".p95", "ns", float64(l.P95)},
		{prefix + ".p99", "ns", float64(l.P99)},
		{prefix + ".p999", "ns", float64(l.P999)},
		{prefix + ".max", "ns", float64(l.Max)},
	}
}

// metrics are the figures of a scenario beside its checks: only those that
// were measured.
func (s *Scenario) metrics() []metric {
	var m []metric
	if s.State != NotRun {
		m = append(m, metric{"seconds", "s", s.Seconds}, metric{"operations", "operations", float64(s.Operations)})
	}
	if b := s.Burst; b != nil {
		m = append(m, metric{"burst.peak_in_flight", "operations", float64(b.Peak)},
			metric{"burst.throughput", "ops/s", b.Throughput})
		m = append(m, latencyMetrics("burst", b.Latency)...)
	}
	if st := s.Steady; st != nil {
		m = append(m, metric{"steady.offered", "ops/s", st.Offered})
		m = append(m, latencyMetrics("steady", &st.Latency)...)
	}
	if u := s.Memory; u != nil {
		m = append(m, metric{"memory.heap_peak", "bytes", float64(u.Peak.Heap)},
			metric{"memory.stacks_peak", "bytes", float64(u.Peak.Stacks)})
		if u.Peak.RSS != nil {
			m = append(m, metric{"memory.rss_peak", "bytes", float64(*u.Peak.RSS)})
		}
	}
	return m
}

// writeBench writes the figures as Go benchmark results, which benchstat can
// compare between runs. See golang.org/design/14313-benchmark-format.
func writeBench(w io.Writer, r *Run) error {
	e := r.Environment
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: tensile/stress\ncpu: %s\n", e.OS, e.Arch, e.CPU)
	fmt.Fprintf(w, "commit: %s\nscale: %d\nseed: %d\n", e.Commit, e.Scale, e.Seed)
	fmt.Fprint(w, "Unit ops/s better=higher\n")
	line := func(s *Scenario, phase string, n int, rate float64, l *measure.Latency) {
		if n == 0 || rate == 0 {
			return
		}
		fmt.Fprintf(w, "Benchmark%s/phase=%s-%d\t%d\t%s ns/op\t%s ops/s", benchName(s.ID), phase,
			e.GOMAXPROCS, n, exact(1e9/rate), exact(rate))
		for _, m := range latencyMetrics("", l) {
			fmt.Fprintf(w, "\t%s %s-ns", exact(m.value), strings.TrimPrefix(m.name, "."))
		}
		fmt.Fprintln(w)
	}
	for _, s := range r.Scenarios {
		if s.Burst != nil {
			line(s, "burst", s.Burst.N, s.Burst.Throughput, s.Burst.Latency)
		}
		if s.Steady != nil {
			line(s, "steady", s.Steady.N, s.Steady.Offered, &s.Steady.Latency)
		}
	}
	return nil // w is a buffer
}

func benchName(id string) string { return strings.ToUpper(id[:1]) + id[1:] }
