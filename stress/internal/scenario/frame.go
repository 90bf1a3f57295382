package scenario

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"tensile/stress/internal/run"
	"tensile/stress/internal/settings"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Begin enters a scenario in the report and takes the baseline. It fails t if
// a setting is wrong, before any load.
func Begin(t *testing.T, id string) *Scenario {
	t.Helper()
	r, err := run.Current()
	if err != nil {
		t.Fatalf("stress: %v", err)
	}
	s := &Scenario{
		T: t, Run: r, ID: id, N: r.Settings.Scale, Seed: r.Settings.Seed, Began: time.Now(), place: run.Caller(), Shares: undisturbed,
		list: validate.NewChecklist(r.Criteria(id)), violations: make(map[string]int),
	}
	if s.list.Has(id + "." + validate.Slowness) {
		s.slowness = s.criterion(validate.Slowness)
	}
	if !r.Busy.CompareAndSwap(false, true) {
		t.Fatalf("stress: another kit is at work in this process, they must run one at a time: each counts what is left behind")
	}
	t.Cleanup(func() { r.Busy.Store(false) })
	t.Cleanup(r.CatchSignals())
	s.enter()
	debug.FreeOSMemory() // what earlier tests left is not this one's
	s.Crowded = s.isCrowded()
	s.baseline = measure.TakeBaseline()
	if r.Bloated {
		s.Note("Memory is not measured: a search in an earlier scenario has changed it for good.")
	} else {
		s.memory = measure.StartSampler(20 * time.Millisecond)
	}
	t.Cleanup(s.end)
	return s
}

// enter takes the slot of the scenario in the report, or a new one if it has
// run before.
func (s *Scenario) enter() {
	fill := func() {
		for i, slot := range s.Run.Report.Scenarios {
			if slot.ID != s.ID {
				continue
			}
			s.result = slot
			if slot.State != report.NotRun {
				s.result = &report.Scenario{Number: slot.Number, ID: slot.ID, Title: slot.Title}
				s.Run.Report.Scenarios = append(s.Run.Report.Scenarios[:i+1:i+1],
					append([]*report.Scenario{s.result}, s.Run.Report.Scenarios[i+1:]...)...)
			}
			break
		}
		s.result.Test, s.result.State, s.result.N, s.result.Checks = s.T.Name(), report.Running, s.N, s.list.Checks()
		s.result.Replay = fmt.Sprintf("%sSTRESS_SEED=%d STRESS_SCALE=%d go test -count=1 -run '^%s$' .", s.chosen(), s.Seed, s.N, s.T.Name())
	}
	if err := s.Run.Update(fill); err != nil {
		s.T.Fatalf("stress: %v", err)
	}
	s.Run.Folder.Logf("%s begins: %s", s.ID, s.T.Name())
}

// Replay is the command that repeats the run, or the phase at work.
func (s *Scenario) Replay() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == nil {
		return s.result.Replay
	}
	phase := strings.ReplaceAll(s.phase.Name(), "/", "$/^")
	return strings.Replace(s.result.Replay, "'^"+s.T.Name()+"$'", "'^"+phase+"$'", 1)
}

// chosen are the settings of what is tried and how it is judged, where any was made.
func (s *Scenario) chosen() (text string) {
	if name := s.Settings().Engine; name != settings.InMemory {
		text = "STRESS_ENGINE=" + name + " "
	}
	if len(s.Settings().Targets) > 0 {
		text += fmt.Sprintf("STRESS_TARGETS='%s' ", os.Getenv("STRESS_TARGETS"))
	}
	return text
}

