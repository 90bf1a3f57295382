package scenario

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tensile/stress/load"
	"tensile/stress/report"
)

// Phase is one line of a kit's table of contents, and a subtest of its own. It makes
// what it needs where no earlier phase has, so that -run may ask for it alone.
type Phase struct {
	Name string
	Body func(ctx context.Context, t *testing.T)
	// Shows names the criteria that the phase has a part in, without their scenario
	// and with spaces between them. A criterion passes only after all its phases
	// have. A fault without a criterion of its own counts against the first.
	Shows string
	Sound bool          // the phase is only for a subject with which nothing was wrong before
	Bound time.Duration // of its time; 0 is for PhaseBound, in proportion to N
	// Within is less time than a phase has, for what is done in an instant: see within.
	Within time.Duration
	// Ready says whether the phase may run now; nil if it always may. A phase that
	// is not ready is left to a later line of the same name.
	Ready func() bool
}

// line is what became of a phase.
type line struct {
	name  string
	shows []string
	state report.State // NotRun if it was left out or not reached
	why   string       // it did not pass, of several: as in "were left out"
}

// Take runs phases in order. It may be called again for those that come later.
func (s *Scenario) Take(phases ...Phase) {
	for _, p := range phases {
		if s.lineOf(p.Name) != nil || p.Ready != nil && !p.Ready() {
			continue
		}
		l := &line{name: p.Name, shows: strings.Fields(p.Shows), state: report.NotRun}
		s.lines = append(s.lines, l)
		switch {
		case s.Aborted:
			l.why = "were not reached, as another phase ended the scenario"
		case p.Sound && s.Failed():
			l.why = "were not reached, as another phase failed"
		default:
			s.run(p, l)
		}
		if l.state == report.NotRun {
			s.Record(func(r *report.Scenario) {
				r.Phases = append(r.Phases, report.Phase{Name: l.name, State: l.state, At: time.Since(s.Began).Seconds()})
			})
		}
	}
}

// lineOf is the phase of that name among those taken, or nil.
func (s *Scenario) lineOf(name string) *line {
	if i := slices.IndexFunc(s.lines, func(l *line) bool { return l.name == name }); i >= 0 {
		return s.lines[i]
	}
	return nil
}

// run runs a phase as a subtest. The body has a goroutine of its own, so that a
// subject that hangs or panics fails the phase and not the process. What fails in it
// fails its subtest.
func (s *Scenario) run(p Phase, l *line) {
	bound, body := p.Bound, p.Body
	if bound == 0 {
		bound = PhaseBound * time.Duration(s.Hundreds())
	}
	if p.Within > 0 {
		body = s.within(p.Within, body)
	}
	began := time.Now()
	ok := s.T.Run(p.Name, func(t *testing.T) {
		l.state = report.Failed // until it has passed
		s.Run.Enter(s.ID, p.Name)
		s.Run.Progress.Phase(fmt.Sprintf("stress %d/9 %s: %s", s.result.Number, s.result.Title, p.Name))
		defer s.Run.Progress.End()
		s.at(t, l)
		defer s.at(nil, nil)
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer s.Recovered(p.Name)
			body(ctx, t)
		}()
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		select {
		case <-done:
			s.Fault("%s took more than %v", p.Name, bound)
		case <-time.After(load.Grace + Settle):
			s.Aborted = true
			s.Fault("%s hangs: the subject does not return even though its context has ended %v ago", p.Name, load.Grace+Settle)
		}
	})
	switch {
	case l.state == report.NotRun:
		l.why = "were left out by " + filters()
		return
	case ok:
		l.state = report.Passed
	default:
		l.why = "failed"
	}
	s.RecordPhase(p.Name, l.state, began)
}

// within gives the body of a phase less time than a phase has: enough for what
// is done in an instant, so that a subject that forgets somebody is found out
// soon. What follows a phase that ran out of time would only do so too.
func (s *Scenario) within(d time.Duration, body func(context.Context, *testing.T)) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		body(ctx, t)
		if ctx.Err() != nil {
			s.Aborted = true
			s.Fault("%s took more than %v, nothing else was tried", t.Name(), d)
		}
	}
}

// at makes t the phase that a failure is one of; nil ends it.
func (s *Scenario) at(t *testing.T, l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.main = t, ""
	if l == nil {
		return
	}
	for _, c := range l.shows {
		if s.main == "" || s.counts(c) {
			if s.main = c; s.counts(c) {
				return
			}
		}
	}
}

// Fault says that something of the subject is wrong that no criterion is for by
// itself. It counts against the first criterion of the phase at work.
func (s *Scenario) Fault(format string, args ...any) {
	s.mu.Lock()
	main := s.main
	s.mu.Unlock()
	if main == "" {
		s.Fail("%s: %s", s.ID, fmt.Sprintf(format, args...))
		return
	}
	s.Violate(main, format, args...)
}
