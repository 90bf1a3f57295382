package explore_test

import (
	"sync"
	"testing"

	"tensile/stress/explore"
)

// tally counts, and forgets to hold its lock all the while.
type tally struct {
	mu sync.Mutex
	n  int
}

func (c *tally) add() {
	c.mu.Lock()
	n := c.n
	c.mu.Unlock()
	c.mu.Lock()
	c.n = n + 1
	c.mu.Unlock()
}

// In a file of tests, this is the function TestTally. It fails: "an addition is
// lost: 1", after a few schedules, with the one preemption that it takes.
func testTally(t *testing.T) {
	explore.Test(t, func(e *explore.Run) { // called once a schedule
		var c tally
		for _, name := range []string{"a", "b"} {
			e.Go(name, c.add)
		}
		e.Wait()
		e.Check(c.n == 2, "an addition is lost: %d", c.n)
	}, explore.Schedules(5000))
}

func Example() { _ = testTally }
