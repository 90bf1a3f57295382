package explore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/schedule"
)

// Run is one schedule of the function given to [Test]. Any goroutine of the schedule may call
// its methods, until the function has returned. It has Errorf, FailNow and Helper, so
// assertion libraries accept it in place of a *testing.T, whose Fatal may be called only by
// the goroutine of the test.
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

// drawn is a draw that was made, and the draw that the seed gives.
type drawn struct{ value, seeds int }

// failed is a check that did not hold. It is formatted when nothing runs any more, because
// formatting could be a point.
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

// Go runs f in a goroutine with a name for the report. [Run.Wait] waits for it.
func (e *Run) Go(name string, f func()) {
	e.group.Add(1)
	go func() {
		defer e.group.Done()
		e.named(name)
		e.begin()
		f()
	}()
}

// named sets the name of the calling goroutine.
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

// Context returns a context that is cancelled by [Run.Cancel], and when the function has
// returned.
func (e *Run) Context() context.Context { return e.ctx }

// Cancel cancels the context of the run. The schedule decides when.
func (e *Run) Cancel() { e.cancel() }

// Check ends the schedule as failed if ok is false. The message is formatted with
// fmt.Sprintf. When a schedule is shrunk, failures with the same format count as the same.
func (e *Run) Check(ok bool, format string, args ...any) {
	if !ok {
		e.fail(format, args)
		e.stop()
	}
}

// Errorf marks the schedule as failed, and continues.
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

// Count counts the schedules in which it is called with name, once in each. [Outcome.Counts]
// has the numbers, so that a test can see what its draws and schedules have reached.
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

// Describe registers f, which describes the schedule in lines if it fails: for example, the
// program that was drawn. f is called when nothing runs any more, and must not wait for a
// goroutine or a lock of the schedule. A later call replaces an earlier one.
//
//go:norace
func (e *Run) Describe(f func() string) {
	if !e.control {
		e.mu.Lock()
		defer e.mu.Unlock()
	}
	e.describe = f
}

// described returns the result of the function given to Describe.
//
//go:norace
func (e *Run) described() string {
	if e.describe == nil {
		return ""
	}
	return e.describe()
}

// Draw returns a number from 0 to n-1 that follows from the seed. It is for a choice of the
// program, such as a size, a value or a fault. When a failure is shrunk, smaller numbers are
// tried, so 0 should be the simplest choice. It panics if n < 1.
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

// hasReturned reports whether the function has returned.
//
//go:norace
func (e *Run) hasReturned() bool { return e.returned }

// name returns the name of goroutine id, or "" if it has none.
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

// unlikeSeed returns the draws that differ from those of the seed.
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
