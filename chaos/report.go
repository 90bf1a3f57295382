package chaos

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// Report is the result of an experiment. Times count from its start, which is the end of
// the check before the first fault.
type Report struct {
	Plan       Plan          `json:"plan"`
	Hypothesis string        `json:"hypothesis"`
	Outcomes   []Outcome     `json:"outcomes"` // of each step of the plan
	Peak       int           `json:"peak"`     // most targets hit at once, as the guard counted
	Checks     int           `json:"checks"`   // of the hypothesis
	Broken     int           `json:"broken"`   // of those, how many found that it does not hold
	Turns      []Turn        `json:"turns"`    // when the steady state was lost and found again
	Took       time.Duration `json:"took_ns"`
}

// Outcome is the result of one step.
type Outcome struct {
	Step     Step          `json:"step"`
	Injected time.Duration `json:"injected_ns"`   // 0 if it was not reached
	Undone   time.Duration `json:"undone_ns"`     // 0 if it was not
	Err      string        `json:"err,omitempty"` // of the injector, or else of its undoing
	// Lost is the time from the injection to the first check that did not
	// hold, and Recovered to the first one that held and was followed by none
	// that did not, both before the next step begins. Both are 0 if all
	// checks held, and Recovered is negative if the last did not. What was
	// lost already counts as lost at once.
	Lost      time.Duration `json:"lost_ns"`
	Recovered time.Duration `json:"recovered_ns"`
}

// Turn is an instant at which the hypothesis began or ceased to hold.
type Turn struct {
	At  time.Duration `json:"at_ns"`
	Err string        `json:"err,omitempty"` // empty if it holds
}

// maxTurns bounds what a hypothesis that flaps makes of a report.
const maxTurns = 10_000

// log is the report as it grows. Safe for concurrent use.
type log struct {
	mu       sync.Mutex
	began    time.Time
	plan     Plan
	outcomes []Outcome
	checks   int
	broken   int
	turns    []Turn
	holds    bool
	turned   time.Duration // when it last did
}

func newLog(p Plan) *log {
	l := &log{began: time.Now(), plan: p, outcomes: make([]Outcome, len(p.Steps))}
	for i, s := range p.Steps {
		l.outcomes[i].Step = s
	}
	return l
}

func (l *log) since() time.Duration { return time.Since(l.began) }

func (l *log) checked(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.since()
	if l.checks == 0 {
		l.began, now = time.Now(), 0 // the first check is before the start
	}
	l.checks++
	text := ""
	if err != nil {
		l.broken++
		text = err.Error()
	}
	if holds := err == nil; l.checks == 1 || holds != l.holds {
		l.holds, l.turned = holds, now
		if len(l.turns) < maxTurns {
			l.turns = append(l.turns, Turn{now, text})
		}
	}
}

// steadyFor is the time for which the hypothesis has held.
func (l *log) steadyFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.holds {
		return 0
	}
	return l.since() - l.turned
}

func (l *log) injected(step int, at time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.outcomes[step].Err = err.Error()
		return
	}
	l.outcomes[step].Injected = max(at, 1)
}

func (l *log) undone(step int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.outcomes[step].Err = err.Error()
		return
	}
	l.outcomes[step].Undone = max(l.since(), 1)
}

func (l *log) report(e Experiment) Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.outcomes {
		l.recovery(i)
	}
	return Report{Plan: l.plan, Hypothesis: e.Hypothesis.Name, Outcomes: l.outcomes, Peak: e.Guard.Peak(),
		Checks: l.checks, Broken: l.broken, Turns: l.turns, Took: l.since()}
}

// recovery finds in the turns what belongs to a step: those from its injection
// to that of the next step that begins later.
func (l *log) recovery(step int) {
	o := &l.outcomes[step]
	o.Lost, o.Recovered = 0, 0
	if o.Injected == 0 {
		return
	}
	end := time.Duration(math.MaxInt64)
	for _, next := range l.outcomes[step+1:] {
		if next.Step.At > o.Step.At && next.Injected > 0 {
			end = next.Injected
			break
		}
	}
	for _, turn := range l.turns {
		if turn.At >= end {
			break
		}
		after := max(turn.At-o.Injected, 1)
		switch {
		case turn.Err != "":
			if o.Lost == 0 {
				o.Lost = after
			}
			o.Recovered = -1
		case turn.At < o.Injected:
			o.Lost, o.Recovered = 0, 0
		case o.Lost > 0:
			o.Recovered = after
		}
	}
}

// Recovery is the longest time from a fault to the steady state that followed
// it; ok is false if one was not followed by it before the next.
func (r Report) Recovery() (longest time.Duration, ok bool) {
	ok = true
	for _, o := range r.Outcomes {
		longest = max(longest, o.Recovered)
		ok = ok && o.Recovered >= 0
	}
	return longest, ok
}

// String is the report as text, one step a line.
func (r Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "chaos report, seed %d: %d of %d checks of %q held, at most %d targets hit at once, in %v\n",
		r.Plan.Seed, r.Checks-r.Broken, r.Checks, r.Hypothesis, r.Peak, r.Took.Round(time.Millisecond))
	for _, o := range r.Outcomes {
		fmt.Fprintf(&text, "  %-10s %-12s ", o.Step.Fault, o.Step.Target)
		switch {
		case o.Injected == 0:
			text.WriteString("not injected")
		case o.Recovered < 0:
			fmt.Fprintf(&text, "at %v, lost after %v, not recovered", round(o.Injected), round(o.Lost))
		case o.Lost > 0:
			fmt.Fprintf(&text, "at %v, lost after %v, recovered after %v", round(o.Injected), round(o.Lost), round(o.Recovered))
		default:
			fmt.Fprintf(&text, "at %v, steady", round(o.Injected))
		}
		if o.Err != "" {
			text.WriteString(": " + o.Err)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
