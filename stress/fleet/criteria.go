package fleet

import (
	"fmt"
	"math"
	"slices"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Criteria are what a load is held to unless it says otherwise.
var Criteria = []validate.Criterion{
	must("failed", "operations that failed", validate.Equal, 0, "operations", validate.Fixed),
	must("unfinished", "operations that were not started or did not end", validate.Equal, 0, "operations", validate.Fixed),
	must("p50", "latency, median", validate.Below, 50, "ms", validate.WithShare),
	must("p95", "latency, 95th percentile", validate.Below, 75, "ms", validate.WithShare),
	must("p99", "latency, 99th percentile", validate.Below, 100, "ms", validate.WithShare),
}

// Throughput is the criterion that so many operations a second, or more, succeed.
// A load is held to it only where it is among its Criteria.
func Throughput(least float64) validate.Criterion {
	return must("throughput", "operations that succeeded", validate.AtLeast, least, "ops/s", validate.WithShare)
}

const scenario = "fleet"

func must(id, name string, c validate.Comparison, target float64, unit string, s validate.Scaling) validate.Criterion {
	return validate.Criterion{ID: scenario + "." + id, Scenario: scenario, Name: name,
		Comparison: c, Target: target, Unit: unit, Kind: validate.Must, Scaling: s}
}

// figures are what criteria may be about, by their IDs.
var figures = map[string]func(r *Result) float64{
	scenario + ".failed":     func(r *Result) float64 { return float64(r.Failed) },
	scenario + ".unfinished": func(r *Result) float64 { return float64(r.Asked - r.Succeeded - r.Failed) },
	scenario + ".throughput": func(r *Result) float64 { return r.Throughput },
	scenario + ".p50":        latency(func(l measure.Latency) int64 { return l.P50 }),
	scenario + ".p95":        latency(func(l measure.Latency) int64 { return l.P95 }),
	scenario + ".p99":        latency(func(l measure.Latency) int64 { return l.P99 }),
	scenario + ".p999":       latency(func(l measure.Latency) int64 { return l.P999 }),
	scenario + ".max":        latency(func(l measure.Latency) int64 { return l.Max }),
}

// latency is a figure in ms. Where no operation succeeded there is none, and that
// is no pass.
func latency(of func(measure.Latency) int64) func(*Result) float64 {
	return func(r *Result) float64 {
		if r.Latency.N == 0 {
			return math.NaN()
		}
		return float64(of(r.Latency)) / 1e6
	}
}

// known tells whether there is a figure for a criterion.
func known(c validate.Criterion) bool { return figures[c.ID] != nil }

// quiet is the part of the processors from which on a machine counts as idle but
// for the fleet.
const quiet = 0.95

// judge compares the figures with the criteria.
func (r *Result) judge(criteria []validate.Criterion) {
	if criteria == nil {
		criteria = Criteria
	}
	conditions := validate.Conditions{Scale: validate.BaseScale, Share: 1}
	for _, p := range r.Parts {
		if p.Processors != nil && *p.Processors < quiet {
			conditions.Share = min(conditions.Share, *p.Processors)
		}
	}
	list := validate.NewChecklist(slices.Clone(criteria))
	for _, c := range criteria {
		figure := figures[c.ID](r)
		if r.Saturated && c.Scaling == validate.WithShare {
			list.Leave(c.ID, validate.NotMeasured, "generator saturated; the figure was "+validate.With(figure, c.Unit))
			continue
		}
		check := list.Measure(c.ID, figure, conditions)
		// With a part of the load alone, what does not hold does not hold with
		// all of it. It says nothing that it does hold, but for what must be
		// reached.
		conclusive := (check.Verdict == validate.Passed) == (c.Comparison == validate.AtLeast)
		if !r.Complete() && !conclusive {
			list.Leave(c.ID, validate.NotMeasured, fmt.Sprintf("with %s of the load the figure was %s",
				percent(r.Share), validate.With(figure, c.Unit)))
		}
	}
	r.Checks = list.Checks()
}
