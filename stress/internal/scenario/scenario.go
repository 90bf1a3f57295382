package scenario

import (
	"os"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/run"
	"tensile/stress/internal/settings"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Time bounds. None judges how fast a subject is: they are there so that one
// that hangs fails with a message instead of the time limit of go test. All
// are in proportion to STRESS_PATIENCE, in the child processes too.
var (
	Settle     = settings.Patience() // for what was told to end
	Stall      = Settle * 3 / 2      // without any operation ending
	PhaseBound = Settle * 6          // up to N = 100,000, and in proportion beyond
)

// Scenario is one kit at work on one subject.
type Scenario struct {
	T        *testing.T
	Run      *run.Run
	ID       string
	N        int
	Seed     uint64
	list     *validate.Checklist
	slowness validate.Criterion          // that of the scenario, if it has one
	slower   map[string]measure.Interval // by how many times the subject was, by criterion
	baseline measure.Baseline
	memory   *measure.Sampler
	Began    time.Time
	place    run.Place // of the test

	evident sync.Once // that evidence of the first failure is kept
	kept    string    // names its files

	lines []*line // phases taken so far, in order

	mu         sync.Mutex
	phase      *testing.T // of the phase at work, nil between phases
	main       string     // criterion of that phase for what has none of its own
	result     *report.Scenario
	violations map[string]int
	Account    measure.Account     // of all ledgers booked
	logs       map[string]*os.File // of child processes, by name
	Aborted    bool                // a phase hung: what follows would say nothing
	Crowded    bool                // other goroutines of the process keep the processors busy
	Shares     shares
}

// Settings are those of the run.
func (s *Scenario) Settings() *settings.Settings { return &s.Run.Settings }

// Environment is the machine that the run is on.
func (s *Scenario) Environment() *measure.Environment { return &s.Run.Report.Environment }
