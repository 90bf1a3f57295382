package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Condition is the faults of one direction of a link. The zero value is a link without
// faults.
//
// A link carries TCP, and what the network does to segments is not what a
// reader of the stream sees: TCP sends lost ones again, and checks sums. So
// each field says what happens to the stream. Probabilities are for each
// piece of up to 16 KB, as it was read from the sender.
type Condition struct {
	// Cut lets nothing through, including the end of a connection, but breaks no
	// connection: senders block once buffers are full. After the cut everything
	// arrives. A connection that is dialled during the cut is accepted, because the
	// kernel accepts it, and leads nowhere until the cut ends.
	Cut bool
	// Delay holds bytes back, by a time drawn between Delay-Jitter and
	// Delay+Jitter for each piece. They stay in order: a piece that is held for
	// longer holds up those behind it.
	Delay, Jitter time.Duration
	// Loss is the probability that a piece must be sent again: it, and all
	// behind it, wait for Stall, the retransmission time-out; it is lost again
	// with the same probability, and then waits twice as long. 0 means 200 ms,
	// as in Linux. Nothing is missing from the stream.
	Loss  float64
	Stall time.Duration
	// Drop, Corrupt and Duplicate are the probabilities that a piece vanishes from
	// the stream, has one bit flipped, or arrives twice. TCP excludes these faults, but
	// broken software on the path can cause them. A protocol with checksums detects
	// them.
	Drop, Corrupt, Duplicate float64
	// Bandwidth is the most bytes a second; 0 for no limit.
	Bandwidth int
}

const defaultStall = 200 * time.Millisecond

// Validate returns an error that wraps ErrPlan if there can be no such link.
func (c Condition) Validate() error {
	for _, p := range []struct {
		name string
		at   float64
	}{{"Loss", c.Loss}, {"Drop", c.Drop}, {"Corrupt", c.Corrupt}, {"Duplicate", c.Duplicate}} {
		if !(p.at >= 0 && p.at <= 1) {
			return fmt.Errorf("%w: %s is %v, must be 0 to 1", ErrPlan, p.name, p.at)
		}
	}
	for _, d := range []struct {
		name string
		at   time.Duration
	}{{"Delay", c.Delay}, {"Jitter", c.Jitter}, {"Stall", c.Stall}} {
		if d.at < 0 || d.at > MaxTime {
			return fmt.Errorf("%w: %s is %v, must be 0 to %v", ErrPlan, d.name, d.at, MaxTime)
		}
	}
	if c.Bandwidth < 0 {
		return fmt.Errorf("%w: Bandwidth is %d, must be 0 for no limit, or more", ErrPlan, c.Bandwidth)
	}
	return nil
}

// and is both at once.
func (c Condition) and(o Condition) Condition {
	either := func(p, q float64) float64 { return p + q - p*q }
	c.Cut = c.Cut || o.Cut
	c.Delay += o.Delay
	c.Jitter += o.Jitter
	c.Loss = either(c.Loss, o.Loss)
	c.Stall = max(c.Stall, o.Stall)
	c.Drop = either(c.Drop, o.Drop)
	c.Corrupt = either(c.Corrupt, o.Corrupt)
	c.Duplicate = either(c.Duplicate, o.Duplicate)
	if c.Bandwidth == 0 || o.Bandwidth > 0 && o.Bandwidth < c.Bandwidth {
		c.Bandwidth = o.Bandwidth
	}
	return c
}

// late draws how long a piece is held back.
func (c Condition) late(random *rand.Rand) time.Duration {
	late := c.Delay
	if c.Jitter > 0 {
		late += time.Duration((2*random.Float64() - 1) * float64(c.Jitter))
	}
	const mostRetries = 6
	stall := orDefault(c.Stall, defaultStall)
	for range mostRetries {
		if !(random.Float64() < c.Loss) {
			break
		}
		late += stall
		stall *= 2
	}
	return max(late, 0)
}

// direction is one direction of a link, with all that is imposed on it.
type direction struct {
	mu      sync.Mutex
	imposed []*Condition
	now     atomic.Pointer[state]
}

// state is a condition that is in force until changed is closed.
type state struct {
	Condition
	changed chan struct{}
}

// impose adds a condition, and returns what takes it away again.
func (d *direction) impose(c Condition) (lift func()) {
	mine := &c
	d.change(func() { d.imposed = append(d.imposed, mine) })
	return func() {
		d.change(func() {
			d.imposed = slices.DeleteFunc(d.imposed, func(other *Condition) bool { return other == mine })
		})
	}
}

func (d *direction) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	next := &state{changed: make(chan struct{})}
	for _, c := range d.imposed {
		next.Condition = next.and(*c)
	}
	if before := d.now.Swap(next); before != nil {
		close(before.changed)
	}
}

// passable waits until the direction is not cut, and returns false if ctx ended
// first.
func (d *direction) passable(ctx context.Context) bool {
	for {
		now := d.now.Load()
		if !now.Cut {
			return ctx.Err() == nil
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return false
		}
	}
}
