package stress

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// stall ends the context of a load in which no operation ends any more.
type stall struct {
	context.Context
	bound  time.Duration
	cancel context.CancelCauseFunc
	over   chan struct{}
	once   sync.Once
}

// newStall returns the context of a load, below ctx: it ends once no operation
// has ended for bound, with that as its cause. Nothing is watched before watch is
// called, nor after stop.
func newStall(ctx context.Context, bound time.Duration) *stall {
	s := &stall{bound: bound, over: make(chan struct{})}
	s.Context, s.cancel = context.WithCancelCause(ctx)
	return s
}

// watch begins; ended is how many operations have ended so far.
func (s *stall) watch(ended func() int) {
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

// stop says that the load is over: the context stays as it is. It may be called
// again.
func (s *stall) stop() { s.once.Do(func() { close(s.over) }) }

// end says that the load is to end, for a reason; the first one counts.
func (s *stall) end(why error) { s.cancel(why) }

// cause is why the load was ended, or nil.
func (s *stall) cause() error { return context.Cause(s.Context) }

// release ends what stop has left. It is for the end of the function that made
// the stall.
func (s *stall) release() {
	s.stop()
	s.cancel(nil)
}
