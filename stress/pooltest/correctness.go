package pooltest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// order: one connection, waiters that come one after the other.
func (k *kit) order(ctx context.Context, t *testing.T) {
	p, _ := k.start(t, Config{Size: 1})
	_, unordered := p.(Unordered)
	const waiters = 32
	first, err := k.acquire(ctx, p)
	if err != nil {
		k.Fault("Acquire of a fresh pool returned %v", err)
		return
	}
	c := k.hold(first, 0)
	served := make(chan int, waiters)
	var all sync.WaitGroup
	for i := range waiters {
		if !wait.UntilParked(ctx, &all, func() {
			l, err := k.acquire(ctx, p)
			if err != nil {
				k.Violate("served", "waiter %d of %d was not served: %v", i, waiters, err)
				return
			}
			c := k.hold(l, i)
			served <- i
			if k.roundTrip(ctx, l, i) != nil {
				k.discard(l, c)
				return
			}
			k.release(l, c)
		}) {
			k.Fault("waiter %d does not begin to wait", i)
			break
		}
	}
	k.release(first, c)
	all.Wait()
	close(served)
	next := 0
	for i := range served {
		if i != next && !unordered {
			k.Violate("order", "waiter %d was served before waiter %d, which had come earlier", i, next)
			break
		}
		next++
	}
	if !unordered && !k.Failed() {
		k.overtake(ctx, p)
	}
	k.closePool(p)
	if unordered {
		k.NotOffered("order", "the subject does not promise an order")
	}
}

// overtake: who gives a connection back and asks for one at once stands behind
// those who have waited.
func (k *kit) overtake(ctx context.Context, p Pool) {
	const rounds = 20
	for range rounds {
		l, err := k.acquire(ctx, p)
		if err != nil {
			k.Violate("served", "Acquire returned %v", err)
			return
		}
		c := k.hold(l, 0)
		var served atomic.Bool
		var waiter sync.WaitGroup
		wait.UntilParked(ctx, &waiter, func() {
			l, err := k.acquire(ctx, p)
			if err != nil {
				k.Violate("served", "a waiter was not served: %v", err)
				return
			}
			served.Store(true)
			k.release(l, k.hold(l, 1))
		})
		k.release(l, c)
		if l, err := k.acquire(ctx, p); err == nil {
			if !served.Load() {
				k.Violate("order", "a caller that came later was served before a waiter")
			}
			k.release(l, k.hold(l, 2))
		}
		waiter.Wait()
	}
}

// deadline: waiters whose context ends, in every other round in the very
// instant in which they may be served, get an error and take nothing with them.
func (k *kit) deadline(ctx context.Context, t *testing.T) {
	// A pool may be slow: then fewer rounds have to do.
	const size, rounds, fewest, waiters, enough = 2, 1000, 50, 8, 2 * time.Second
	p, _ := k.start(t, Config{Size: size})
	for round, began := 0, time.Now(); round < rounds && (round < fewest || time.Since(began) < enough); round++ {
		leases := make([]Lease, 0, size)
		conns := make([]*conn, 0, size)
		for i := range size {
			short, stop := context.WithTimeout(ctx, scenario.Settle)
			l, err := k.acquire(short, p)
			stop()
			if err != nil {
				k.Violate("deadline", "after waiters gave up a pool of %d lends only %d: capacity has leaked (%v)", size, i, err)
				return
			}
			leases, conns = append(leases, l), append(conns, k.hold(l, i))
		}
		waiting, giveUp := context.WithCancel(ctx)
		var all, begun sync.WaitGroup
		begun.Add(waiters)
		for i := range waiters {
			all.Go(func() {
				begun.Done()
				if l, err := k.acquire(waiting, p); err == nil {
					k.release(l, k.hold(l, size+i))
				} else if waiting.Err() == nil {
					k.Violate("deadline", "a waiter whose context had not ended got %v", err)
				} else if ended := waiting.Err(); !errors.Is(err, ended) {
					k.Violate("deadline", "a waiter whose context had ended got %v, must be %v", err, ended)
				}
			})
		}
		begun.Wait()
		for range waiters {
			runtime.Gosched() // most of them get in line
		}
		if round%2 == 0 {
			giveUp()
			all.Wait() // before anything is released: so none can be served
		}
		go giveUp()
		for i, l := range leases {
			k.release(l, conns[i])
		}
		all.Wait()
		giveUp()
	}
	// Nothing is released here: all must give up by their own context.
	l, err := k.acquire(ctx, p)
	l2, err2 := k.acquire(ctx, p)
	if err := errors.Join(err, err2); err != nil {
		k.Violate("deadline", "Acquire returned %v", err)
		return
	}
	ended, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	if extra, err := k.acquire(ended, p); err == nil {
		k.Violate("bound", "a pool of %d lent one more", size)
		extra.Release()
	} else if !errors.Is(err, context.DeadlineExceeded) {
		k.Violate("deadline", "a deadline while waiting gave %v, must be context.DeadlineExceeded", err)
	}
	l.Release()
	l2.Release()
	k.capacity(ctx, p, size, "deadline")
	k.closePool(p)
}

