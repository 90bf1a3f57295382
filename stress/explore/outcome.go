package explore

import (
	"fmt"
	"math"
	"strings"
)

// Outcome is the result of exploring a function.
type Outcome struct {
	// Controlled reports whether the schedules were controlled. If not, the stock
	// scheduler ran them, and Reason says why.
	Controlled bool
	Reason     string

	Seed       uint64
	Schedules  int            // run, the one that failed included
	PCT        int            // of them by PCT
	Depth      int            // of PCT
	Points     uint64         // passed in all schedules
	MostPoints uint64         // in one schedule
	Goroutines int            // most in one schedule
	Cut        int            // schedules cut off at the limit of points
	Counts     map[string]int // schedules that met what [Run.Count] was given
	Failure    *Failure
}

// count adds what a schedule has reached.
//
//go:norace
func (o *Outcome) count(e *Run) {
	if o.Counts == nil && len(e.counts) > 0 {
		o.Counts = make(map[string]int)
	}
	for name, n := range e.counts {
		o.Counts[name] += n
	}
}

// Failure is a schedule that failed.
type Failure struct {
	Kind        string // "check", "panic", "fatal error", "deadlock", "left over", "data race", or "test"
	Sentence    string
	Program     string      // what [Run.Describe] was given says of it
	Left        []Goroutine // for a deadlock and what is left over: who
	Schedule    string      // value of STRESS_SCHEDULE that repeats it
	After       int         // schedules it took to find
	Replays     int         // of 10 repetitions, how many did the same
	Fresh       bool        // whether another process, too, did the same
	Command     string      // that repeats it with go test
	Preemptions int
	Columns     string // the interleaving, a column for each goroutine
	Output      string // what the process wrote meanwhile, under the race detector
}

// Goroutine is a goroutine that waits or runs forever.
type Goroutine struct {
	Name     string
	Reason   string // such as "chan receive"; "running" if it does not wait
	Function string // innermost of the user's
	Entry    string // outermost
	Place    string // file and line of Function
}

// Bound is the least probability with which one schedule by PCT finds a bug of the
// outcome's depth (Burckhardt et al., ASPLOS 2010).
func (o Outcome) Bound() float64 {
	if o.Goroutines == 0 || o.MostPoints == 0 {
		return 0
	}
	return 1 / (float64(o.Goroutines) * math.Pow(float64(o.MostPoints), float64(o.Depth-1)))
}

// String returns the outcome in a line, or the report of a failure.
func (o Outcome) String() string {
	if o.Failure != nil {
		return o.report()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "explore: passed, %s", counted(o.Schedules, "schedule"))
	if !o.Controlled {
		fmt.Fprintf(&b, " by the stock scheduler with perturbation, not controlled: %s", o.Reason)
		return b.String()
	}
	fmt.Fprintf(&b, " (seed %d), %d points, at most %d points and %s in one", o.Seed, o.Points, o.MostPoints,
		counted(o.Goroutines, "goroutine"))
	if o.PCT > 0 {
		bound := o.Bound()
		all := -math.Expm1(float64(o.PCT) * math.Log1p(-bound))
		fmt.Fprintf(&b, "; %d by PCT of depth %d: each finds a bug of that depth with probability >= 1/(%d*%d^%d) = %.1e, "+
			"together >= %.1e", o.PCT, o.Depth, o.Goroutines, o.MostPoints, o.Depth-1, bound, all)
	}
	if o.Cut > 0 {
		fmt.Fprintf(&b, "; %s cut off at the limit of points", counted(o.Cut, "schedule"))
	}
	return b.String()
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
