package found

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/oklog/run"
	"github.com/sony/gobreaker/v2"
	"github.com/thejerf/suture/v4"
	"golang.org/x/sync/singleflight"

	"tensile/stress/explore"
)

var services = []program{
	{module: "github.com/thejerf/suture/v4", name: "RemoveAndWait with a time-out, twice", run: sutureRemove, left: true,
		finds: "the supervisor takes no more services"},
	{module: "github.com/thejerf/suture/v4", name: "Add and Remove beside the end", run: sutureEnd},
	{module: "github.com/oklog/run", name: "an actor ends beside another", run: runActors},
	{module: "github.com/sony/gobreaker/v2", name: "half open: one request at a time", run: breakerHalfOpen},
	{module: "github.com/jonboulle/clockwork", name: "Stop and Reset beside Advance", run: clockworkTimers},
	{module: "golang.org/x/sync", name: "singleflight: Do and Forget", run: singleflightForget},
}

type service struct{}

func (service) Serve(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// One removes a service that another has removed, and gives up: the supervisor goes
// on.
func sutureRemove(e *explore.Run) {
	ctx, stop := context.WithCancel(e.Context())
	s := suture.New("supervisor", suture.Spec{EventHook: func(suture.Event) {}})
	ended := s.ServeBackground(ctx)
	token := s.Add(service{})
	within(e, "the supervisor takes no more services", func() {
		remove := func() { _ = s.RemoveAndWait(token, time.Millisecond) }
		each3(e, remove, remove)
		s.Add(service{})
	})
	stop()
	<-ended
}

func sutureEnd(e *explore.Run) {
	ctx, stop := context.WithCancel(e.Context())
	s := suture.New("supervisor", suture.Spec{EventHook: func(suture.Event) {}})
	ended := s.ServeBackground(ctx)
	each(e, func() {
		token := s.Add(service{})
		_ = s.Remove(token)
	}, func() { s.Add(service{}) }, stop)
	<-ended
}

func runActors(e *explore.Run) {
	var g run.Group
	ctx, cancel := context.WithCancel(e.Context())
	defer cancel()
	var interrupted atomic.Int32
	for range 2 {
		g.Add(func() error {
			<-ctx.Done()
			return ctx.Err()
		}, func(error) {
			interrupted.Add(1)
			cancel()
		})
	}
	g.Add(func() error { return errTask }, func(error) { interrupted.Add(1) })
	e.Check(g.Run() == errTask, "the first error is lost")
	e.Check(interrupted.Load() == 3, "%d of 3 actors were interrupted", interrupted.Load())
}

func breakerHalfOpen(e *explore.Run) {
	cb := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Timeout: time.Millisecond, MaxRequests: 1,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 1 }})
	_, _ = cb.Execute(func() (int, error) { return 0, errTask })
	time.Sleep(10 * time.Millisecond) // half open now
	var inside atomic.Int32
	request := func() {
		_, _ = cb.Execute(func() (int, error) {
			e.Check(inside.Add(1) == 1 || cb.State() == gobreaker.StateClosed, "more than 1 request while half open")
			inside.Add(-1)
			return 0, nil
		})
	}
	each(e, request, request, request)
}

// A timer that Stop has stopped does not fire; one that it has not, does.
func clockworkTimers(e *explore.Run) {
	clock := clockwork.NewFakeClock()
	var fired atomic.Int32
	timer := clock.AfterFunc(time.Second, func() { fired.Add(1) })
	other := clock.NewTimer(time.Second)
	stopped := false
	each(e, func() { stopped = timer.Stop() }, func() { clock.Advance(2 * time.Second) }, func() {
		other.Reset(3 * time.Second)
	})
	time.Sleep(time.Second)
	e.Check(stopped == (fired.Load() == 0), "stopped: %v, fired: %d", stopped, fired.Load())
	clock.Advance(time.Minute)
	<-other.Chan()
}

func singleflightForget(e *explore.Run) {
	var g singleflight.Group
	var inside, forgotten atomic.Int32
	do := func() {
		_, err, _ := g.Do("key", func() (any, error) {
			e.Check(inside.Add(1) <= 1+forgotten.Load(), "two calls are inside, and none was forgotten")
			inside.Add(-1)
			return 1, nil
		})
		e.Check(err == nil, "Do: %v", err)
	}
	each(e, do, do, func() { <-g.DoChan("key", func() (any, error) { return 2, nil }) }, func() {
		forgotten.Add(1)
		g.Forget("key")
	})
}
