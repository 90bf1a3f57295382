package explore

import (
	"runtime"
	"strings"
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

// stock explores f by the stock scheduler. A panic of a goroutine ends the process,
// as it does in [synctest.Test].
func stock(t *testing.T, f func(*Run), o options, reason string) Outcome {
	out := Outcome{Reason: reason, Seed: o.Seed, Depth: o.Depth}
	seed, began := o.Seed, time.Now()
	for range min(o.Schedules, stockSchedules) {
		e := newRun(mix(&seed), nil, false)
		stuck := e.stock(t, f, o.Grace)
		out.Schedules++
		out.count(e)
		failed, ok := e.found()
		switch {
		case ok:
			out.Failure = &Failure{Kind: kindCheck, Sentence: failed.sentence()}
		case t.Failed():
			out.Failure = &Failure{Kind: kindTest, Sentence: "the test's own T failed"}
		case stuck != "" && !e.hasReturned():
			out.Failure = &Failure{Kind: kindDeadlock, Sentence: stuck}
		case stuck != "" && !o.AllowLeft:
			out.Failure = &Failure{Kind: kindLeft, Sentence: stuck}
		}
		if out.Failure != nil {
			out.Failure.After, out.Failure.Program = out.Schedules, e.described()
			break
		}
		if o.over(began, out.Schedules) {
			break
		}
	}
	return out
}

// stock runs f once in a bubble, and returns what the bubble said if goroutines
// were left in it for good.
func (e *Run) stock(t *testing.T, f func(*Run), grace time.Duration) (stuck string) {
	defer func() {
		p := recover()
		if err, ok := p.(error); ok && strings.HasPrefix(err.Error(), "deadlock: ") {
			stuck = err.Error()
		} else if p != nil {
			panic(p)
		}
	}()
	synctest.Test(t, func(*testing.T) {
		done := make(chan struct{})
		go func() { // which a failed check ends
			defer close(done)
			e.body(f, grace)
		}()
		<-done
	})
	return ""
}