// broken: a connection cut by the server gives its holder an error, is
// discarded, and is never lent again.
func (k *kit) broken(ctx context.Context, t *testing.T) {
	const size = 4
	p, _ := k.start(t, Config{Size: size})
	k.capacity(ctx, p, size, "broken")
	cut := 0
	var err error
	// The other end may have accepted only some of them yet.
	wait.Until(ctx, scenario.Settle, func() bool {
		var more int
		more, err = k.cut(size - cut)
		cut += more
		return err != nil || cut == size
	})
	if err != nil || cut < size {
		k.Fault("%d of %d connections could be cut: %v", cut, size, err)
		return
	}
	errs := 0
	for op := range 4 * size {
		err := k.operate(ctx, p, op, nil)
		if errors.As(err, new(notServed)) {
			k.Violate("served", "operation %d was not served after %d connections had been cut: %v", op, cut, err)
			break
		}
		if err != nil {
			errs++
		}
	}
	if errs > cut {
		k.Violate("broken", "%d connections were cut and %d operations failed: a broken connection was lent again", cut, errs)
	}
	k.capacity(ctx, p, size, "broken")
	k.closePool(p)
}

// overflow: callers beyond the bound get the overflow error.
func (k *kit) overflow(ctx context.Context, t *testing.T) {
	const bound = 3
	p, _ := k.start(t, Config{Size: 1, MaxWaiters: bound})
	defer k.closePool(p)
	b, ok := p.(Bounded)
	if !ok {
		k.NotOffered("overflow", "the subject does not bound its waiters")
		return
	}
	l, err := k.acquire(ctx, p)
	if err != nil {
		k.Fault("Acquire returned %v", err)
		return
	}
	var all sync.WaitGroup
	for range bound {
		wait.UntilParked(ctx, &all, func() {
			if l, err := k.acquire(ctx, p); err == nil {
				l.Release()
			} else {
				k.Violate("overflow", "a waiter within the bound of %d got %v", bound, err)
			}
		})
	}
	short, stop := context.WithTimeout(ctx, scenario.Settle)
	defer stop()
	if extra, err := k.acquire(short, p); err == nil {
		k.Violate("overflow", "waiter %d was served, the bound is %d", bound+1, bound)
		extra.Release()
	} else if errors.Is(err, context.DeadlineExceeded) {
		k.Violate("overflow", "waiter %d waited until its deadline, beyond the bound of %d waiters it must get %q",
			bound+1, bound, b.Overflow())
	} else if !errors.Is(err, b.Overflow()) {
		k.Violate("overflow", "waiter %d got %T %q, which is not %T %q by errors.Is",
			bound+1, err, err, b.Overflow(), b.Overflow())
	}
	l.Release()
	all.Wait()
	k.capacity(ctx, p, 1, "overflow")
}

// close: Close waits for what is lent out, answers who waits, refuses later
// callers and closes every connection.
func (k *kit) close(ctx context.Context, t *testing.T) {
	const size = 3
	p, d := k.start(t, Config{Size: size})
	leases := make([]Lease, size)
	for i := range leases {
		l, err := k.acquire(ctx, p)
		if err != nil {
			k.Fault("Acquire returned %v", err)
			return
		}
		leases[i] = l
	}
	// In line as long as all are lent; Close may serve it yet, or refuse it.
	waiter := make(chan struct{})
	wait.UntilParked(ctx, new(sync.WaitGroup), func() {
		defer close(waiter)
		if l, err := k.acquire(context.Background(), p); err == nil {
			l.Release()
		}
	})
	ended, id := make(chan error, 1), make(chan string, 1)
	go func() {
		id <- wait.GoroutineID()
		ended <- p.Close()
	}()
	closing := <-id
	for i, l := range leases {
		wait.Parked(ctx, closing)
		if len(ended) > 0 {
			k.Violate("close", "Close returned while %d connections were lent out", size-i)
		}
		l.Release()
	}
	over := make(chan error, 1)
	go func() {
		<-waiter
		over <- <-ended
	}()
	select {
	case err := <-over:
		if err != nil {
			k.Violate("close", "Close returned %v", err)
		}
	case <-time.After(scenario.Settle):
		what := "Close has not returned"
		if len(ended) > 0 {
			what = "a waiter has not been answered"
		}
		k.Violate("close", "%s, %v after the last connection was returned to a pool that was told to close",
			what, scenario.Settle)
		return
	}
	short, stop := context.WithTimeout(ctx, scenario.Settle)
	defer stop()
	if l, err := k.acquire(short, p); err == nil {
		k.Violate("close", "Acquire succeeded after Close")
		l.Release()
	} else if errors.Is(err, context.DeadlineExceeded) {
		k.Violate("close", "Acquire after Close waits instead of returning an error")
	}
	if n := d.open.Load(); n != 0 {
		k.Violate("close", "%d connections are open after Close", n)
	}
}
