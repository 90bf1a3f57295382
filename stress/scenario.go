package stress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/run"
	"tensile/stress/internal/settings"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Time bounds. None judges how fast a subject is: they are there so that one
// that hangs fails with a message instead of the time limit of go test. All
// are in proportion to STRESS_PATIENCE, in the child processes too.
var (
	settleBound = settings.Patience() // for what was told to end
	stallBound  = settleBound * 3 / 2 // without any operation ending
	phaseBound  = settleBound * 6     // up to N = 100,000, and in proportion beyond
)

// scenario is one kit at work on one subject.
type scenario struct {
	t        *testing.T
	run      *run.Run
	id       string
	n        int
	seed     uint64
	list     *validate.Checklist
	baseline measure.Baseline
	memory   *measure.Sampler
	began    time.Time
	place    run.Place // of the test

	evident sync.Once // that evidence of the first failure is kept
	kept    string    // names its files

	mu         sync.Mutex
	result     *report.Scenario
	violations map[string]int
	account    measure.Account     // of all ledgers booked
	logs       map[string]*os.File // of child processes, by name
	aborted    bool                // a phase hung: what follows would say nothing
	crowded    bool                // other goroutines of the process keep the processors busy
	shares     shares
}

// begin enters a scenario in the report and takes the baseline. It fails t if
// a setting is wrong, before any load.
func begin(t *testing.T, id string) *scenario {
	t.Helper()
	r, err := run.Current()
	if err != nil {
		t.Fatalf("stress: %v", err)
	}
	s := &scenario{
		t: t, run: r, id: id, n: r.Settings.Scale, seed: r.Settings.Seed, began: time.Now(), place: run.Caller(), shares: undisturbed,
		list: validate.NewChecklist(r.Criteria(id)), violations: make(map[string]int),
	}
	if !r.Busy.CompareAndSwap(false, true) {
		t.Fatalf("stress: another kit is at work in this process, accepted is one at a time: each counts what is left behind")
	}
	t.Cleanup(func() { r.Busy.Store(false) })
	t.Cleanup(r.CatchSignals())
	s.enter()
	debug.FreeOSMemory() // what earlier tests left is not this one's
	s.crowded = s.isCrowded()
	s.baseline = measure.TakeBaseline()
	if r.Bloated {
		s.note("Memory is not measured: a search in an earlier scenario has left its mark on it.")
	} else {
		s.memory = measure.StartSampler(20 * time.Millisecond)
	}
	t.Cleanup(s.end)
	return s
}

// enter takes the slot of the scenario in the report, or a new one if it has
// run before.
func (s *scenario) enter() {
	fill := func() {
		for i, slot := range s.run.Report.Scenarios {
			if slot.ID != s.id {
				continue
			}
			s.result = slot
			if slot.State != report.NotRun {
				s.result = &report.Scenario{Number: slot.Number, ID: slot.ID, Title: slot.Title}
				s.run.Report.Scenarios = append(s.run.Report.Scenarios[:i+1:i+1],
					append([]*report.Scenario{s.result}, s.run.Report.Scenarios[i+1:]...)...)
			}
			break
		}
		s.result.Test, s.result.State, s.result.N, s.result.Checks = s.t.Name(), report.Running, s.n, s.list.Checks()
		s.result.Replay = fmt.Sprintf("%sSTRESS_SEED=%d STRESS_SCALE=%d go test -count=1 -run '^%s$' .", s.chosen(), s.seed, s.n, s.t.Name())
	}
	if err := s.run.Update(fill); err != nil {
		s.t.Fatalf("stress: %v", err)
	}
	s.run.Folder.Logf("%s begins: %s", s.id, s.t.Name())
}

// chosen are the settings of what is tried and how it is judged, where any was made.
func (s *scenario) chosen() (text string) {
	if name := s.settings().Engine; name != settings.InMemory {
		text = "STRESS_ENGINE=" + name + " "
	}
	if len(s.settings().Targets) > 0 {
		text += fmt.Sprintf("STRESS_TARGETS='%s' ", os.Getenv("STRESS_TARGETS"))
	}
	return text
}

