package stress

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/settings"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// run is what all kits of one test process share: the settings, the folder
// and the report that grows in it.
type run struct {
	settings settings.Settings
	baseline *report.Baseline // nil where there is none
	folder   *report.Folder
	console  *console
	progress *progress
	recorder *trace.FlightRecorder // nil where there is none
	busy     atomic.Bool           // a kit is at work

	mu     sync.Mutex
	report *report.Run
	// bloated is set once a search had many more goroutines than the scale: the
	// runtime keeps their descriptors, so memory says nothing from then on.
	bloated bool
	// atEnd are the child processes and the like that an interrupt must not
	// leave behind.
	atEnd []func()
}

// theRun is made by the first kit, or by Main, and lives as long as the process.
var theRun struct {
	once sync.Once
	run  *run
	err  error
}

func current() (*run, error) {
	theRun.once.Do(func() { theRun.run, theRun.err = newRun() })
	return theRun.run, theRun.err
}

func newRun() (*run, error) {
	available := measure.MemoryAvailable()
	set, err := settings.FromEnvironment(settings.Build{
		Short: testing.Short(), Race: raceEnabled, Available: available, Root: settings.Root(), Engines: testEngines,
	})
	if err != nil {
		return nil, err
	}
	baseline, err := loadBaseline(set)
	if err != nil {
		return nil, err
	}
	folder, err := report.Open(set.Out)
	if err != nil {
		return nil, fmt.Errorf("STRESS_OUT=%q, accepted is a folder that can be written: %w", set.Out, err)
	}
	r := &run{settings: set, baseline: baseline, folder: folder, console: newConsole()}
	r.progress = newProgress(r.console)
	e := measure.Fingerprint()
	e.Race, e.Short, e.Scale, e.Seed = raceEnabled, testing.Short(), set.Scale, set.Seed
	r.report = &report.Run{
		Schema: report.Schema, State: report.Running, Started: time.Now(), Command: os.Args,
		Environment: e, Notes: set.Notes,
	}
	for i, s := range validate.Scenarios {
		r.report.Scenarios = append(r.report.Scenarios, &report.Scenario{
			Number: i + 1, ID: s.ID, Title: s.Title, State: report.NotRun,
			Checks: validate.NewChecklist(r.criteria(s.ID)).Checks(),
		})
	}
	r.folder.Logf("run begins: scale %d, seed %d, report in %s", set.Scale, set.Seed, set.Out)
	for _, note := range set.Notes {
		r.folder.Logf("%s", note)
	}
	if err := startMonitor(folder); err != nil {
		r.folder.Logf("a crash will leave the report as it is then: %v", err)
	}
	if r.recorder, err = startFlightRecorder(); err != nil {
		r.folder.Logf("no trace of a failure will be kept: %v", err)
	}
	return r, r.update(func() {})
}

// criteria are those of a scenario, with the targets that were set.
func (r *run) criteria(id string) []validate.Criterion {
	return validate.WithTargets(validate.Of(id), r.settings.Targets)
}

// catchSignals writes the report, cleans up and ends the process when it is
// interrupted, until stop is called: when no kit is at work there is nothing to
// clean up, and no goroutine to be found by a user who looks for leaks.
func (r *run) catchSignals() (stop func()) {
	signals := make(chan os.Signal, 1)
	over, done := make(chan struct{}), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(done)
		select {
		case got := <-signals:
			r.die(got)
		case <-over:
		}
		select {
		case got := <-signals: // it came as the last word was said
			r.die(got)
		default:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
		<-done
	}
}

// die ends the process by a signal.
func (r *run) die(by os.Signal) {
	r.interrupted(by.String())
	code := 1
	if number, ok := by.(syscall.Signal); ok {
		code = 128 + int(number)
	}
	os.Exit(code)
}

// interrupted marks what is running and leaves the report.
func (r *run) interrupted(by string) {
	_ = r.update(func() { // the process ends: there is nobody to tell
		for _, s := range r.report.Scenarios {
			if s.State == report.Running {
				s.State = report.Interrupted
				s.Failures = append(s.Failures, "interrupted by "+by)
			}
		}
		for _, end := range r.atEnd {
			end()
		}
		r.atEnd = nil
	})
	r.folder.Logf("interrupted by %s", by)
	r.console.printf("stress: interrupted by %s, report in %s", by, r.settings.Out)
}

