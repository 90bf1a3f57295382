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
	ended, cancel := context.WithCancel(ctx)
	cancel()
	work := func(what string, once func() bool) scenario.Work {
		return scenario.Work{What: what, Times: keptTimes, Limit: keptPerUse, Once: func(int) bool {
			for range keptTimes {
				if !once() {
					return false
				}
			}
			return true
		}}
	}
	borrow := func() Lease {
		l, err := p.Acquire(ctx)
		if err != nil {
			k.Fault("Acquire returned %v", err)
		}
		return l
	}
	var lent Lease
	k.Forgets(ctx,
		work("connection that was lent and returned", func() bool {
			l := borrow()
			if l != nil {
				l.Release()
			}
			return l != nil
		}),
		work("caller that gave up", func() bool {
			if lent == nil {
				if lent = borrow(); lent == nil {
					return false
				}
			}
			l, err := p.Acquire(ended)
			if err == nil {
				l.Release()
				k.Violate("deadline", "Acquire of a pool that has lent everything returned no error, with a context that has ended")
			}
			return err != nil
		}),
	)
	if lent != nil {
		lent.Release()
	}
	k.closePool(p)
}
