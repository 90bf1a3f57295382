package report

import (
	"slices"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Derive computes the state of a run, the criteria of the whole run and the
// acceptance from the scenarios.
func Derive(r *Run) {
	var broken []string
	r.State = NotRun
	for _, s := range r.Scenarios {
		s.Outcome = s.words()
		if s.State == NotRun {
			continue
		}
		r.State = worse(r.State, s.State)
		if slices.Contains([]State{Failed, Interrupted, Running}, s.State) {
			broken = append(broken, s.ID)
		}
	}
	if r.State == NotRun {
		r.State = Running
	}
	r.Outcome = r.words()
	r.Checks = wholeRun(r.Scenarios, r.Environment)
	checks := r.Checks
	for _, s := range r.Scenarios {
		checks = append(checks[:len(checks):len(checks)], s.Checks...)
	}
	r.Acceptance = validate.Acceptances(checks, broken)
}

// wholeRun measures the criteria of the whole run by the scenarios that have
// run: each takes the worst.
func wholeRun(scenarios []*Scenario, e measure.Environment) []validate.Check {
	list := validate.NewChecklist(validate.Of(validate.WholeRun))
	worst := make(map[string]validate.Check)
	consider := func(id string, c validate.Check) {
		if c.Measured == nil && c.Beside != nil {
			c.Measured = &c.Beside.Subject // the control decides about it, as it did
		}
		if c.Measured == nil {
			return
		}
		w, seen := worst[id]
		lower := c.Comparison == validate.AtLeast || c.Unit == "%"
		if !seen || lower && *c.Measured < *w.Measured || !lower && *c.Measured > *w.Measured {
			worst[id] = c
		}
	}
	share := 1.0
	for _, s := range scenarios {
		if s.Share != nil {
			share = min(share, *s.Share)
		}
		for _, c := range s.Checks {
			if c.Part != "" {
				consider(c.Part, c)
			}
		}
	}
	for id, c := range worst {
		if c.Specified != nil { // another target was set
			list.Adopt(validate.WholeRun+"."+id, c)
			continue
		}
		if c.Beside != nil {
			list.Compare(validate.WholeRun+"."+id, *c.Beside)
			continue
		}
		list.Measure(validate.WholeRun+"."+id, *c.Measured, validate.Conditions{Scale: e.Scale, Share: share})
	}
	if e.Race {
		for _, id := range slowedByRace {
			list.Leave(validate.WholeRun+"."+id, validate.NotMeasured, RaceReason)
		}
	}
	return list.Checks()
}

// RaceReason is why figures in time are not judged under the race detector.
const RaceReason = "the race detector slows down and takes memory"

var slowedByRace = []string{"throughput", "p50", "p95", "p99", validate.PeakMemory}
