package scenario

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

const (
	// mostPairs is after how many pairs of turns what is in doubt stays so.
	mostPairs = 4 * measure.LeastPairs
	// turnTime is how long a turn lasts at least, so that a garbage collection or two
	// do not decide it.
	turnTime = 40 * time.Millisecond
)

// turnCount is how many operations of a load of n make up one turn of it, at a rate:
// an eighth, so that eight are as many as the load, and more if that takes no time.
func turnCount(n int, rate float64) int {
	return max(n/measure.LeastPairs, int(rate*turnTime.Seconds()), 1)
}

// turns has subject and control take turns within the same seconds, A B B A and so
// on, so that what changes steadily strikes both alike: LeastPairs times, and as
// many again for as long as the outcome is in doubt. It returns false as soon as one
// of them does. Its time is bounded: a subject that is slow beyond measure has less
// turns, and a doubt is worth less still.
func (s *Scenario) turns(ctx context.Context, doubt func() bool, subject, control func() bool) (ok bool) {
	began := time.Now()
	ok = true
	s.UnderLoad(func() {
		for pair := 0; ok && pair < mostPairs; pair++ {
			bound := PhaseBound / 2
			if pair >= measure.LeastPairs {
				bound = Settle
			}
			late := time.Since(began) > bound*time.Duration(s.Hundreds())
			if ctx.Err() != nil || late || pair > 0 && pair%measure.LeastPairs == 0 && !doubt() {
				return
			}
			first, second := subject, control
			if pair%2 == 1 {
				first, second = control, subject
			}
			ok = collected(first) && collected(second)
		}
	})
	return ok
}

// collected takes a turn that begins without the garbage of the one before: so neither
// side pays for the other's, and the ledgers and samples of many turns, which are the
// kit's, never stand in memory together.
func collected(turn func() bool) bool {
	runtime.GC()
	return turn()
}

// CompareRate measures a criterion for the rate of a load of n operations, which
// the subject has just done at the rate of whole, by turns of subject and control at
// a part of it. Where the whole was too slow and the parts are not, turns of the
// whole decide. Each turn returns its rate, and false if it did not come to its
// end; then so does CompareRate. Compared is to judge what it returns.
func (s *Scenario) CompareRate(
	ctx context.Context, criterion string, n int, whole float64, subject, control func(n int) (float64, bool),
) (measure.Paired, bool) {
	if s.Environment().Race {
		return measure.Paired{Subject: whole, Control: whole}, true
	}
	rate, ok := control(max(n/measure.LeastPairs, 1)) // so that it has its connections, too
	if !ok {
		return measure.Paired{}, false
	}
	c, ok := s.rates(ctx, criterion, turnCount(n, min(whole, rate)), subject, control)
	if target := s.criterion(criterion).Target; ok && whole < target && c.Subject >= target {
		c, ok = s.rates(ctx, criterion, n, subject, control)
	}
	return c, ok
}

// rates takes turns at n operations each.
func (s *Scenario) rates(
	ctx context.Context, criterion string, n int, subject, control func(n int) (float64, bool),
) (c measure.Paired, ok bool) {
	as := s.criterion(criterion)
	var pairs []measure.Pair
	var p measure.Pair
	turn := func(of func(int) (float64, bool), to *float64) func() bool {
		return func() (ok bool) {
			*to, ok = of(n)
			if p.Subject > 0 && p.Control > 0 {
				pairs, p = append(pairs, p), measure.Pair{}
			}
			return ok
		}
	}
	ok = s.turns(ctx, func() bool {
		c = measure.ComparePairs(pairs)
		return as.Judge(c).Doubt || s.slowness.JudgeSlowness(as.Slower(c)).Doubt
	}, turn(subject, &p.Subject), turn(control, &p.Control))
	return measure.ComparePairs(pairs), ok && len(pairs) > 0
}

// Compared judges a figure beside that of the control, and how much slower the subject
// was.
func (s *Scenario) Compared(criterion string, c measure.Paired) {
	if s.Environment().Race {
		s.NotCompared(report.RaceReason, criterion)
		return
	}
	as := s.criterion(criterion)
	s.evidence(s.list.Compare(as.ID, c))
	if s.slowness.ID != "" {
		s.behind(criterion, as.Slower(c))
	}
}

// behind judges by how many times the subject was slower, in the worst of its figures.
func (s *Scenario) behind(criterion string, slower measure.Interval) {
	if s.slower == nil {
		s.slower = make(map[string]measure.Interval)
	}
	s.slower[criterion] = slower
	worst := slices.MaxFunc(slices.Collect(maps.Values(s.slower)), func(a, b measure.Interval) int {
		return cmp.Compare(a.Median, b.Median)
	})
	s.evidence(s.list.Slower(s.slowness.ID, worst))
}

// MostTries is how often something is tried that takes long, such as a recovery.
const MostTries = 2 * measure.LeastPairs

// Tried judges a figure by the tries so far, each beside a control, and tells whether more
// of them may settle it: a single one never fails a subject.
func (s *Scenario) Tried(criterion string, tries []measure.Pair) (again bool) {
	c := measure.ComparePairs(tries)
	s.Compared(criterion, c)
	return len(tries) < MostTries && !s.Environment().Race && s.criterion(criterion).Judge(c).Doubt
}

// NotCompared says of criteria why nothing was compared.
func (s *Scenario) NotCompared(why string, criteria ...string) {
	for _, c := range criteria {
		s.NotMeasured(c, "%s", why)
	}
	if s.slowness.ID != "" && s.slower == nil {
		s.NotMeasured(validate.Slowness, "%s", why)
	}
}

