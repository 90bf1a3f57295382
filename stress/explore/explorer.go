package explore

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/schedule"
)

// explorer runs the schedules of a function, in a process whose runtime is
// controlled.
type explorer struct {
	f        func(*Run)
	o        options
	failed   func() bool // whether the test's own T has
	announce string      // file to write each schedule into, before it is run
	sites    *control.Sites
	order    uint64 // draws the order in place of the schedule's seed, if not 0
	out      Outcome
}

func newExplorer(f func(*Run), o options) *explorer {
	return &explorer{f: f, o: o, failed: func() bool { return false },
		out: Outcome{Controlled: true, Seed: o.Seed, Depth: o.Depth}}
}

// explore runs schedules until one fails.
func (x *explorer) explore() Outcome {
	x.warmUp()
	if x.o.Schedule != "" {
		s, err := schedule.Parse(x.o.Schedule)
		if err != nil {
			panic(err) // it was parsed before
		}
		x.try(s)
		return x.out
	}
	seed, began := x.o.Seed, time.Now()
	for i := range x.o.Schedules {
		short := mix(&seed) >> 32 // to be typed
		if !x.try(x.next(i, short)) || x.o.over(began, i+1) {
			break
		}
	}
	return x.out
}

// warmUp has what a process initialises once be initialised before the first
// schedule that counts, and learns which memory is shared.
func (x *explorer) warmUp() {
	for range 3 {
		s := schedule.Schedule{Strategy: schedule.Plan, Seed: 1}
		x.announced(0, s)
		x.run(s, nil)
	}
	if len(x.o.Memory) == 0 || x.o.Race {
		return
	}
	x.sites = &control.Sites{Learn: true}
	for i := range x.o.Learning {
		x.run(schedule.Schedule{Strategy: schedule.Random, Seed: uint64(i)}, nil)
	}
	x.sites.Learn = false
	only(x.sites, x.o.Memory)
}

// next is the i-th schedule. The first has no preemption: it tells how many points
// there are, among which PCT draws.
func (x *explorer) next(i int, seed uint64) schedule.Schedule {
	if i == 0 {
		return schedule.Schedule{Strategy: schedule.Plan, Seed: seed}
	}
	s := schedule.Schedule{Strategy: x.o.Strategies[i%len(x.o.Strategies)].String(), Seed: seed}
	if s.Strategy == schedule.PCT {
		s.Depth, s.Length = uint32(x.o.Depth), max(x.out.MostPoints, 1)
	}
	return s
}

// try runs a schedule, counts it, and reports whether it passed. What failed is
// shrunk and described in the outcome.
func (x *explorer) try(s schedule.Schedule) bool {
	x.announced(x.out.Schedules+1, s)
	r := x.run(s, nil)
	o := &x.out
	o.Schedules++
	o.Points += r.Points
	o.Goroutines = max(o.Goroutines, r.Goroutines)
	o.count(r.run)
	if s.Strategy == schedule.PCT {
		o.PCT++
	}
	if r.verdict == nil && r.End == control.Limit {
		o.Cut++
		return true
	}
	o.MostPoints = max(o.MostPoints, r.Points)
	if r.verdict == nil {
		return true
	}
	o.Failure = x.describe(s, r)
	o.Failure.After = o.Schedules
	return false
}

// announced writes down which schedule is run next, if that is asked for: the process
// may die in it.
func (x *explorer) announced(number int, s schedule.Schedule) {
	if x.announce == "" {
		return
	}
	if err := os.WriteFile(x.announce, fmt.Appendln(nil, number, s), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "explore:", err)
	}
}

// ran is how a schedule went.
type ran struct {
	control.Result
	run     *Run
	verdict *verdict // nil if it passed
}

// buffers are what a schedule is noted in, if it is.
type buffers struct {
	record []control.Decision
	steps  []control.Step
	made   []control.Made
}

const (
	mostDecisions = 1 << 14
	mostSteps     = 1 << 15
	mostMade      = 1 << 14
)

func newBuffers() *buffers {
	return &buffers{
		record: make([]control.Decision, mostDecisions),
		steps:  make([]control.Step, mostSteps),
		made:   make([]control.Made, mostMade),
	}
}

// run runs a schedule once, and notes it in b if that is not nil.
func (x *explorer) run(s schedule.Schedule, b *buffers) ran {
	kinds := control.Sync
	if len(x.o.Memory) > 0 && !x.o.Race {
		kinds |= control.Memory
	}
	a := &control.Args{Seed: s.Seed, Order: s.Seed, Strategy: strategyOf(s), Depth: s.Depth, Length: s.Length,
		Max: x.o.Points, Kinds: kinds, Pass: uint32(x.o.Pass * 65536), Ahead: int64(x.o.Ahead), Plan: plan(s.Steps),
		Sites: x.sites}
	if x.order != 0 {
		a.Order = x.order
	}
	if b != nil {
		a.Record, a.Steps, a.Made = b.record, b.steps, b.made
	}
	e := newRun(s.Seed, s.Draws, true)
	tFailed := x.failed()
	r := control.Run(func() { e.body(x.f, x.o.Grace) }, a)
	out := ran{Result: r, run: e}
	out.verdict = x.judge(out, !tFailed && x.failed())
	return out
}

func strategyOf(s schedule.Schedule) control.Strategy {
	switch s.Strategy {
	case schedule.Random:
		return control.Random
	case schedule.PCT:
		return control.PCT
	case schedule.POS:
		return control.POS
	}
	return control.Plan
}

// plan is what the runtime follows.
func plan(steps []schedule.Step) []control.Decision {
	out := make([]control.Decision, len(steps))
	for i, s := range steps {
		out[i] = control.Decision{Key: control.Key(s.Goroutine, s.N, s.Time), To: s.To}
	}
	slices.SortFunc(out, func(a, b control.Decision) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// recorded is the plan that a run has followed.
func recorded(r ran, b *buffers) (steps []schedule.Step, whole bool) {
	if r.Recorded > len(b.record) {
		return nil, false
	}
	for _, d := range b.record[:r.Recorded] {
		g, n, time := d.Split()
		steps = append(steps, schedule.Step{Goroutine: g, N: n, Time: time, To: d.To})
	}
	return steps, true
}
