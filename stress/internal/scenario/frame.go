package scenario

import (
	"runtime/debug"
	"testing"
	"time"

	"tensile/stress/internal/run"
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
		T: t, Run: r, ID: id, N: r.Settings.Scale, Seed: r.Settings.Seed, Began: time.Now(), place: run.Caller(),
		Shares: undisturbed, list: validate.NewChecklist(r.Criteria(id)), violations: make(map[string]int),
	}
	if s.list.Has(id + "." + validate.Slowness) {
		s.slowness = s.criterion(validate.Slowness)
	}
	if !r.Busy.CompareAndSwap(false, true) {
		t.Fatalf("stress: another kit is at work in this process, they must run one at a time: each counts what is left " +
			"behind")
	}
	t.Cleanup(func() { r.Busy.Store(false) })
	t.Cleanup(r.CatchSignals())
	s.enter()
	debug.FreeOSMemory() // what earlier tests left is not this one's
	s.Crowded = s.isCrowded()
	s.baseline = measure.TakeBaseline()
	s.startMemory()
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
		s.result.Replay = s.Replay()
	}
	if err := s.Run.Update(fill); err != nil {
		s.T.Fatalf("stress: %v", err)
	}
	s.Run.Folder.Logf("%s begins: %s", s.ID, s.T.Name())
}

// end judges the scenario, leaves it in the report and prints its line. It is
// called when the test is over, also by a panic.
func (s *Scenario) end() {
	if s.Run.Ending() {
		select {} // the last word is said elsewhere, and the process ends
	}
	s.StopMemory()
	s.judgeMemory()
	s.settle()
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
	for _, d := range s.Run.Regressions(s.ID, s.result.Test) {
		s.Fail("regression beyond %.3g %%: %s", *s.Run.Settings.Regression, d)
	}
	s.mu.Lock()
	s.result.PhasesRun, s.result.PhasesAll = s.phases()
	state := stateOf(s.T.Failed(), s.result.PhasesRun, s.result.PhasesAll)
	s.result.Replay = s.Replay()
	s.mu.Unlock()
	if state == report.Failed {
		s.T.Logf("seed %d; to repeat it: %s", s.Seed, s.result.Replay)
	}
	s.closeLogs()
	if state != report.Failed {
		if err := s.Run.Folder.RemoveLogs(s.ID); err != nil {
			s.T.Errorf("stress: %v", err)
		}
	}
	if err := s.Run.Update(func() { s.result.State = state }); err != nil {
		s.T.Errorf("stress: %v", err)
	}
	s.Run.Leave()
	s.Run.Folder.Logf("%s ends: %s", s.ID, s.result.Outcome)
	s.Run.Console.Printf("%s", s.result.Line())
	s.annotate()
}

// phases are how many have run, and how many there are.
func (s *Scenario) phases() (run, all int) {
	for _, l := range s.lines {
		if l.state != report.NotRun {
			run++
		}
	}
	return run, len(s.lines)
}

// stateOf is how a scenario has ended of whose phases so many ran.
func stateOf(failed bool, run, all int) report.State {
	switch {
	case failed:
		return report.Failed
	case run == 0:
		return report.NothingRan
	case run < all:
		return report.Partial
	}
	return report.Passed
}

// Failed tells whether anything of the scenario has failed so far.
func (s *Scenario) Failed() bool { return s.T.Failed() }

// Hundreds is N in hundred thousands, and no less than one: by it grow bounds of
// time.
func (s *Scenario) Hundreds() int { return max(1, s.N/validate.BaseScale) }

// Recovered turns a panic on a goroutine of the kit into a failure.
func (s *Scenario) Recovered(where string) {
	if value := recover(); value != nil {
		s.Fault("%s: panic: %v\n%s", where, value, debug.Stack())
	}
}

// Follow shows on the terminal how far a load has come: how many of total
// operations have ended, and how many are in flight, unless that is nil.
func (s *Scenario) Follow(total int, ended, inFlight func() int) {
	s.Run.Progress.Follow(run.Offered{Total: total, Done: ended, InFlight: inFlight})
}
