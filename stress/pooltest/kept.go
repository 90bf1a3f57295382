package pooltest

import (
	"context"
	"testing"

	"tensile/stress/internal/scenario"
)

// How often each way to borrow is gone, and how much of it may be left in memory.
const (
	keptTimes  = 20_000
	keptPerUse = 16 // bytes
)

// kept: what is over is forgotten, however it ended.
func (k *kit) kept(ctx context.Context, t *testing.T) { k.Unrecorded(func() { k.forgets(ctx, t) }) }

func (k *kit) forgets(ctx context.Context, t *testing.T) {
	p, _ := k.start(t, Config{Size: 1})
	defer k.closePool(p)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	borrow := func() Lease {
		l, err := p.Acquire(ctx)
		if err != nil {
			k.Fault("Acquire returned %v", err)
		}
		return l
	}
	ok := k.Forgets(ctx, scenario.Each("connection that was lent and returned", keptTimes, keptPerUse,
		func(int, int) bool {
			l := borrow()
			if l != nil {
				l.Release()
			}
			return l != nil
		}))
	if !ok {
		return
	}
	lent := borrow()
	if lent == nil {
		return
	}
	defer lent.Release()
	k.Forgets(ctx, scenario.Each("caller that gave up", keptTimes, keptPerUse, func(int, int) bool {
		l, err := p.Acquire(ended)
		if err == nil {
			l.Release()
			k.Violate("deadline", "Acquire of a pool that has lent everything returned no error, with a context that has ended")
		}
		return err != nil
	}))
}
