package scenario

import (
	"tensile/stress/load"
)

// steadyShare is the part of the measured throughput at which a steady run is
// offered, unless the rate is set.
const steadyShare = 0.6

// SteadyRate is the rate of the steady run of a subject whose throughput was
// measured just now.
func (s *Scenario) SteadyRate(throughput float64) float64 {
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
