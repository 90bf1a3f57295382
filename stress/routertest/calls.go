package routertest

import (
	"context"
	"sync/atomic"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// close closes a router, which may have a lot to deliver yet.
func (k *kit) close(r Router) bool {
	return k.closeWithin(scenario.PhaseBound/2*time.Duration(k.Hundreds()), r)
}

// closeSoon closes a router to which little was sent.
func (k *kit) closeSoon(r Router) bool { return k.closeWithin(scenario.Settle, r) }

func (k *kit) closeWithin(d time.Duration, r Router) bool {
	return k.returns(d, "close", "Close", func() {
		if err := r.Close(); err != nil {
			k.Violate("close", "Close returned %v", err)
		}
	})
}

// must fails the phase with what was tried if err is not nil.
func (k *kit) must(err error, what string) bool {
	if err != nil {
		k.Fault("%s returned %v", what, err)
	}
	return err == nil
}

// soon runs what a router does in an instant. Where it does not return that is
// named, and nothing else is tried.
func (k *kit) soon(criterion, what string, f func()) bool {
	return k.returns(scenario.Settle, criterion, what, f)
}

func (k *kit) returns(within time.Duration, criterion, what string, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer k.Recovered(what)
		f()
	}()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-done:
		return !k.Aborted
	case <-late.C:
	}
	k.Aborted = true
	k.Violate(criterion, "%s has not returned after %v", what, within)
	return false
}

// solo counts what is inside the handler of one name, where no more than one
// may be.
type solo struct{ inside atomic.Int32 }

func (k *kit) enters(s *solo) (leave func()) {
	if s.inside.Add(1) > 1 {
		k.Violate("order", "a handler was called while it was at work on another message")
	}
	return func() { s.inside.Add(-1) }
}

// together has several goroutines do the same at the same time.
func (k *kit) together(f func(i int)) {
	wait.All(senders, func(i int) {
		defer k.Recovered("calls at the same time")
		f(i)
	})
}

// settle waits until count has reached n, or nothing more has come for as long
// as patience.
func (k *kit) settle(ctx context.Context, count *atomic.Int64, n int, patience time.Duration) {
	wait.Progress(ctx, patience, func() (int, bool) {
		now := int(count.Load())
		return now, now >= n
	})
}
