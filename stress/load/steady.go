package load

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Plan is an open load.
type Plan struct {
	Rate     float64  // arrivals a second, over all generators
	Count    int      // operations in all
	Arrivals Arrivals // how they are spaced
	Seed     uint64   // of the spacing
	// Generators is the number of goroutines that share the schedule, each
	// taking every so-manieth arrival; 0 means 1.
	Generators int
	// Inline has the generator itself call the operation, which must not
	// block: only so are millions a second possible. Otherwise every operation
	// has a goroutine of its own.
	Inline bool
}

// Open is the account of a Steady load.
type Open struct {
	Asked      float64       // arrivals a second asked for
	Offered    float64       // arrivals a second that really started
	N          int           // operations started
	Peak       int           // most in flight at one instant, counted; 0 if Inline
	Took       time.Duration // from the first arrival due to the end of the last
	Unfinished int           // operations planned and not ended: not started, or given up

	// How late the generator started the operations, in ns after they were
	// due. It is part of every latency counted from the instant due.
	LateP50, LateP99, LateMax int64
	// InOperation is the share of the generators' time that was spent inside
	// the operation, between 0 and 1; 0 if not Inline.
	InOperation float64
}

// saturation is the share of the asked rate below which a generator has not
// offered what it was asked for. Being late for a moment and catching up is no
// saturation: that is a latency, and counted as one.
const saturation = 0.9

// Saturated tells whether the generator failed to offer the asked rate though
// it spent most of its time waiting or working for itself. A run with a
// saturated generator says nothing about the subject.
func (o Open) Saturated() bool {
	return o.N > 0 && o.Offered < saturation*o.Asked && o.InOperation < 0.5
}

// Steady calls op with each index at its instant, given as nanoseconds since
// began, the moment handed to start before the first. It returns when the last
// operation has ended, or a Grace after ctx; arrivals not yet due then never
// start.
func Steady(ctx context.Context, p Plan, start func(began time.Time, f *InFlight), op func(i int, due int64)) Open {
	if p.Count == 0 {
		return Open{Asked: p.Rate}
	}
	due := p.Arrivals.Schedule(p.Count, p.Rate, p.Seed)
	late := make([]int64, p.Count)
	for i := range late {
		late[i] = -1 // never started
	}
	generators := max(p.Generators, 1)
	var (
		flight  InFlight
		running sync.WaitGroup
		inside  atomic.Int64
	)
	began := time.Now()
	if start != nil {
		start(began, &flight)
	}
	running.Add(generators)
	for g := range generators {
		go func() {
			defer running.Done()
			inside.Add(generate(ctx, p, began, due, late, g, generators, &flight, &running, op))
		}()
	}
	finished := make(chan struct{})
	go func() { running.Wait(); close(finished) }()
	waitFor(ctx, finished)
	took := time.Since(began)

	o := Open{Asked: p.Rate, Took: took, Peak: flight.Peak(), Unfinished: p.Count - flight.Ended()}
	select {
	case <-finished:
	default:
		return o // late is still being written to: nothing else is known
	}
	o.account(due, late)
	o.InOperation = float64(inside.Load()) / float64(int64(generators)*int64(took))
	return o
}

// yieldEvery is the number of inline operations between two yields.
const yieldEvery = 64

// generate starts every so-manieth operation when it is due, and returns the
// nanoseconds it spent inside them.
func generate(ctx context.Context, p Plan, began time.Time, due, late []int64, first, step int,
	flight *InFlight, running *sync.WaitGroup, op func(int, int64)) (inside int64) {
	now := int64(time.Since(began))
	for i := first; i < len(due); i += step {
		for due[i] > now {
			if !sleep(ctx, time.Duration(due[i]-now)) {
				return inside
			}
			now = int64(time.Since(began))
		}
		late[i] = now - due[i]
		if p.Inline {
			op(i, due[i])
			flight.ended.Add(1)
			after := int64(time.Since(began))
			inside += after - now
			now = after
			if i/step%yieldEvery == 0 {
				// A generator that is behind never sleeps: without this it would
				// keep the subject from the processor for a slice of 10 ms.
				runtime.Gosched()
				now = int64(time.Since(began))
				if ctx.Err() != nil {
					return inside
				}
			}
			continue
		}
		flight.Start()
		running.Add(1)
		go func() {
			defer running.Done()
			defer flight.End()
			op(i, due[i])
		}()
		now = int64(time.Since(began))
	}
	return inside
}

// sleep waits for d and returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	// A schedule fires every few microseconds to milliseconds; only long gaps
	// are worth a select with the context.
	if d < 10*time.Millisecond {
		time.Sleep(d)
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (o *Open) account(due, late []int64) {
	started := make([]int64, 0, len(late))
	first, last := int64(-1), int64(0)
	for i, l := range late {
		if l < 0 {
			continue
		}
		started = append(started, l)
		at := due[i] + l
		if first < 0 || at < first {
			first = at
		}
		last = max(last, at)
	}
	o.N = len(started)
	if o.N == 0 {
		return
	}
	slices.Sort(started)
	o.LateP50 = started[(o.N-1)/2]
	o.LateP99 = started[(o.N-1)*99/100]
	o.LateMax = started[o.N-1]
	// Against the time the schedule itself allows, so that a Poisson schedule
	// that happens to be a little fast or slow is not held against anybody.
	planned := due[len(due)-1] - due[0]
	spent := max(last-first, planned)
	o.Offered = o.Asked
	if spent > 0 {
		o.Offered = o.Asked * float64(planned) / float64(spent)
	}
	o.Offered *= float64(o.N) / float64(len(due))
}