// criterion is that of the scenario with its target.
func (s *Scenario) criterion(name string) validate.Criterion {
	c, ok := s.find(name)
	if !ok {
		panic("scenario: no criterion " + s.ID + "." + name)
	}
	return c
}

// find is criterion for one that there may not be.
func (s *Scenario) find(name string) (validate.Criterion, bool) {
	for _, c := range s.Run.Criteria(s.ID) {
		if c.ID == s.ID+"."+name {
			return c, true
		}
	}
	return validate.Criterion{}, false
}

// SteadyTurn is what one turn of an open load comes to.
type SteadyTurn struct {
	Out load.Open
	Rec *measure.Recorder
}

// SteadyLoad offers n operations at a rate. It returns false if they did not come
// to their end.
type SteadyLoad = func(ctx context.Context, n int, rate float64) (SteadyTurn, bool)

// CompareSteady judges the latencies of an open load by turns of subject and
// control, to which the same load is offered, of n operations in all. It returns
// false if a turn did. The latencies are those over all turns.
func (s *Scenario) CompareSteady(ctx context.Context, n int, rate float64, subject, control SteadyLoad) bool {
	criteria := s.steadyCriteria()
	if s.Environment().Race {
		return s.SteadyAlone(ctx, report.RaceReason, n, rate, subject)
	}
	n = turnCount(n, rate)
	var all, beside joined
	compare := func(criterion string) (c measure.Paired) {
		as := s.criterion(criterion)
		for i := range min(len(all.latencies), len(beside.latencies)) {
			var p measure.Pair
			p.Subject, _ = latencyOf(as, all.latencies[i])
			p.Control, _ = latencyOf(as, beside.latencies[i])
			c.Pairs = append(c.Pairs, p)
		}
		c = measure.ComparePairs(c.Pairs)
		c.Subject, _ = latencyOf(as, all.rec.Latency())
		c.Control, _ = latencyOf(as, beside.rec.Latency())
		return c
	}
	ok := s.turns(ctx, func() bool {
		for _, name := range criteria {
			as, c := s.criterion(name), compare(name)
			if as.Judge(c).Doubt || s.slowness.JudgeSlowness(as.Slower(c)).Doubt {
				return true
			}
		}
		return false
	}, func() bool {
		return all.add(subject(ctx, n, rate))
	}, func() bool {
		return beside.add(control(ctx, n, rate))
	})
	if !ok || len(beside.latencies) == 0 {
		return false
	}
	merged := SteadyTurn{load.Join(all.outs), &all.rec}
	s.RecordSteady(merged.Out, merged.Rec.Latency(), merged.Rec.Series())
	if merged.Out.Saturated() {
		s.saturated(merged.Out, criteria)
		return true
	}
	for _, name := range criteria {
		s.Compared(name, compare(name))
	}
	return true
}

// SteadyAlone offers an open load to the subject alone, and judges nothing, for a
// reason.
func (s *Scenario) SteadyAlone(ctx context.Context, why string, n int, rate float64, subject SteadyLoad) bool {
	var t SteadyTurn
	ok := false
	s.UnderLoad(func() { t, ok = subject(ctx, n, rate) })
	if ok {
		s.RecordSteady(t.Out, t.Rec.Latency(), t.Rec.Series())
		s.NotCompared(why, s.steadyCriteria()...)
	}
	return ok
}

// steadyCriteria are those of the scenario for latencies of the steady run.
func (s *Scenario) steadyCriteria() (names []string) {
	for _, c := range s.Run.Criteria(s.ID) {
		if _, ok := latencyOf(c, measure.Latency{}); ok {
			names = append(names, c.Subject())
		}
	}
	return names
}

// latencyOf is the figure of a criterion for a latency, in ms.
func latencyOf(c validate.Criterion, l measure.Latency) (ms float64, ok bool) {
	var ns float64
	switch c.Metric {
	case validate.Mean:
		ns = l.Mean
	case validate.P50:
		ns = float64(l.P50)
	case validate.P95:
		ns = float64(l.P95)
	case validate.P99:
		ns = float64(l.P99)
	default:
		return 0, false
	}
	return max(ns, 1) / 1e6, true
}

// joined are the turns of one side.
type joined struct {
	outs      []load.Open
	latencies []measure.Latency // of each
	rec       measure.Recorder  // of all
}

func (j *joined) add(t SteadyTurn, ok bool) bool {
	if ok {
		j.outs = append(j.outs, t.Out)
		j.latencies = append(j.latencies, t.Rec.Latency())
		j.rec.Append(t.Rec)
	}
	return ok
}

// RecordSteady keeps an open load, with the latencies that count of it, for the report.
func (s *Scenario) RecordSteady(out load.Open, l measure.Latency, series []measure.Bin) {
	s.Record(func(r *report.Scenario) {
		r.Operations += out.N
		r.Steady = &report.Steady{Arrivals: s.Settings().Arrivals.String(), Asked: out.Asked, Offered: out.Offered,
			N: out.N, Peak: out.Peak, Seconds: out.Took.Seconds(), Latency: l,
			LateP50: out.LateP50, LateP99: out.LateP99, LateMax: out.LateMax, Series: series}
	})
}

// saturated says that the load was not offered at its rate: then nothing is said of
// the subject.
func (s *Scenario) saturated(out load.Open, criteria []string) {
	asked := "this machine"
	if s.Settings().Rate > 0 {
		asked = fmt.Sprintf("STRESS_RATE=%g on this machine", s.Settings().Rate)
	}
	for _, c := range criteria {
		s.NotMeasured(c, "%s: the generator offered %.0f of %.0f ops/s", asked, out.Offered, out.Asked)
	}
}
