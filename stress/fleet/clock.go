package fleet

import (
	"context"
	"time"
)

// epoch is where the clock of this process begins. It is monotonic: what the
// machine takes for the time of day does not matter.
var epoch = time.Now()

// clock is the time of this process in ns.
func clock() int64 { return int64(time.Since(epoch)) }

// drift is how far two clocks go apart, by the time that passes.
const drift = 100e-6

// offset relates the clock of another process to this one's. A reading of it
// that was asked for and came within a round trip was made at some instant of
// it: taken for its middle, it is wrong by half of it at most.
type offset struct {
	ahead  int64 // of the other clock, in ns
	within int64 // ns
	at     int64 // when this was found, by our clock
}

// read is the offset by one reading of the other clock.
func read(asked, theirs, answered int64) offset {
	middle := asked + (answered-asked)/2
	return offset{ahead: theirs - middle, within: (answered - asked + 1) / 2, at: middle}
}

// theirs is an instant of ours by the other clock.
func (o offset) theirs(ours int64) int64 { return ours + o.ahead }

// ours is an instant of the other clock by ours.
func (o offset) ours(theirs int64) instant {
	at := theirs - o.ahead
	return instant{at, o.within + int64(drift*float64(max(at-o.at, o.at-at)))}
}

// instant is known to lie within so many ns of at.
type instant struct{ at, within int64 }

// spread is the most that may lie between any two of them.
func spread(instants []instant) int64 {
	most := int64(0)
	for k, i := range instants {
		for _, j := range instants[:k] {
			most = max(most, max(i.at-j.at, j.at-i.at)+i.within+j.within)
		}
	}
	return most
}

// sleep waits for d and returns the cause if ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
