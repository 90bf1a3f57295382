package scenario

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"tensile/stress/report"
)

// Repeats keeps a figure that was measured several times.
func (s *Scenario) Repeats(name string, values []float64, criterion string) {
	times := report.Repeats{Name: name, Unit: "ms", Values: values}
	if target := s.Target(criterion); !math.IsNaN(target) {
		times.Target = &target
	}
	s.Record(func(r *report.Scenario) { r.Repeats = append(r.Repeats, times) })
}

// annotate marks a failed scenario at the line of its test.
func (s *Scenario) annotate() {
	if len(s.result.Failures) == 0 {
		return
	}
	first := s.result.Failures[:min(len(s.result.Failures), fewViolations)]
	s.Run.Annotate(s.place, "Stress: "+s.result.Title,
		strings.Join(append(slices.Clone(first), "to repeat it: "+s.result.Replay), "\n"))
}

// failer lets testify fail a scenario.
type failer struct{ *Scenario }

// Errorf keeps the message alone: the trace that testify puts before it is that
// of the harness.
func (f failer) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if _, message, ok := strings.Cut(text, "Error:"); ok {
		text = strings.TrimSpace(message)
	}
	f.Fail("%s", text)
}

// Record changes what the report says of the scenario, under its lock.
func (s *Scenario) Record(change func(*report.Scenario)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.result)
}

// RecordBurst changes what the report says of the closed load of N, to which several
// phases may add.
func (s *Scenario) RecordBurst(change func(*report.Burst)) {
	s.Record(func(r *report.Scenario) {
		if r.Burst == nil {
			r.Burst = &report.Burst{N: s.N}
		}
		change(r.Burst)
	})
}

// Fail fails the phase at work, and with it the test, and keeps the message for the
// report. Between phases it fails the test alone.
func (s *Scenario) Fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.Run.Ending() {
		return // whatever has just gone was taken away
	}
	s.evident.Do(func() { s.kept = s.keepEvidence() })
	s.mu.Lock()
	if s.kept != "" && len(s.result.Failures) == 0 {
		text += "\n" + s.kept
	}
	s.result.Failures = append(s.result.Failures, text)
	s.mu.Unlock()
	s.Run.Folder.Logf("%s FAILED: %s", s.ID, text)
	s.mu.Lock() // or the phase might end before the text comes
	defer s.mu.Unlock()
	if s.phase != nil {
		s.phase.Error(text)
	} else {
		s.T.Error(text)
	}
}

// Note keeps a remark for the report.
func (s *Scenario) Note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.Record(func(r *report.Scenario) { r.Notes = append(r.Notes, text) })
	s.Run.Folder.Logf("%s: %s", s.ID, text)
}

// Logf writes a line to the log of the run.
func (s *Scenario) Logf(format string, args ...any) {
	s.Run.Folder.Logf("%s: %s", s.ID, fmt.Sprintf(format, args...))
}

// RecordPhase keeps a phase that has just ended.
func (s *Scenario) RecordPhase(name string, state report.State, began time.Time) {
	s.Record(func(r *report.Scenario) {
		r.Phases = append(r.Phases, report.Phase{Name: name, State: state,
			At: began.Sub(s.Began).Seconds(), Seconds: time.Since(began).Seconds()})
	})
}

// Subject names what is tested in the report. It ends the phase, and the
// scenario, if there is nothing to be tested.
func (s *Scenario) Subject(subject any) {
	if subject == nil {
		s.Aborted = true
		s.Fail("%s: there is no subject: the function that was passed to the kit returned nil", s.ID)
		runtime.Goexit()
	}
	s.AddSubject(TypeName(subject))
}

// AddSubject is subject for one that is known by its type's name only, as its
// process told.
func (s *Scenario) AddSubject(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.result.Subject == "":
		s.result.Subject = name
	case !strings.Contains(s.result.Subject, name):
		s.result.Subject += ", " + name
	}
}

// TypeName is how a subject is named in the report.
func TypeName(subject any) string { return fmt.Sprintf("%T", subject) }
