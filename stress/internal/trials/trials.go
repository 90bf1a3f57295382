// Package trials measures how soon package explore finds a known bug, and whether it
// passes a sound twin.
package trials

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"tensile/stress/explore"
)

// Subject is a known bug.
type Subject struct {
	Group, Name string
	Options     []explore.Option
	Run         func(e *explore.Run)                // nil: only the twin is measured
	Sound       func(e *explore.Run)                // the same without the bug; nil: there is none
	Is          func(failure *explore.Failure) bool // whether that is the bug; nil: whatever fails is
}

// Effort is how much is done for each subject.
type Effort struct {
	Trials int // how often the bug is looked for, each time from another seed
	Within int // schedules of each trial
	Fresh  int // processes that repeat each find, one after another
	Sound  int // schedules of the twin
}

// Result is a row of the table.
type Result struct {
	Group, Name string
	Effort      Effort
	After       []int // of each trial that found it: how many schedules that took
	Others      []string
	Replays     int // of 10 for each find, in the process that found it
	Fresh       int // of Effort.Fresh for each find
	Twin        bool
	Alarms      []string
	Schedule    time.Duration // of the bug's own schedules, or of the twin's
	Reason      string        // why schedules were not controlled, if they were not
}

// Variable holds the effort, as JSON. Tests that measure skip themselves without.
const Variable = "EXPLORE_BENCH"

// Mark begins each line that holds a result.
const Mark = "explore-bench: "

// Wanted returns the effort that is asked for; it skips the test if none is.
func Wanted(t *testing.T) (e Effort) {
	text := os.Getenv(Variable)
	if text == "" {
		t.Skip("run by explorebench")
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%s=%q must be an effort: %v", Variable, text, err)
	}
	return e
}

// Measure tries a subject and prints the result for the program that asked.
func (s Subject) Measure(t *testing.T, effort Effort) Result {
	r := Result{Group: s.Group, Name: s.Name, Effort: effort}
	if s.Run == nil {
		effort.Trials = 0
	}
	for trial := range effort.Trials {
		out := s.try(t, s.Run, effort.Within, explore.Seed(uint64(trial+1)))
		r.Reason = out.Reason
		switch f := out.Failure; {
		case f == nil:
		case s.Is != nil && !s.Is(f):
			r.Others = append(r.Others, f.Sentence)
		default:
			r.After = append(r.After, f.After)
			r.Replays += f.Replays
			r.Fresh += s.again(t, f, effort.Fresh)
		}
	}
	if r.Twin = s.Sound != nil; r.Twin {
		s.try(t, s.Sound, 1) // which may have to build
		start := time.Now()
		out := s.try(t, s.Sound, effort.Sound)
		r.Schedule = time.Since(start) / time.Duration(max(out.Schedules, 1))
		if out.Failure != nil {
			r.Alarms = append(r.Alarms, out.Failure.Sentence)
		}
	} else {
		r.Schedule = s.pace(t)
	}
	slices.Sort(r.After)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s%s\n", Mark, text)
	return r
}

func (s Subject) try(t *testing.T, f func(*explore.Run), schedules int, options ...explore.Option) explore.Outcome {
	options = append(options, explore.Schedules(schedules), explore.Strategies(explore.POS))
	return explore.Try(t, f, append(options, s.Options...)...)
}

// again counts in how many of n further processes the schedule of a failure fails as it did.
func (s Subject) again(t *testing.T, f *explore.Failure, n int) (same int) {
	const variable = "STRESS_SCHEDULE"
	if err := os.Setenv(variable, f.Schedule); err != nil {
		t.Fatal(err)
	}
	defer os.Unsetenv(variable)
	for range n {
		out := s.try(t, s.Run, 1)
		if again := out.Failure; again != nil && again.Kind == f.Kind && again.Sentence == f.Sentence {
			same++
		}
	}
	return same
}

// paced is how many schedules pace takes.
const paced = 1000

// pace is what a schedule takes, whether it fails or not: the difference between
// few and many, since a process is started for both.
func (s Subject) pace(t *testing.T) time.Duration {
	passing := func(e *explore.Run) {
		go s.Run(e)
		time.Sleep(time.Minute)
	}
	took := func(n int) time.Duration {
		start := time.Now()
		s.try(t, passing, n, explore.AllowLeft(), explore.Grace(0))
		return time.Since(start)
	}
	few := took(1)
	return max(0, took(paced)-few) / (paced - 1)
}
