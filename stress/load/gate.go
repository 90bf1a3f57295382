package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// InFlight counts operations that have started and not ended, and the most
// there ever were. Safe for concurrent use; the zero value is ready.
type InFlight struct {
	now, peak, ended atomic.Int64
}

// Start counts an operation in.
func (f *InFlight) Start() {
	n := f.now.Add(1)
	for {
		peak := f.peak.Load()
		if n <= peak || f.peak.CompareAndSwap(peak, n) {
			return
		}
	}
}

// End counts an operation out.
func (f *InFlight) End() {
	f.ended.Add(1)
	f.now.Add(-1)
}

// Now is the number of operations in flight.
func (f *InFlight) Now() int { return int(f.now.Load()) }

// Peak is the most operations there ever were in flight at one instant.
func (f *InFlight) Peak() int { return int(f.peak.Load()) }

// Ended is the number of operations that have ended.
func (f *InFlight) Ended() int { return int(f.ended.Load()) }

// Gate is what the operations of a Burst share.
type Gate struct {
	InFlight
	n       int64
	arrived atomic.Int64
	all     chan struct{}
}

// All is closed once every operation of the burst has started and none can be
// missing from the peak because another was quicker. An operation that must
// not end before all are in flight waits for it after it has obtained what it
// needs; waiting is optional.
func (g *Gate) All() <-chan struct{} { return g.all }

func (g *Gate) start() {
	g.Start()
	if g.arrived.Add(1) == g.n {
		close(g.all)
	}
}

// Closed is the account of a Burst.
type Closed struct {
	N          int           // operations released
	Peak       int           // most in flight at one instant, counted
	Took       time.Duration // from the release to the end of the last
	Unfinished int           // operations that had not ended when the burst was given up
}

// Grace is how long operations are given to end after the context did.
const Grace = 5 * time.Second

// parkedAtOnce is how many goroutines are made between two looks at the context.
const parkedAtOnce = 1024

// Burst parks n goroutines, calls released, lets all of them go together and
// has each call op once with its index. It returns when the last has ended, or
// a Grace after ctx: then the account says how many are unfinished, and their
// goroutines are left behind. Where ctx ends before all are parked, no operation
// is started. watch, if not nil, is given the gate before the release, to follow
// the progress.
func Burst(ctx context.Context, n int, watch func(*Gate), op func(i int, g *Gate)) Closed {
	g := &Gate{n: int64(n), all: make(chan struct{})}
	if n == 0 {
		close(g.all)
		return Closed{}
	}
	var parked, running sync.WaitGroup
	release, givenUp := make(chan struct{}), false
	for i := range n {
		if i%parkedAtOnce == 0 && ctx.Err() != nil {
			givenUp = true
			break
		}
		parked.Add(1)
		running.Add(1)
		go func() {
			defer running.Done()
			parked.Done()
			<-release
			if givenUp {
				return
			}
			g.start()
			defer g.End()
			op(i, g)
		}()
	}
	parked.Wait()
	if givenUp {
		close(release)
		running.Wait()
		return Closed{N: n, Unfinished: n}
	}
	if watch != nil {
		watch(g)
	}
	began := time.Now()
	close(release)
	finished := make(chan struct{})
	go func() { running.Wait(); close(finished) }()
	waitFor(ctx, finished)
	return Closed{N: n, Peak: g.Peak(), Took: time.Since(began), Unfinished: n - g.Ended()}
}

// waitFor waits until finished is closed, or until a Grace after ctx.
func waitFor(ctx context.Context, finished <-chan struct{}) {
	select {
	case <-finished:
		return
	case <-ctx.Done():
	}
	grace := time.NewTimer(Grace)
	defer grace.Stop()
	select {
	case <-finished:
	case <-grace.C:
	}
}