// update changes the report under the lock, brings what is derived up to date,
// and writes it.
func (r *run) update(change func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.report.Seconds = time.Since(r.report.Started).Seconds()
	derive(r.report)
	if r.baseline != nil {
		r.report.Comparison = report.Compare(r.baseline, r.report, r.settings.Regression)
	}
	summarize(r.folder, r.report)
	return r.folder.Write(r.report)
}

// derive computes the state of a run, the criteria of the whole run and the
// acceptance from the scenarios.
func derive(r *report.Run) {
	state := report.Passed
	var broken []string
	anyRun := false
	for _, s := range r.Scenarios {
		switch s.State {
		case report.NotRun:
			continue
		case report.Running, report.Interrupted:
			state = s.State
		case report.Failed:
			if state == report.Passed {
				state = report.Failed
			}
		}
		if s.State != report.Passed {
			broken = append(broken, s.ID)
		}
		anyRun = true
	}
	if !anyRun {
		state = report.Running
	}
	r.State = state
	r.Checks = wholeRun(r.Scenarios, r.Environment.Scale)
	all := r.Checks
	for _, s := range r.Scenarios {
		all = append(all[:len(all):len(all)], s.Checks...)
	}
	r.Acceptance = validate.Acceptances(all, broken)
}

// wholeRun measures the criteria of the whole run by the scenarios that have
// run: each takes the worst.
func wholeRun(scenarios []*report.Scenario, scale int) []validate.Check {
	list := validate.NewChecklist(validate.Of(validate.WholeRun))
	worst := make(map[string]validate.Check)
	consider := func(id string, c validate.Check) {
		if c.Measured == nil {
			return
		}
		w, seen := worst[id]
		lower := c.Comparison == validate.AtLeast || c.Unit == "%"
		if !seen || lower && *c.Measured < *w.Measured || !lower && *c.Measured > *w.Measured {
			worst[id] = c
		}
	}
	share, machine := 1.0, make(map[string]float64)
	for _, s := range scenarios {
		if s.Share != nil {
			share = min(share, *s.Share)
		}
		if s.Burst != nil {
			machine[s.ID] = s.Burst.Machine
		}
		for _, c := range s.Checks {
			id, ok := partOf[c.ID]
			if !ok {
				id = partOf[c.ID[len(s.ID)+1:]]
			}
			if id != "" {
				consider(id, c)
			}
		}
		if s.Memory != nil && s.Memory.Peak.RSS != nil {
			mb := float64(*s.Memory.Peak.RSS) / 1e6
			consider("memory", validate.Check{Measured: &mb})
		}
	}
	for id, c := range worst {
		list.Measure(validate.WholeRun+"."+id, *c.Measured,
			validate.Conditions{Scale: scale, Share: share, Machine: machine[c.Scenario]})
	}
	if raceEnabled {
		for _, id := range slowedByRace {
			list.Leave(validate.WholeRun+"."+id, validate.NotMeasured, raceReason)
		}
	}
	return list.Checks()
}

// partOf maps the checks of scenarios to those of the whole run, by their full
// name or else by the part behind the scenario.
var partOf = map[string]string{
	validate.Pooling + ".survival": "connections", validate.Balancing + ".survival": "connections",
	validate.Memory + ".survival": "connections", validate.Memory + ".peak": "memory", validate.Memory + ".tcp_peak": "memory",
	validate.Sessions + ".survival":     "sessions",
	validate.Queueing + ".durable_lost": "loss", validate.Chaos + ".nodes_recovery": "recovery",
	validate.Chaos + ".p99": "", // a ratio
	"throughput":            "throughput", "p50": "p50", "p95": "p95", "p99": "p99",
	"per_connection": "per_connection", "recovery": "recovery", "cascades": "cascades",
	"lost": "loss", "leaks": "leaks", "spread": "balance",
}

const raceReason = "the race detector slows down and takes memory"

var slowedByRace = []string{"throughput", "p50", "p95", "p99", "memory"}
