package scenario

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// fewViolations is how many messages of one criterion are printed.
const fewViolations = 3

// Violate counts that something which must hold did not, and fails the test.
func (s *Scenario) Violate(criterion, format string, args ...any) {
	s.mu.Lock()
	if s.main != "" && !s.list.Has(s.ID+"."+criterion) { // of a scenario that shares a part with this one
		criterion, format = s.main, criterion+": "+format
	}
	s.violations[criterion]++
	n := s.violations[criterion]
	s.mu.Unlock()
	if n <= fewViolations {
		s.Fail("%s.%s: %s", s.ID, criterion, fmt.Sprintf(format, args...))
	}
}

// Violated is how often violate was called for a criterion.
func (s *Scenario) Violated(criterion string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.violations[criterion]
}

// Book adds what a ledger says, and names what is wrong.
func (s *Scenario) Book(phase string, a measure.Account) {
	s.Account = s.Account.Add(a)
	if !a.Clean() {
		s.Fail("%s, %s: %s", s.ID, phase, a)
	}
}

// JudgeLedger keeps the account of all that was booked, and measures its faults
// by those criteria that the scenario has for them.
func (s *Scenario) JudgeLedger() {
	a := s.Account
	s.Record(func(r *report.Scenario) { r.Ledger = &a })
	for _, f := range a.Kinds() {
		if s.list.Has(s.ID + "." + f.Name) {
			s.Measured(f.Name, float64(f.N))
		}
	}
}

func (s *Scenario) Conditions() validate.Conditions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return validate.Conditions{Scale: s.N, Share: s.Shares.least}
}

// Measured compares a figure with its criterion.
// Where it is missed that is not said before the end, with all others; but the
// evidence is kept now.
func (s *Scenario) Measured(criterion string, figure float64) {
	s.Judge(criterion, figure, s.Conditions())
}

func (s *Scenario) Judge(criterion string, figure float64, where validate.Conditions) {
	s.evidence(s.list.Measure(s.ID+"."+criterion, figure, where))
}

// evidence keeps what there is where a check that must hold does not.
func (s *Scenario) evidence(c validate.Check) {
	if c.Kind == validate.Must && c.Verdict == validate.Failed {
		s.evident.Do(func() { s.kept = s.keepEvidence() })
	}
}

// Timed is measured for figures that mean nothing under the race detector.
func (s *Scenario) Timed(criterion string, figure float64) {
	if s.Environment().Race {
		s.NotMeasured(criterion, report.RaceReason)
		return
	}
	s.Measured(criterion, figure)
}

// Target is that of a criterion of the scenario, at N = 100,000 and on a machine
// of its own; NaN if there is none of that name.
func (s *Scenario) Target(criterion string) float64 {
	if c, ok := s.find(criterion); ok {
		return c.Target
	}
	return math.NaN()
}

// NotOffered says of a criterion that the subject lacks the ability for it.
func (s *Scenario) NotOffered(criterion, why string) {
	s.list.Leave(s.ID+"."+criterion, validate.NotOffered, why)
}

// NotMeasured says of a criterion why there is no figure.
func (s *Scenario) NotMeasured(criterion, why string, args ...any) {
	s.list.Leave(s.ID+"."+criterion, validate.NotMeasured, fmt.Sprintf(why, args...))
}

// Unfinished tells whether operations of a load have not ended. Then the
// scenario fails for it, and is aborted: what hangs is still there.
func (s *Scenario) Unfinished(criterion string, left, n int, took time.Duration, why error) bool {
	if left == 0 {
		return false
	}
	s.Aborted = true
	if errors.Is(why, context.DeadlineExceeded) {
		s.Violate(criterion, "too slow: %d of %d operations ended in %v", n-left, n, took.Round(time.Millisecond))
	} else {
		s.Violate(criterion, "%d of %d operations never ended: %v", left, n, why)
	}
	return true
}

// Finished is an error if operations are left.
func Finished(left int) error {
	if left > 0 {
		return fmt.Errorf("%d operations have not ended", left)
	}
	return nil
}
