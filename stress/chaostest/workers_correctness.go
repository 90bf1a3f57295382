package chaostest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// death kills one of a few workers, with work behind the operation that kills
// it.
func (k *workersKit) death(ctx context.Context, t *testing.T) {
	const victim, behind = 3, 16
	c := k.start(t, fewWorkers, fewWorkers+behind, crewRestarts, 0)
	defer c.close()
	for worker := range fewWorkers {
		if err := c.Do(ctx, worker, opWork|uint64(worker)); err != nil {
			k.Violate("answers", "worker %d, which was not hit, returned %v", worker, err)
		}
	}
	if err := c.Do(ctx, victim, opFail); !errors.Is(err, errHandler) {
		k.Violate("answers", "Do returned %v, must be the handler's error %q", err, errHandler)
	}

	// The worker is held, so that work stands in line when it dies.
	held, died := make(chan error, 1), make(chan error, 1)
	wait.UntilParked(ctx, new(sync.WaitGroup), func() { held <- c.Do(ctx, victim, opHang) })
	wait.UntilParked(ctx, new(sync.WaitGroup), func() { died <- c.Do(ctx, victim, opDie) })
	errs := make([]error, behind)
	var line sync.WaitGroup
	for i := range errs {
		line.Go(func() { errs[i] = c.Do(ctx, victim, opWork|uint64(fewWorkers+i)) })
	}
	close(c.release)
	if err := <-held; err != nil {
		k.Violate("answers", "the operation before the one that killed worker %d returned %v", victim, err)
	}
	c.fatal(victim, <-died)
	line.Wait()
	for i, err := range errs {
		c.accounted(victim, uint64(fewWorkers+i), err)
	}
	if !c.serves(ctx, victim) {
		k.Violate("serving", "worker %d does not serve again after its death", victim)
		return
	}
	for worker := range fewWorkers {
		c.accounted(worker, uint64(worker), nil)
	}
	c.untouched("after the death of worker 3", map[int]int{victim: 1})
}

// fatal checks the answer to an operation of which a worker died.
func (c *supervised) fatal(worker int, err error) {
	switch {
	case err == nil:
		c.Violate("answers", "the operation of which worker %d died was answered as handled", worker)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		c.Violate("answers", "the operation of which worker %d died was never answered: %v", worker, err)
	}
}

// accounted checks that what was answered as handled was, once, and that
// nothing was handled twice.
func (c *supervised) accounted(worker int, op uint64, err error) {
	switch n := c.handled[op].Load(); {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		c.Violate("answers", "operation %d of worker %d was never answered: %v", op, worker, err)
	case err == nil && n == 0:
		c.Violate("answers", "operation %d of worker %d was answered as handled and was not", op, worker)
	case n > 1:
		c.Violate("answers", "operation %d of worker %d was handled %d times", op, worker, n)
	}
}

// crashLoop has a worker that cannot start again after its death.
func (k *workersKit) crashLoop(ctx context.Context, t *testing.T) {
	const victim, restarts, watched = 0, 3, 300 * time.Millisecond
	c := k.start(t, fewWorkers, 0, restarts, 0)
	defer c.close()
	if silent := c.allServe(ctx); len(silent) > 0 {
		k.Violate("hypothesis", "workers %v do not serve, and nothing was done to them", silent)
		return
	}
	c.broken[victim].Store(true)
	c.fatal(victim, c.briefly(ctx, victim, opDie))
	// Nothing is waited for here: for this long it is looked at what happens.
	end := time.NewTimer(watched)
	defer end.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for over := false; !over; {
		select {
		case <-look.C:
		case <-end.C:
			over = true
		}
		if n := int(c.starts[victim].Load()) - 1; n > restarts {
			k.Violate("intensity",
				"a worker that cannot start was restarted %d times within %v, must be %d within %v: nothing stops the crash loop",
				n, watched, restarts, crewWithin)
			break
		}
	}
	for worker := range fewWorkers {
		err := c.briefly(ctx, worker, opProbe)
		if worker == victim && err == nil {
			k.Violate("answers", "a worker that cannot start answered")
		} else if worker != victim && err != nil {
			k.Violate("intensity", "worker %d returned %v because worker %d is in a crash loop: it is not contained",
				worker, err, victim)
		}
	}
	c.untouched("beside a crash loop", map[int]int{victim: restarts})
}

// briefly is Do for an operation whose answer may never come.
func (c *supervised) briefly(ctx context.Context, worker int, op uint64) error {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle/4)
	defer cancel()
	return c.Do(ctx, worker, op)
}

// hang has a worker that does not return from an operation.
func (k *workersKit) hang(ctx context.Context, t *testing.T) {
	const victim = 2
	c := k.start(t, fewWorkers, fewWorkers, crewRestarts, crewHung)
	defer c.close()
	letGo := sync.OnceFunc(func() { close(c.release) })
	defer letGo()
	if _, ok := c.Workers.(Watched); !ok {
		k.NotOffered("hung", "the subject does not watch for workers that hang")
		return
	}
	hung := make(chan error, 1)
	wait.UntilParked(ctx, new(sync.WaitGroup), func() { hung <- c.Do(ctx, victim, opHang) })
	began := time.Now()
	for worker := range fewWorkers {
		if worker == victim {
			continue
		}
		if err := c.Do(ctx, worker, opWork|uint64(worker)); err != nil {
			k.Violate("hung", "worker %d returned %v while worker %d hung", worker, err, victim)
		}
	}
	soon, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	if !c.serves(soon, victim) {
		k.Violate("hung", "worker %d hangs over an operation and was not replaced within %v, the limit is %v",
			victim, scenario.Settle, crewHung)
	} else {
		k.Note("A worker that hung was replaced and served again after %v; the configured limit is %v.",
			time.Since(began).Round(time.Millisecond), crewHung)
	}
	letGo()
	<-hung // nil if it was waited for, an error if it was given up
	c.untouched("beside a worker that hung", map[int]int{victim: 1})
}