// end judges the scenario, leaves it in the report and prints its line. It is
// called when the test is over, also by a panic.
func (s *scenario) end() {
	s.stopMemory()
	s.mu.Lock()
	checks := s.list.Checks()
	s.result.Checks = checks
	if s.shares.known {
		least := s.shares.least
		s.result.Share = &least
	}
	s.result.Seconds = time.Since(s.began).Seconds()
	s.mu.Unlock()

	validate.Assert(failer{s}, checks)
	if over := s.overMemory(); over != "" {
		s.fail("%s", over)
	}
	for _, d := range s.run.Regressions(s.id, s.result.Test) {
		s.fail("regression beyond %.3g %%: %s", *s.run.Settings.Regression, d)
	}
	state := report.Passed
	if s.t.Failed() {
		state = report.Failed
		s.t.Logf("seed %d; to repeat it: %s", s.seed, s.result.Replay)
	}
	s.closeLogs()
	if state == report.Passed {
		if err := s.run.Folder.RemoveLogs(s.id); err != nil {
			s.t.Errorf("stress: %v", err)
		}
	}
	if err := s.run.Update(func() { s.result.State = state }); err != nil {
		s.t.Errorf("stress: %v", err)
	}
	s.run.Folder.Logf("%s ends: %s", s.id, state)
	s.run.Console.Printf("%s", s.result.Line())
	s.annotate()
}

// annotate marks a failed scenario at the line of its test.
func (s *scenario) annotate() {
	if len(s.result.Failures) == 0 {
		return
	}
	first := s.result.Failures[:min(len(s.result.Failures), fewViolations)]
	s.run.Annotate(s.place, "Stress: "+s.result.Title,
		strings.Join(append(slices.Clone(first), "to repeat it: "+s.result.Replay), "\n"))
}

// overMemory is the sentence of the memory criterion if this scenario misses it.
func (s *scenario) overMemory() string {
	if s.environment().Race || s.result.Memory == nil || s.result.Memory.Peak.RSS == nil {
		return ""
	}
	c := validate.NewChecklist(validate.Of(validate.WholeRun)).Measure(validate.WholeRun+".memory",
		float64(*s.result.Memory.Peak.RSS)/1e6, s.conditions())
	if c.Verdict == validate.Failed {
		return c.String()
	}
	return ""
}

// failer lets testify fail a scenario.
type failer struct{ *scenario }

// Errorf keeps the message alone: the trace that testify puts before it is that
// of the harness.
func (f failer) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if _, message, ok := strings.Cut(text, "Error:"); ok {
		text = strings.TrimSpace(message)
	}
	f.fail("%s", text)
}

// record changes what the report says of the scenario, under its lock.
func (s *scenario) record(change func(*report.Scenario)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.result)
}

// fail fails the test and keeps the message for the report.
func (s *scenario) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.evident.Do(func() { s.kept = s.keepEvidence() })
	s.mu.Lock()
	if s.kept != "" && len(s.result.Failures) == 0 {
		text += "\n" + s.kept
	}
	s.result.Failures = append(s.result.Failures, text)
	s.mu.Unlock()
	s.run.Folder.Logf("%s FAILED: %s", s.id, text)
	s.t.Error(text)
}

// note keeps a remark for the report.
func (s *scenario) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.record(func(r *report.Scenario) { r.Notes = append(r.Notes, text) })
	s.run.Folder.Logf("%s: %s", s.id, text)
}

// logf writes a line to the log of the run.
func (s *scenario) logf(format string, args ...any) {
	s.run.Folder.Logf("%s: %s", s.id, fmt.Sprintf(format, args...))
}

// settings are those of the run.
func (s *scenario) settings() *settings.Settings { return &s.run.Settings }

// environment is the machine that the run is on.
func (s *scenario) environment() *measure.Environment { return &s.run.Report.Environment }

func (s *scenario) failed() bool { return s.t.Failed() }

// fewViolations is how many messages of one criterion are printed.
const fewViolations = 3

// violate counts that something which must hold did not, and fails the test.
func (s *scenario) violate(criterion, format string, args ...any) {
	s.mu.Lock()
	s.violations[criterion]++
	n := s.violations[criterion]
	s.mu.Unlock()
	if n <= fewViolations {
		s.fail("%s.%s: %s", s.id, criterion, fmt.Sprintf(format, args...))
	}
}

// shown measures criteria by the violations counted so far.
func (s *scenario) shown(criteria ...string) {
	for _, c := range criteria {
		s.measured(c, float64(s.violated(c)))
	}
}

// violated is how often violate was called for a criterion.
func (s *scenario) violated(criterion string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.violations[criterion]
}

// book adds what a ledger says, and names what is wrong.
func (s *scenario) book(phase string, a measure.Account) {
	s.account = s.account.Add(a)
	if !a.Clean() {
		s.fail("%s, %s: %s", s.id, phase, a)
	}
}

