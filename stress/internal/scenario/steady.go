package scenario

import (
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// steadyShare is the part of the measured throughput at which a steady run is
// offered, unless the rate is set.
const steadyShare = 0.6

// SteadyRate is the rate of the steady run of a subject whose throughput was
// measured just now.
func (s *Scenario) SteadyRate(throughput float64) float64 {
	s.mu.Lock()
	s.Shares.Sized = s.Shares.Last
	s.mu.Unlock()
	if s.Settings().Rate > 0 {
		return s.Settings().Rate
	}
	return throughput * steadyShare
}

// steadyTime bounds a steady run in seconds: by then nothing new is to be seen.
const steadyTime = 10

// SteadyCount is how many operations of n a steady run offers at a rate.
func SteadyCount(n int, rate float64) int { return min(n, max(int(rate*steadyTime), 1)) }

// Saturated tells whether an open load was not offered at its rate. Then it says
// nothing of the subject: the scenario fails for that, unless other work held
// the processors.
func (s *Scenario) Saturated(out load.Open) bool {
	if !out.Saturated() {
		return false
	}
	complain := s.Fail
	if s.Conditions().Share < 1 {
		complain = s.Note
	}
	complain("%s: generator saturated: it offered %.0f of %.0f ops/s; nothing is said of the subject",
		s.ID, out.Offered, out.Asked)
	return true
}

// SteadyResult keeps an open load and judges its latencies.
func (s *Scenario) SteadyResult(out load.Open, l measure.Latency, series []measure.Bin) {
	s.Record(func(r *report.Scenario) {
		r.Operations += out.N
		r.Steady = &report.Steady{Arrivals: s.Settings().Arrivals.String(), Asked: out.Asked, Offered: out.Offered,
			N: out.N, Peak: out.Peak, Seconds: out.Took.Seconds(), Latency: l,
			LateP50: out.LateP50, LateP99: out.LateP99, LateMax: out.LateMax, Series: series}
	})
	s.delayed("p50", float64(l.P50))
	s.delayed("p95", float64(l.P95))
	s.delayed("p99", float64(l.P99))
}

// delayed judges a latency of the steady run, given in ns, by its criterion in
// ms. A moment in which other work took the processors makes a backlog of every
// open load: so it is the worst moment that counts, and where it left less than
// the load needs the figure says nothing.
func (s *Scenario) delayed(criterion string, ns float64) {
	now := s.ProcessorShares()
	if now.Worst < EnoughShare*now.Sized {
		s.NotMeasured(criterion,
			"other work left %.0f %% of the processors for a moment, and %.0f %% when the load was sized; the figure was %s",
			100*now.Worst, 100*now.Sized, validate.With(ns/1e6, "ms"))
		return
	}
	s.TimedAt(criterion, ns/1e6, now.Worst)
}

// EnoughShare is the part of the processors, of what there was when a steady
// load was sized, below which it cannot be served: with some room above
// steadyShare.
const EnoughShare = 0.75
