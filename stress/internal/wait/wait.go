package wait

import (
	"context"
	"sync/atomic"
	"time"
)

// Counter reads a counter as a number of operations.
func Counter(c *atomic.Int64) func() int { return func() int { return int(c.Load()) } }

// Pause is the patience of settle where Close comes next, which waits for
// what is still in flight.
const Pause = 250 * time.Millisecond

// Until waits for done to become true, or for d, and tells which it was.
func Until(ctx context.Context, d time.Duration, done func() bool) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-late.C:
			return done()
		case <-pause.C:
		}
	}
	return true
}
