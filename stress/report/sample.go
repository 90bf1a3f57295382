package report

import (
	"tensile/stress/measure"
	"tensile/stress/validate"
)

// direction says which change of a figure is for the better.
type direction string

const (
	neither direction = ""
	higher  direction = "higher"
	lower   direction = "lower"
)

// sample is a figure with each value that was measured, one for each time its
// scenario ran.
type sample struct {
	scenario, name, unit string
	ratio                string // name of its ratio to the control's, "" where it can have none
	better               direction
	judged               bool // a change for the worse can fail a run
	disturbed            int  // values of time that other work, or the race detector, had part in
	values               []float64
}

// samples are the figures of one or more runs in the order of their scenarios.
type samples struct {
	all   []*sample
	index map[string]*sample
}

func newSamples() *samples { return &samples{index: make(map[string]*sample)} }

// add adds a value to the sample of that name.
func (s *samples) add(one sample, value float64, disturbed bool) {
	id := one.scenario + "." + one.name
	known := s.index[id]
	if known == nil {
		known = &one
		s.index[id] = known
		s.all = append(s.all, known)
	}
	known.values = append(known.values, value)
	if disturbed {
		known.disturbed++
	}
}

// addRun adds the figures of the scenarios that pass keep.
func (s *samples) addRun(r *Run, keep func(*Scenario) bool) {
	names := r.names()
	for i, one := range r.Scenarios {
		if !keep(one) {
			continue
		}
		disturbed := r.Environment.Race || one.Share != nil && *one.Share < 1
		for _, c := range one.Checks {
			if c.Beside != nil && c.Beside.Ratio.Bounded() { // a few tries tell no ratio
				s.add(sample{scenario: names[i], name: ratioOf(c.Criterion), better: betterOf(c), judged: true},
					c.Beside.Ratio.Median, false)
			}
		}
		for _, m := range one.metrics() {
			if m.better != neither {
				s.add(sample{
					scenario: names[i], name: m.name, ratio: judgedBeside(one.ID, m.name),
					unit: m.unit, better: m.better, judged: m.judged,
				}, m.value, m.timed && disturbed)
			}
		}
		for _, c := range one.Checks {
			if better := betterOf(c); better != neither && c.Measured != nil && c.Metric == "" {
				s.add(sample{
					scenario: names[i], name: c.Subject(), ratio: ratioOf(c.Criterion),
					unit: c.Unit, better: better, judged: true,
				}, *c.Measured, c.InTime() && disturbed)
			}
		}
	}
}

// ratioOf names the ratio of the figure of a criterion to the control's. It is what
// two machines can compare.
func ratioOf(c validate.Criterion) string { return c.Subject() + ".ratio" }

// judgedBeside is the ratio by which a metric of a scenario is judged, or "".
func judgedBeside(scenario, metric string) string {
	for _, c := range validate.Of(scenario) {
		if c.Scaling == validate.WithControl && string(c.Metric) == metric {
			return ratioOf(c)
		}
	}
	return ""
}

// betterOf is the direction in which a figure of a check gets better. One that
// must be reached exactly has none: it is right or wrong.
func betterOf(c validate.Check) direction {
	switch c.Comparison {
	case validate.AtLeast:
		return higher
	case validate.AtMost, validate.Below:
		return lower
	}
	return neither
}

// names are what the scenarios of a run are called among those of others: by
// their ID, and where several tests ran the same one, by that of the test too.
func (r *Run) names() []string {
	tests := make(map[string]map[string]bool)
	for _, s := range r.Scenarios {
		if s.State == NotRun {
			continue
		}
		if tests[s.ID] == nil {
			tests[s.ID] = make(map[string]bool)
		}
		tests[s.ID][s.Test] = true
	}
	names := make([]string, len(r.Scenarios))
	for i, s := range r.Scenarios {
		names[i] = s.ID
		if len(tests[s.ID]) > 1 {
			names[i] += "/test=" + s.Test
		}
	}
	return names
}

// metric is a figure of a scenario beside its checks.
type metric struct {
	name, unit string
	value      float64
	better     direction
	judged     bool // steady enough for a change of it to fail a run
	timed      bool // other work has part in it
}

// latencyMetrics are the figures of a distribution. Those of the far tail are
// shown and never judged: they come from a few operations.
func latencyMetrics(prefix string, l *measure.Latency, better direction) []metric {
	if l == nil || l.N == 0 {
		return nil
	}
	judged := better != neither
	return []metric{
		{name: prefix + ".mean", unit: "ns", value: l.Mean, better: better, judged: judged, timed: true},
		{name: prefix + ".p50", unit: "ns", value: float64(l.P50), better: better, judged: judged, timed: true},
		{name: prefix + ".p95", unit: "ns", value: float64(l.P95), better: better, judged: judged, timed: true},
		{name: prefix + ".p99", unit: "ns", value: float64(l.P99), better: better, judged: judged, timed: true},
		{name: prefix + ".p999", unit: "ns", value: float64(l.P999), better: better, timed: true},
		{name: prefix + ".max", unit: "ns", value: float64(l.Max), better: better, timed: true},
	}
}

// metrics are the figures of a scenario beside its checks: only those that were
// measured. The latencies of a burst have no direction: they follow from its
// throughput.
func (s *Scenario) metrics() []metric {
	var m []metric
	if s.State != NotRun {
		m = append(m, metric{name: "seconds", unit: "s", value: s.Seconds},
			metric{name: "operations", unit: "operations", value: float64(s.Operations)})
	}
	if b := s.Burst; b != nil {
		if b.Peak > 0 {
			m = append(m, metric{name: "burst.peak_in_flight", unit: "operations", value: float64(b.Peak)})
		}
		if b.Throughput > 0 {
			m = append(m, metric{name: "burst.throughput", unit: "ops/s", value: b.Throughput, better: higher, judged: true,
				timed: true})
		}
		m = append(m, latencyMetrics("burst", b.Latency, neither)...)
	}
	if st := s.Steady; st != nil {
		m = append(m, metric{name: "steady.offered", unit: "ops/s", value: st.Offered})
		m = append(m, latencyMetrics("steady", &st.Latency, lower)...)
	}
	if u := s.Memory; u != nil {
		m = append(m, metric{name: "memory.heap_peak", unit: "bytes", value: float64(u.Peak.Heap), better: lower},
			metric{name: "memory.stacks_peak", unit: "bytes", value: float64(u.Peak.Stacks), better: lower})
		if u.Peak.RSS != nil {
			m = append(m, metric{name: "memory.rss_peak", unit: "bytes", value: float64(*u.Peak.RSS), better: lower,
				judged: true})
		}
	}
	for _, c := range s.Connections {
		m = append(m, c.metrics()...)
	}
	return m
}
