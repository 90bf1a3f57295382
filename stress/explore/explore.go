package explore

import (
	"fmt"
	"sync"
	"testing"
)

// Test runs f under many schedules of its goroutines. If a schedule fails, Test reports it
// and ends the test, as t.Fatal does. The schedules run in another process, which runs the
// same test, including the code before and after Test.
func Test(t *testing.T, f func(e *Run), given ...Option) {
	t.Helper()
	out := Try(t, f, given...)
	if out.Failure != nil {
		t.Fatal(out.String())
	}
	t.Log(out.String())
}

// Try is like Test, but returns the outcome instead of failing the test. It fails the test
// only for options out of bounds.
func Try(t *testing.T, f func(e *Run), given ...Option) Outcome {
	t.Helper()
	o, err := newOptions(given)
	if err != nil {
		t.Fatal(err)
	}
	call := countCall(t)
	if theRequest != nil {
		return requested(t, f, call.index)
	}
	o.Seed += uint64(call.repetition)
	out, err := explored(t, o, call.earlier)
	if err != nil {
		out = stock(t, f, o, reasonOf(err))
	} else if out.Failure == nil && testing.CoverMode() != "" {
		o.Schedules = coverSchedules
		stock(t, f, o, "") // what is covered counts only in this process
	}
	call.is(t, out)
	return out
}

// Prepare begins to build the binary that [Test] and [Try] need for the options, so that it is
// ready when they are called. The channel is closed when the binary is ready, or cannot be
// built.
func Prepare(given ...Option) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if o, err := newOptions(given); err == nil && theRequest == nil {
			_, _ = controlled(o) // kept, with its error, for whoever needs it
		}
	}()
	return done
}

// Serving reports whether this process was started by [Test] to run schedules of a test. A
// test can then skip everything else.
func Serving() bool { return theRequest != nil }

// coverSchedules is how many schedules are run for the coverage of go test -cover.
const coverSchedules = 20

// requested answers, in the process started for it, the call that is asked for. An
// earlier one in the same test has the outcome that it had.
func requested(t *testing.T, f func(*Run), index int) Outcome {
	if theRequest.Test == t.Name() && index == len(theRequest.Earlier) {
		serve(t, f)
	}
	if theRequest.Test == t.Name() && index < len(theRequest.Earlier) {
		return theRequest.Earlier[index]
	}
	return Outcome{Controlled: true}
}

// call says which of the calls in a test this is.
type call struct {
	index      int // in the test
	repetition int // of the test in this process, by -count
	earlier    []Outcome
}

// counts are the calls so far, by the name of the test.
var counts = struct {
	mu       sync.Mutex
	calls    map[string]int
	tests    map[string]int
	outcomes map[string][]Outcome
}{calls: make(map[string]int), tests: make(map[string]int), outcomes: make(map[string][]Outcome)}

func countCall(t *testing.T) call {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	name := t.Name()
	c := call{index: counts.calls[name], repetition: counts.tests[name], earlier: counts.outcomes[name]}
	if c.index == 0 {
		t.Cleanup(func() {
			counts.mu.Lock()
			defer counts.mu.Unlock()
			delete(counts.calls, name)
			delete(counts.outcomes, name)
			counts.tests[name]++
		})
	}
	counts.calls[name]++
	return c
}

// is notes the outcome of a call, for later calls in the same test.
func (c call) is(t *testing.T, out Outcome) {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	counts.outcomes[t.Name()] = append(counts.outcomes[t.Name()], out)
}

// reasonOf is why schedules could not be controlled, in one line.
func reasonOf(err error) string { return oneLine(fmt.Sprint(err), 300) }
