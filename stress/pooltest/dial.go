package pooltest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// errRefused is what a dial returns that the kit has refused.
// failFast is the pause before a pool is asked again that has refused to dial.
const failFast = 10 * time.Millisecond

var errRefused = errors.New("dial refused, on purpose")

// failingDials: where dials fail, callers get an error or a connection, also
// those who were waiting for the room that the failed dial had taken; and no
// room is lost.
func (k *kit) failingDials(ctx context.Context, t *testing.T) {
	const size, waiters = 1, 8
	p, d := k.start(t, Config{Size: size})
	first, err := k.acquire(ctx, p)
	if err != nil {
		k.Fault("Acquire of a fresh pool returned %v", err)
		return
	}
	c := k.hold(first, 0)
	var all sync.WaitGroup
	for i := range waiters {
		if !wait.UntilParked(ctx, &all, func() {
			l, err := k.acquire(ctx, p)
			switch {
			case err == nil:
				k.release(l, k.hold(l, i+1))
			case ctx.Err() != nil:
				k.Violate("served", "waiter %d of %d was not served after the dial of another had failed: %v", i, waiters, err)
			}
		}) {
			k.Fault("waiter %d does not begin to wait", i)
			break
		}
	}
	d.refuse.Store(1)
	k.discard(first, c) // its room is for the first in line, whose dial fails
	all.Wait()
	d.refuse.Store(2 * waiters)
	for range 2 * waiters {
		if l, err := k.acquire(ctx, p); err == nil {
			k.discard(l, k.hold(l, 0))
		}
	}
	d.refuse.Store(0)
	answers := true
	for _, outcome := range []error{errRefused, nil} {
		if ctx.Err() != nil {
			break
		}
		if answers = k.dialOutlastsCaller(ctx, p, d, outcome); !answers {
			break
		}
		// It may go on refusing for a while, as it was refused.
		wait.Until(ctx, scenario.Settle, func() bool {
			l, err := k.acquire(ctx, p)
			if err == nil {
				k.release(l, k.hold(l, 0))
			}
			return err == nil
		})
		k.capacity(ctx, p, size, "served")
	}
	if answers { // else Close would wait for the same
		k.closePool(p)
	}
}

// dialOutlastsCaller: a caller gives up while a dial is on its way for it, and
// only then that dial fails, or succeeds. A pool that dials on a goroutine of its
// own has nobody left to tell, or to give the connection to. It returns false if
// the pool answers nobody any more.
func (k *kit) dialOutlastsCaller(ctx context.Context, p Pool, d *dialler, outcome error) bool {
	if l, err := k.acquire(ctx, p); err == nil {
		k.discard(l, k.hold(l, 0)) // so that the next has to dial
	}
	gone, begun := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	stall := func(ctx context.Context) error {
		if once.CompareAndSwap(false, true) {
			close(begun)
		}
		select {
		case <-gone:
			return outcome
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.stall.Store(&stall)
	caller, giveUp := context.WithCancel(ctx)
	defer giveUp()
	done := make(chan error, 1)
	acquire := func() {
		l, err := k.acquire(caller, p)
		if err == nil {
			k.discard(l, k.hold(l, 0))
		}
		done <- err
	}
	go acquire()
	for dials := false; !dials; {
		select {
		case <-begun:
			dials = true
		case err := <-done:
			// Without a dial: after those that failed a pool may give it a rest.
			if !wait.Until(ctx, failFast, func() bool { return false }) && ctx.Err() == nil {
				go acquire()
				continue
			}
			k.Violate("served", "a pool with room does not dial: Acquire returned %v", err)
			return false
		case <-ctx.Done():
			k.Violate("served", "a pool with room does not dial: %v", ctx.Err())
			return false
		}
	}
	giveUp()
	select {
	case err := <-done:
		if err == nil {
			k.Violate("served", "Acquire succeeded although no dial had")
		}
	case <-ctx.Done():
		k.Violate("deadline",
			"Acquire does not return though its context has ended: the dial of a connection has not returned")
	}
	d.stall.Store(nil)
	close(gone)
	answered := make(chan struct{})
	go func() {
		l, err := k.acquire(ctx, p)
		if err == nil {
			k.release(l, k.hold(l, 1))
		} else if ctx.Err() != nil {
			return // that the phase has ended is no answer
		}
		close(answered)
	}()
	select {
	case <-answered:
		return true
	case <-time.After(scenario.Settle):
		k.Violate("served", "the pool has answered nobody for %v, since a dial %s whose caller had given up", scenario.Settle,
			map[bool]string{true: "succeeded", false: "failed"}[outcome == nil])
		return false
	}
}
