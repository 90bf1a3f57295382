package run

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

// Run is what all kits of one test process share: the settings, the folder
// and the report that grows in it.
type Run struct {
	Settings settings.Settings
	baseline *report.Baseline // nil if there is none
	Folder   *report.Folder
	Console  *console
	Progress *progress
	Recorder *trace.FlightRecorder // nil if there is none
	Busy     atomic.Bool           // a kit is at work
	monitor  *os.File              // of what this process says to its monitor; nil if there is none
	phase    atomic.Pointer[string]
	ending   atomic.Bool // the process has been interrupted

	Mu     sync.Mutex
	Report *report.Run
	// Bloated is set once a search had many more goroutines than the scale: the
	// runtime keeps their descriptors, so memory says nothing from then on.
	Bloated bool
	// AtEnd are the child processes and the like that an interrupt must not
	// leave behind.
	AtEnd []func()
}

// theRun is made by the first kit, or by Main, and lives as long as the process.
var theRun struct {
	once sync.Once
	run  *Run
	err  error
}

func Current() (*Run, error) {
	theRun.once.Do(func() { theRun.run, theRun.err = newRun() })
	return theRun.run, theRun.err
}

func newRun() (*Run, error) {
	available := measure.MemoryAvailable()
	set, err := settings.FromEnvironment(settings.Build{
		Short: testing.Short(), Race: raceEnabled, Available: available, Root: settings.Root(), Engines: Engines,
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
		return nil, fmt.Errorf("STRESS_OUT=%q, must be a folder that can be written: %w", set.Out, err)
	}
	r := &Run{Settings: set, baseline: baseline, Folder: folder, Console: newConsole()}
	r.Progress = newProgress(r.Console)
	e := measure.Fingerprint()
	e.Race, e.Short, e.Scale, e.Seed = raceEnabled, testing.Short(), set.Scale, set.Seed
	r.Report = &report.Run{
		Schema: report.Schema, State: report.Running, Started: time.Now(), Command: os.Args,
		Environment: e, Notes: set.Notes,
	}
	for i, s := range validate.Scenarios {
		r.Report.Scenarios = append(r.Report.Scenarios, &report.Scenario{
			Number: i + 1, ID: s.ID, Title: s.Title, State: report.NotRun,
			Checks: validate.NewChecklist(r.Criteria(s.ID)).Checks(),
		})
	}
	r.Folder.Logf("run begins: scale %d, seed %d, report in %s", set.Scale, set.Seed, set.Out)
	for _, note := range set.Notes {
		r.Folder.Logf("%s", note)
	}
	if r.monitor, err = startMonitor(folder); err != nil {
		r.Folder.Logf("a crash will leave the report as it is then: %v", err)
	}
	if r.Recorder, err = startFlightRecorder(); err != nil {
		r.Folder.Logf("no trace of a failure will be kept: %v", err)
	}
	return r, r.Update(func() {})
}

// Engines are the engines of this test.
var Engines []string

// Finish prints the table of all scenarios and closes the folder, if any kit has
// begun.
func Finish() {
	r := theRun.run
	if r == nil {
		return
	}
	r.Mu.Lock()
	r.Console.print(func() { report.WriteTable(r.Console.out, r.Report) })
	r.Mu.Unlock()
	r.Console.Printf("report in %s", r.Settings.Out)
	if err := r.Folder.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// Criteria are those of a scenario, with the targets that were set.
func (r *Run) Criteria(id string) []validate.Criterion {
	return validate.WithTargets(validate.Of(id), r.Settings.Targets)
}

// CatchSignals writes the report, cleans up and ends the process when it is
// interrupted, until stop is called: when no kit is at work there is nothing to
// clean up, and no goroutine to be found by a user who looks for leaks.
func (r *Run) CatchSignals() (stop func()) {
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

// Ending tells whether the process is about to end by a signal: what fails now fails
// for that.
func (r *Run) Ending() bool { return r.ending.Load() }

// Enter says which phase of which scenario is at work, so that it is known where the
// process died.
func (r *Run) Enter(scenario, phase string) {
	name := scenario + ": " + phase
	r.phase.Store(&name)
	r.Folder.Logf("%s", name)
	tell(r.monitor, name)
}

// Leave says that no phase is at work any more.
func (r *Run) Leave() {
	r.phase.Store(nil)
	tell(r.monitor, "")
}

// during is in which phase something happened, as in " during pooling: steady".
func during(phase string) string {
	if phase == "" {
		return ""
	}
	return " during " + phase
}

// die ends the process by a signal.
func (r *Run) die(by os.Signal) {
	r.ending.Store(true)
	r.interrupted(by.String())
	code := 1
	if number, ok := by.(syscall.Signal); ok {
		code = 128 + int(number)
	}
	os.Exit(code)
}

// interrupted marks what is running and leaves the report.
func (r *Run) interrupted(by string) {
	if phase := r.phase.Load(); phase != nil {
		by += during(*phase)
	}
	_ = r.Update(func() { // the process ends: there is nobody to tell
		for _, s := range r.Report.Scenarios {
			if s.State == report.Running {
				s.State = report.Interrupted
				s.Failures = append(s.Failures, "interrupted by "+by)
			}
		}
		for _, end := range r.AtEnd {
			end()
		}
		r.AtEnd = nil
	})
	r.Folder.Logf("interrupted by %s", by)
	r.Console.Printf("stress: interrupted by %s, report in %s", by, r.Settings.Out)
}

// Update changes the report under the lock, brings what is derived up to date,
// and writes it.
func (r *Run) Update(change func()) error {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	change()
	r.Report.Seconds = time.Since(r.Report.Started).Seconds()
	report.Derive(r.Report)
	if r.baseline != nil {
		r.Report.Comparison = report.Compare(r.baseline, r.Report, r.Settings.Regression)
	}
	summarize(r.Folder, r.Report)
	return r.Folder.Write(r.Report)
}
