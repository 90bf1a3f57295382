package report

import (
	"time"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Schema is the version of results.json. It changes when a field changes its
// meaning or goes away; new fields do not change it.
const Schema = 2

// State is how far a run or a scenario has come.
type State string

// The states. NotRun is only for scenarios and phases.
const (
	NotRun      State = "not run"
	Running     State = "running" // in a report left behind: the process died here
	Passed      State = "passed"
	Partial     State = "passed in part" // what ran has, and -run or -skip left phases out
	NothingRan  State = "nothing ran"    // it began, and -run or -skip left out every phase
	Failed      State = "failed"
	Interrupted State = "interrupted" // by a signal or the time limit of the test
)

// Run is everything a run leaves behind.
type Run struct {
	Schema      int                   `json:"schema"`
	State       State                 `json:"state"`
	Outcome     string                `json:"outcome"` // the state in words, such as "passed (1 of 12 phases)"
	Started     time.Time             `json:"started"`
	Seconds     float64               `json:"seconds"`
	Command     []string              `json:"command"`
	Environment measure.Environment   `json:"environment"`
	Notes       []string              `json:"notes,omitempty"` // what was cut, and why
	Totals      Totals                `json:"totals"`
	Acceptance  []validate.Acceptance `json:"acceptance"`
	Checks      []validate.Check      `json:"checks"` // of the whole run
	Scenarios   []*Scenario           `json:"scenarios"`
	Charts      []Chart               `json:"charts,omitempty"` // over several scenarios or runs
	Comparison  *Comparison           `json:"comparison,omitempty"`
}

// Totals are sums over the scenarios that ran.
type Totals struct {
	Scenarios  int `json:"scenarios_run"`
	Operations int `json:"operations"` // started, over all phases under load
	Faults     int `json:"faults"`     // of all ledgers
	Checks     int `json:"checks_measured"`
	Missed     int `json:"checks_failed"` // of those that must hold
}

// Scenario is the outcome of one of the nine. Pointers are nil for what was not
// measured.
type Scenario struct {
	Number  int     `json:"number"`
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Test    string  `json:"test,omitempty"`    // name of the Go test
	Subject string  `json:"subject,omitempty"` // Go type of the implementation
	State   State   `json:"state"`
	Outcome string  `json:"outcome"` // the state in words, such as "passed (1 of 12 phases)"
	Seconds float64 `json:"seconds"`
	N       int     `json:"n"` // scale after any cut

	PhasesRun int `json:"phases_run"` // of PhasesAll
	PhasesAll int `json:"phases_all"` // there are, those left out by -run or -skip too

	Operations int                `json:"operations"` // started under load
	Burst      *Burst             `json:"burst"`
	Steady     *Steady            `json:"steady"`
	Ledger     *measure.Account   `json:"ledger"`
	Memory     *measure.MemoryUse `json:"memory"`
	Leaks      *measure.Leaks     `json:"leaks"`
	Knee       *Knee              `json:"knee,omitempty"`    // where it breaks, if asked for
	Scaling    *Scaling           `json:"scaling,omitempty"` // how it grows, if asked for
	// Connections are those of the memory scenario, a kind each.
	Connections []Connections `json:"connections,omitempty"`

	// Share is the part of the processors that other work, in this process or
	// others, left during the phases under load.
	Share *float64 `json:"processor_share"`

	// What is drawn as it is; each may be left out.
	Timelines []Timeline `json:"timelines,omitempty"`
	Balances  []Balance  `json:"balances,omitempty"`
	Repeats   []Repeats  `json:"repeats,omitempty"`
	Charts    []Chart    `json:"charts,omitempty"`

	Phases   []Phase          `json:"phases,omitempty"`
	Checks   []validate.Check `json:"checks"`
	Failures []string         `json:"failures,omitempty"`
	Notes    []string         `json:"notes,omitempty"`
	Replay   string           `json:"replay,omitempty"` // command that repeats it
}

// Burst is what came of a closed load.
type Burst struct {
	N          int              `json:"n"`
	Peak       int              `json:"peak_in_flight"` // counted
	Seconds    float64          `json:"seconds"`
	Throughput float64          `json:"ops_per_s"`
	Latency    *measure.Latency `json:"latency"` // nil where operations have no end of their own
	// Little is N / throughput in ns, by which a burst's latencies are read:
	// the median wait is about half of it, whatever the subject.
	Little float64       `json:"n_over_x_ns"`
	Series []measure.Bin `json:"series,omitempty"`
}

// Little is n / rate in ns: by Little's law the median wait in a burst is about
// half of it. It is 0 if nothing was done.
func Little(n int, rate float64) float64 {
	if rate == 0 {
		return 0
	}
	return float64(n) / rate * 1e9
}

// Steady is what came of an open load; latencies count from the instant due.
type Steady struct {
	Arrivals string          `json:"arrivals"`
	Asked    float64         `json:"asked_ops_per_s"`
	Offered  float64         `json:"offered_ops_per_s"`
	N        int             `json:"n"`
	Peak     int             `json:"peak_in_flight"`
	Seconds  float64         `json:"seconds"`
	Latency  measure.Latency `json:"latency"`
	LateP50  int64           `json:"generator_late_p50_ns"`
	LateP99  int64           `json:"generator_late_p99_ns"`
	LateMax  int64           `json:"generator_late_max_ns"`
	Series   []measure.Bin   `json:"series,omitempty"`
}

// Phase is one part of a scenario.
type Phase struct {
	Name    string  `json:"name"`
	State   State   `json:"state"`
	At      float64 `json:"at_s"` // when it began, in seconds since its scenario did
	Seconds float64 `json:"seconds"`
}

// total brings the sums up to date.
func (r *Run) total() {
	r.Totals = Totals{}
	checks := r.Checks
	for _, s := range r.Scenarios {
		if s.State != NotRun {
			r.Totals.Scenarios++
		}
		r.Totals.Operations += s.Operations
		if s.Ledger != nil {
			r.Totals.Faults += s.Ledger.Faults()
		}
		checks = append(checks[:len(checks):len(checks)], s.Checks...)
	}
	for _, c := range checks {
		if c.Measured != nil {
			r.Totals.Checks++
		}
	}
	r.Totals.Missed = len(validate.FailedOf(checks))
}
