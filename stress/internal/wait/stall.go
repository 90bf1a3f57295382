package wait

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Stall ends the context of a load in which no operation ends any more.
type Stall struct {
	context.Context
	bound  time.Duration
	cancel context.CancelCauseFunc
	over   chan struct{}
	once   sync.Once
}

// NewStall returns the context of a load, below ctx: it ends once no operation
// has ended for bound, with that as its cause. Nothing is watched before Watch is
// called, nor after Stop.
func NewStall(ctx context.Context, bound time.Duration) *Stall {
	s := &Stall{bound: bound, over: make(chan struct{})}
	s.Context, s.cancel = context.WithCancelCause(ctx)
	return s
}

// Watch begins; ended is how many operations have ended so far.
func (s *Stall) Watch(ended func() int) {
	go func() {
		clock := time.NewTicker(s.bound / 50)
		defer clock.Stop()
		last, since := ended(), time.Now()
		for {
			select {
			case <-s.over:
				return
			case <-clock.C:
			}
			if now := ended(); now != last {
				last, since = now, time.Now()
			} else if time.Since(since) > s.bound {
				s.cancel(fmt.Errorf("no operation has ended for %v", s.bound))
				return
			}
		}
	}()
}

// Stop says that the load is over: the context stays as it is. It may be called
// again.
func (s *Stall) Stop() { s.once.Do(func() { close(s.over) }) }

// End says that the load is to end, for a reason; the first one counts.
func (s *Stall) End(why error) { s.cancel(why) }

// Cause is why the load was ended, or nil.
func (s *Stall) Cause() error { return context.Cause(s.Context) }

// Release ends what Stop has left. It is for the end of the function that made
// the stall.
func (s *Stall) Release() {
	s.Stop()
	s.cancel(nil)
}
