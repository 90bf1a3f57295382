package stress

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// errRefused is what a dial returns that the kit has refused.
var errRefused = errors.New("dial refused, on purpose")

// failingDials: where dials fail, callers get an error or a connection, also
// those who were waiting for the room that the failed dial had taken; and no
// room is lost.
func (k *poolKit) failingDials(ctx context.Context, t *testing.T) {
	const size, waiters = 1, 8
	p, d := k.start(t, PoolConfig{Size: size})
	first, err := p.Acquire(ctx)
	if err != nil {
		k.fail("pooling: Acquire of a fresh pool returned %v", err)
		return
	}
	c := k.hold(first, 0)
	var all sync.WaitGroup
	for i := range waiters {
		id := make(chan string, 1)
		all.Go(func() {
			id <- goroutineID()
			l, err := p.Acquire(ctx)
			switch {
			case err == nil:
				k.release(l, k.hold(l, i+1))
			case ctx.Err() != nil:
				k.violate("served", "waiter %d of %d was not served after the dial of another had failed: %v", i, waiters, err)
			}
		})
		if !parked(ctx, <-id) {
			k.fail("pooling: waiter %d does not come to rest", i)
			break
		}
	}
	d.refuse.Store(1)
	k.discard(first, c) // its room is for the first in line, whose dial fails
	all.Wait()
	d.refuse.Store(2 * waiters)
	for range 2 * waiters {
		if l, err := p.Acquire(ctx); err == nil {
			k.discard(l, k.hold(l, 0))
		}
	}
	d.refuse.Store(0)
	k.capacity(ctx, p, size, "served")
	k.closePool(p)
	k.shown("served")
}
