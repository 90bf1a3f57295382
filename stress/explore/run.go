package explore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/schedule"
)

// Run is one schedule of the function given to [Test]. Its methods may be called by
// any goroutine of the schedule, until the function has returned. With Errorf,
// FailNow and Helper it is what assertion libraries ask for in place of a
// *testing.T, whose own Fatal must not be called by other goroutines than the test's.
type Run struct {
	control bool // of the schedules; else the stock scheduler's
	ctx     context.Context
	cancel  context.CancelFunc
	group   sync.WaitGroup // of Go

	// Under control one goroutine runs at a time and is switched at points alone,
	// so that no lock is needed; a lock would be a point, and order what it is to
	// find unordered. The race detector is told so where these are used.
	mu       sync.Mutex // of the stock scheduler's
	random   uint64
	fixed    []schedule.Draw // draws that are not as the seed says
	drawn    []drawn
	names    []string // by number
	failures []failed
	counts   map[string]int
	describe func() string
	returned bool
}

// drawn is a draw that was made, and what the seed says.
type drawn struct{ value, seeds int }

// failed is a check that did not hold, put into words when nothing runs any more:
// what prints them could be a point.
type failed struct {
	format string
	args   []any
}

func (f failed) sentence() string { return fmt.Sprintf(f.format, f.args...) }

func newRun(seed uint64, fixed []schedule.Draw, controlled bool) *Run {
	return &Run{control: controlled, random: seed ^ 0x2545f4914f6cdd1d, fixed: fixed}
}

// body is what runs in the bubble for a schedule.
func (e *Run) body(f func(*Run), grace time.Duration) {
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.named("main")
	f(e)
	e.over(grace) // not after a panic, which shall show where things stand
}

//go:norace
func (e *Run) over(grace time.Duration) {
	e.returned = true
	if e.control {
		control.Over()
	}
	e.cancel()
	if grace > 0 {
		time.Sleep(grace)
	}
}

// Go runs f in a goroutine that the report calls by name. [Run.Wait] waits for it.
func (e *Run) Go(name string, f func()) {
	e.group.Add(1)
	go func() {
		defer e.group.Done()
		e.named(name)
		e.begin()
		f()
	}()
}

// named notes what the calling goroutine is called.
//
//go:norace
func (e *Run) named(name string) {
	if !e.control {
		return
	}
	id := int(control.Self())
	for len(e.names) <= id {
		e.names = append(e.names, "")
	}
	e.names[id] = name
}

// Wait waits until all functions given to [Run.Go] have returned.
func (e *Run) Wait() { e.group.Wait() }

// Context is cancelled by [Run.Cancel], and when the function has returned.
func (e *Run) Context() context.Context { return e.ctx }

// Cancel cancels the context of the run, at the instant that the schedule gives it.
func (e *Run) Cancel() { e.cancel() }

// Check ends the schedule as failed if ok is false. The message is that of
// fmt.Sprintf; its format tells one failure from another when a schedule is shrunk.
func (e *Run) Check(ok bool, format string, args ...any) {
	if !ok {
		e.fail(format, args)
		e.stop()
	}
}

// Errorf says that the schedule has failed, and goes on.
func (e *Run) Errorf(format string, args ...any) {
	e.fail("%s", []any{fmt.Sprintf(format, args...)})
}

// FailNow ends the schedule as failed.
func (e *Run) FailNow() {
	e.failUnlessFailed()
	e.stop()
}

// Helper does nothing; assertion libraries call it.
func (e *Run) Helper() {}

// Count adds to the number of schedules in which name was met: it counts once in
// each. [Outcome.Counts] has the numbers, so that a test can see what its draws
// and schedules have reached.
func (e *Run) Count(name string) {
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	e.count(name)
}

//go:norace
func (e *Run) count(name string) {
	if e.counts == nil {
		e.counts = make(map[string]int)
	}
	e.counts[name] = 1
}

// Describe has f say what the schedule has done, in lines, if it fails: which
// program was drawn, for example. f is called when nothing runs any more, and must
// not wait for a goroutine or a lock of the schedule. A later call takes the place
// of an earlier one.
//
//go:norace
func (e *Run) Describe(f func() string) {
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	e.describe = f
}

// described is what the function given to Describe says.
//
//go:norace
func (e *Run) described() string {
	if e.describe == nil {
		return ""
	}
	return e.describe()
}

// Draw returns a number from 0 to n-1 that the seed gives: a choice of the program,
// such as a size, a value or a fault. Where a failure is shrunk, smaller numbers
// are tried, so that 0 should be the simplest choice. It panics if n < 1.
func (e *Run) Draw(n int) int {
	if n < 1 {
		panic(fmt.Sprintf("explore: Draw(%d), must be at least 1", n))
	}
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	return e.draw(n)
}

//go:norace
func (e *Run) draw(n int) int {
	seeds := int(mix(&e.random) % uint64(n))
	value, index := seeds, len(e.drawn)
	for i := range e.fixed {
		if e.fixed[i].Index == index {
			value = e.fixed[i].Value % n
		}
	}
	e.drawn = append(e.drawn, drawn{value, seeds})
	return value
}

//go:norace
func (e *Run) fail(format string, args []any) {
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	e.failures = append(e.failures, failed{format, args})
}

//go:norace
func (e *Run) failUnlessFailed() {
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	if len(e.failures) == 0 {
		e.failures = append(e.failures, failed{format: "FailNow was called"})
	}
}

// found is the first check that failed.
//
//go:norace
func (e *Run) found() (failed, bool) {
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	if len(e.failures) == 0 {
		return failed{}, false
	}
	return e.failures[0], true
}

// hasReturned reports whether the function has.
//
//go:norace
func (e *Run) hasReturned() bool { return e.returned }

// name is what goroutine id is called, "" if it was given no name.
//
//go:norace
func (e *Run) name(id uint32) string {
	if int(id) < len(e.names) {
		return e.names[id]
	}
	return ""
}

// draws are the draws that were made.
//
//go:norace
func (e *Run) draws() []drawn { return e.drawn }

// unlikeSeed are the draws that are not as the seed says.
func (e *Run) unlikeSeed() (out []schedule.Draw) {
	for i, d := range e.draws() {
		if d.value != d.seeds {
			out = append(out, schedule.Draw{Index: i, Value: d.value})
		}
	}
	return out
}

// mix is SplitMix64 (Steele, Lea, Flood: OOPSLA 2014).
//
//go:norace
func mix(s *uint64) uint64 {
	*s += 0x9e3779b97f4a7c15
	z := *s
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