// judgeLedger keeps the account of all that was booked, and measures its faults
// by those criteria that the scenario has for them.
func (s *scenario) judgeLedger() {
	a := s.account
	s.record(func(r *report.Scenario) { r.Ledger = &a })
	for _, f := range a.Kinds() {
		if s.list.Has(s.id + "." + f.Name) {
			s.measured(f.Name, float64(f.N))
		}
	}
}

func (s *scenario) conditions() validate.Conditions {
	s.mu.Lock()
	defer s.mu.Unlock()
	return validate.Conditions{Scale: s.n, Share: s.shares.least}
}

// measured compares a figure with its criterion.
// Where it is missed that is not said before the end, with all others; but the
// evidence is kept now.
func (s *scenario) measured(criterion string, figure float64) {
	s.judge(criterion, figure, s.conditions())
}

func (s *scenario) judge(criterion string, figure float64, where validate.Conditions) {
	c := s.list.Measure(s.id+"."+criterion, figure, where)
	if c.Kind == validate.Must && c.Verdict == validate.Failed {
		s.evident.Do(func() { s.kept = s.keepEvidence() })
	}
}

// timed is measured for figures that mean nothing under the race detector.
func (s *scenario) timed(criterion string, figure float64) {
	s.timedUnder(criterion, figure, s.conditions())
}

func (s *scenario) timedAt(criterion string, figure, share float64) {
	s.timedUnder(criterion, figure, validate.Conditions{Scale: s.n, Share: share})
}

func (s *scenario) timedUnder(criterion string, figure float64, where validate.Conditions) {
	if s.environment().Race {
		s.notMeasured(criterion, report.RaceReason)
		return
	}
	s.judge(criterion, figure, where)
}

// target is that of a criterion of the scenario, at N = 100,000 and on a machine
// of its own; NaN if there is none of that name.
func (s *scenario) target(criterion string) float64 {
	for _, c := range s.run.Criteria(s.id) {
		if c.ID == s.id+"."+criterion {
			return c.Target
		}
	}
	return math.NaN()
}

// notOffered says of a criterion that the subject lacks the ability for it.
func (s *scenario) notOffered(criterion, why string) {
	s.list.Leave(s.id+"."+criterion, validate.NotOffered, why)
}

// notMeasured says of a criterion why there is no figure.
func (s *scenario) notMeasured(criterion, why string, args ...any) {
	s.list.Leave(s.id+"."+criterion, validate.NotMeasured, fmt.Sprintf(why, args...))
}

// hundreds is N in hundred thousands, and no less than one: by it grow bounds of
// time.
func (s *scenario) hundreds() int { return max(1, s.n/validate.BaseScale) }

// phase runs one part as a subtest, unless an earlier one hung. The body has a
// goroutine of its own, so that a subject that hangs or panics fails the phase
// and not the process.
func (s *scenario) phase(name string, body func(ctx context.Context, t *testing.T)) bool {
	return s.longPhase(name, phaseBound*time.Duration(s.hundreds()), body)
}

// longPhase is a phase with a time bound of its own.
func (s *scenario) longPhase(name string, bound time.Duration, body func(ctx context.Context, t *testing.T)) bool {
	if s.aborted {
		return false
	}
	began := time.Now()
	s.run.Folder.Logf("%s: %s", s.id, name)
	s.run.Progress.Phase(fmt.Sprintf("stress %d/9 %s: %s", s.result.Number, s.result.Title, name))
	defer s.run.Progress.End()
	ran := false // or -run leaves it out
	ok := s.t.Run(name, func(t *testing.T) {
		ran = true
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer s.recovered(name)
			body(ctx, t)
		}()
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		select {
		case <-done:
			s.fail("%s: %s took more than %v", s.id, name, bound)
		case <-time.After(load.Grace + settleBound):
			s.aborted = true
			s.fail("%s: %s hangs: the subject does not return even though its context has ended %v ago", s.id, name, load.Grace+settleBound)
		}
	})
	ok = ok && !s.failed()
	if !ran {
		return ok
	}
	state := report.Passed
	if !ok {
		state = report.Failed
	}
	s.recordPhase(name, state, began)
	return ok
}

// recordPhase keeps a phase that has just ended.
func (s *scenario) recordPhase(name string, state report.State, began time.Time) {
	s.record(func(r *report.Scenario) {
		r.Phases = append(r.Phases, report.Phase{Name: name, State: state,
			At: began.Sub(s.began).Seconds(), Seconds: time.Since(began).Seconds()})
	})
}

