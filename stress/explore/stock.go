package explore

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"tensile/stress/explore/internal/control"
)

// stop ends the schedule by the goroutine that calls it.
func (e *Run) stop() {
	if e.control {
		control.Stop()
	}
	runtime.Goexit()
}

// begin perturbs the order in which goroutines start under the stock scheduler: in
// virtual time the one that sleeps longer goes on after all others are blocked.
func (e *Run) begin() {
	if e.control {
		return
	}
	e.mu.Lock()
	wait := e.draw(4)
	e.mu.Unlock()
	if wait == 3 {
		runtime.Gosched()
		return
	}
	time.Sleep(time.Duration(wait))
}

// stockSchedules is how many schedules the stock scheduler is given at most: what
// they find no longer grows with their number.
const stockSchedules = 1000

// stock explores f by the stock scheduler. A deadlock or a panic ends the process,
// as it does in [synctest.Test].
func stock(t *testing.T, f func(*Run), o options, reason string) Outcome {
	out := Outcome{Reason: reason, Seed: o.Seed, Depth: o.Depth}
	seed := o.Seed
	for range min(o.Schedules, stockSchedules) {
		e := newRun(mix(&seed), nil, false)
		synctest.Test(t, func(*testing.T) { e.body(f, o.Grace) })
		out.Schedules++
		if failed, ok := e.found(); ok {
			out.Failure = &Failure{Kind: kindCheck, Sentence: failed.sentence(), After: out.Schedules}
			return out
		}
		if t.Failed() {
			out.Failure = &Failure{Kind: kindTest, Sentence: "the test's own T failed", After: out.Schedules}
			return out
		}
	}
	return out
}
