package stress

import (
	"context"
	"time"
)

// until waits for done to become true, or for d, and tells which it was.
func until(ctx context.Context, d time.Duration, done func() bool) bool {
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