// end judges the scenario, leaves it in the report and prints its line. It is
// called when the test is over, also by a panic.
func (s *Scenario) end() {
	s.StopMemory()
	s.mu.Lock()
	checks := s.list.Checks()
	s.result.Checks = checks
	if s.Shares.known {
		least := s.Shares.least
		s.result.Share = &least
	}
	s.result.Seconds = time.Since(s.Began).Seconds()
	s.mu.Unlock()

	validate.Assert(failer{s}, checks)
	if over := s.overMemory(); over != "" {
		s.Fail("%s", over)
	}
	for _, d := range s.Run.Regressions(s.ID, s.result.Test) {
		s.Fail("regression beyond %.3g %%: %s", *s.Run.Settings.Regression, d)
	}
	state := report.Passed
	if s.T.Failed() {
		state = report.Failed
		s.T.Logf("seed %d; to repeat it: %s", s.Seed, s.result.Replay)
	}
	s.closeLogs()
	if state == report.Passed {
		if err := s.Run.Folder.RemoveLogs(s.ID); err != nil {
			s.T.Errorf("stress: %v", err)
		}
	}
	if err := s.Run.Update(func() { s.result.State = state }); err != nil {
		s.T.Errorf("stress: %v", err)
	}
	s.Run.Folder.Logf("%s ends: %s", s.ID, state)
	s.Run.Console.Printf("%s", s.result.Line())
	s.annotate()
}

func (s *Scenario) Failed() bool { return s.T.Failed() }

// Hundreds is N in hundred thousands, and no less than one: by it grow bounds of
// time.
func (s *Scenario) Hundreds() int { return max(1, s.N/validate.BaseScale) }

// Phase runs one part as a subtest, unless an earlier one hung. The body has a
// goroutine of its own, so that a subject that hangs or panics fails the phase
// and not the process. What fails in it fails its subtest. Phase returns false if
// anything of the scenario has failed so far.
func (s *Scenario) Phase(name string, body func(ctx context.Context, t *testing.T)) bool {
	return s.LongPhase(name, PhaseBound*time.Duration(s.Hundreds()), body)
}

// LongPhase is a phase with a time bound of its own.
func (s *Scenario) LongPhase(name string, bound time.Duration, body func(ctx context.Context, t *testing.T)) bool {
	if s.Aborted {
		return false
	}
	began := time.Now()
	s.Run.Folder.Logf("%s: %s", s.ID, name)
	s.Run.Progress.Phase(fmt.Sprintf("stress %d/9 %s: %s", s.result.Number, s.result.Title, name))
	defer s.Run.Progress.End()
	ran := false // or -run leaves it out
	ok := s.T.Run(name, func(t *testing.T) {
		ran = true
		s.at(t)
		defer s.at(nil)
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer s.Recovered(name)
			body(ctx, t)
		}()
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		select {
		case <-done:
			s.Fail("%s: %s took more than %v", s.ID, name, bound)
		case <-time.After(load.Grace + Settle):
			s.Aborted = true
			s.Fail("%s: %s hangs: the subject does not return even though its context has ended %v ago", s.ID, name, load.Grace+Settle)
		}
	})
	if ran {
		state := report.Passed
		if !ok {
			state = report.Failed
		}
		s.RecordPhase(name, state, began)
	}
	return ok && !s.Failed()
}

// Within gives the body of a phase less time than a phase has: enough for what
// is done in an instant, so that a subject that forgets somebody is found out
// soon. What follows a phase that ran out of time would only do so too.
func (s *Scenario) Within(d time.Duration, body func(context.Context, *testing.T)) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		body(ctx, t)
		if ctx.Err() != nil {
			s.Aborted = true
			s.Fail("%s: %s took more than %v, nothing else was tried", s.ID, t.Name(), d)
		}
	}
}

// Recovered turns a panic on a goroutine of the kit into a failure.
func (s *Scenario) Recovered(where string) {
	if value := recover(); value != nil {
		s.Fail("%s: %s: panic: %v\n%s", s.ID, where, value, debug.Stack())
	}
}

// Follow shows on the terminal how far a load has come: how many of total
// operations have ended, and how many are in flight, unless that is nil.
func (s *Scenario) Follow(total int, ended, inFlight func() int) {
	s.Run.Progress.Follow(run.Offered{Total: total, Done: ended, InFlight: inFlight})
}
