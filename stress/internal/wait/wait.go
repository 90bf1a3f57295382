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

// Progress waits until look returns true, for as long as the number that it returns, which is how
// much has come so far, changes within patience each time. It returns false if that stays the
// same for longer, or if ctx ends.
func Progress(ctx context.Context, patience time.Duration, look func() (come int, all bool)) bool {
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for last, since := 0, time.Now(); ; {
		come, all := look()
		switch {
		case all:
			return true
		case come != last:
			last, since = come, time.Now()
		case time.Since(since) > patience:
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-pause.C:
		}
	}
}