// within gives the body of a phase less time than a phase has: enough for what
// is done in an instant, so that a subject that forgets somebody is found out
// soon. What follows a phase that ran out of time would only do so too.
func (s *scenario) within(d time.Duration, body func(context.Context, *testing.T)) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		body(ctx, t)
		if ctx.Err() != nil {
			s.aborted = true
			s.fail("%s: %s took more than %v, nothing else was tried", s.id, t.Name(), d)
		}
	}
}

// recovered turns a panic on a goroutine of the kit into a failure.
func (s *scenario) recovered(where string) {
	if value := recover(); value != nil {
		s.fail("%s: %s: panic: %v\n%s", s.id, where, value, debug.Stack())
	}
}

// follow shows on the terminal how far a load has come: how many of total
// operations have ended, and how many are in flight, unless that is nil.
func (s *scenario) follow(total int, ended, inFlight func() int) {
	s.run.Progress.Follow(run.Offered{Total: total, Done: ended, InFlight: inFlight})
}

// unfinished tells whether operations of a load have not ended. Then the
// scenario fails for it, and is aborted: what hangs is still there.
func (s *scenario) unfinished(criterion string, left, n int, took time.Duration, why error) bool {
	if left == 0 {
		return false
	}
	s.aborted = true
	if errors.Is(why, context.DeadlineExceeded) {
		s.fail("%s.%s: too slow: %d of %d operations ended in %v", s.id, criterion, n-left, n, took.Round(time.Millisecond))
	} else {
		s.fail("%s.%s: %d of %d operations never ended: %v", s.id, criterion, left, n, why)
	}
	return true
}

// finished is an error if operations are left.
func finished(left int) error {
	if left > 0 {
		return fmt.Errorf("%d operations have not ended", left)
	}
	return nil
}

// audit waits until everything the scenario used is gone, and counts what is
// not. more are leaks that only the kit can see.
func (s *scenario) audit(more int) {
	ctx, cancel := context.WithTimeout(context.Background(), settleBound)
	defer cancel()
	s.stopMemory()
	s.closeLogs()
	runtime.GC()
	leaks := s.baseline.Leaks(ctx)
	s.record(func(r *report.Scenario) { r.Leaks = &leaks })
	s.measured("leaks", float64(leaks.Goroutines+leaks.Descriptors+leaks.Children+more))
	if !leaks.None() {
		s.fail("%s: %s", s.id, leaks)
	}
}

// logFile is where a child process of that name writes what it prints, in the
// output folder; children that come after one another share it. The files stay
// if the scenario fails. It returns nil, which leads to the standard error,
// where there can be no file.
func (s *scenario) logFile(name string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if file := s.logs[name]; file != nil {
		return file
	}
	file, err := s.run.Folder.CreateLog(s.id, name)
	if err != nil {
		s.run.Folder.Logf("%s: no log of %s: %v", s.id, name, err)
		return nil
	}
	if s.logs == nil {
		s.logs = make(map[string]*os.File)
	}
	s.logs[name] = file
	return file
}

// closeLogs closes the files of logFile.
func (s *scenario) closeLogs() {
	for _, file := range s.logs {
		_ = file.Close() // children wrote to it, not this process
	}
	s.logs = nil
}

// stopMemory ends the account of memory, unless that was done before.
func (s *scenario) stopMemory() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory != nil {
		use := s.memory.Stop()
		s.result.Memory, s.memory = &use, nil
	}
}

// onInterrupt has end called if the process is interrupted.
func (s *scenario) onInterrupt(end func()) {
	s.run.Mu.Lock()
	defer s.run.Mu.Unlock()
	s.run.AtEnd = append(s.run.AtEnd, end)
}

// subject names what is tested in the report. It ends the phase, and the
// scenario, if there is nothing to be tested.
func (s *scenario) subject(subject any) {
	if subject == nil {
		s.aborted = true
		s.fail("%s: there is no subject: the function that was handed to the kit returned nil", s.id)
		runtime.Goexit()
	}
	s.addSubject(typeName(subject))
}

// addSubject is subject for one that is known by its type's name only, as its
// process told.
func (s *scenario) addSubject(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.result.Subject == "":
		s.result.Subject = name
	case !strings.Contains(s.result.Subject, name):
		s.result.Subject += ", " + name
	}
}

// typeName is how a subject is named in the report.
func typeName(subject any) string { return fmt.Sprintf("%T", subject) }
