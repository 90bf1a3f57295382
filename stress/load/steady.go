package load

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Plan is an open load.
type Plan struct {
	Rate     float64  // arrivals a second, over all generators
	Count    int      // operations in all
	Arrivals Arrivals // how they are spaced
	Seed     uint64   // of the spacing
	// Generators is the number of goroutines that share the schedule, each
	// taking every Generators-th arrival; 0 means 1.
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
	// Capacity is the number of arrivals a second that the generators could
	// have offered to a subject that takes no time, by the median of what an
	// arrival cost them themselves.
	Capacity float64
}

// saturation is the share of the asked rate below which a generator has not
// offered what it was asked for. Being late for a moment and catching up is no
// saturation: that is a latency, and counted as one.
const saturation = 0.9

// Saturated tells whether the asked rate was not offered because the generator
// could not have offered it to any subject. Such a run says nothing about the
// subject. A generator that fell behind because the subject held it up, or took
// the processors, is not saturated: the wait is in the latencies.
func (o Open) Saturated() bool {
	return o.N > 0 && o.Offered < saturation*o.Asked && o.Capacity < o.Asked
}

// Steady calls op with each index at its instant, given as nanoseconds since
// began, the moment handed to start before the first. It returns when the last
// operation has ended, or a Grace after ctx; arrivals not yet due then never
// start.
func Steady(ctx context.Context, p Plan, start func(began time.Time, f *InFlight), op func(i int, due int64)) Open {
	if p.Count == 0 {
		return Open{Asked: p.Rate}
	}
	p.Generators = max(p.Generators, 1)
	g := generator{
		plan: p,
		due:  p.Arrivals.Schedule(p.Count, p.Rate, p.Seed),
		late: make([]int64, p.Count),
		op:   op,
	}
	for i := range g.late {
		g.late[i] = -1 // never started
	}
	if !p.Inline {
		g.cost = make([]int64, p.Count)
	}
	g.began = time.Now()
	if start != nil {
		start(g.began, &g.flight)
	}
	g.running.Add(p.Generators)
	for first := range p.Generators {
		go g.generate(ctx, first)
	}
	finished := make(chan struct{})
	go func() { g.running.Wait(); close(finished) }()
	waitFor(ctx, finished)

	o := Open{Asked: p.Rate, Took: time.Since(g.began), Peak: g.flight.Peak(), Unfinished: p.Count - g.flight.Ended()}
	select {
	case <-finished:
		g.account(&o)
	default: // late is still being written to: nothing else is known
	}
	return o
}

// generator is a Steady load at work, shared by all of its goroutines.
type generator struct {
	plan      Plan
	began     time.Time
	due, late []int64 // of each operation; ns since began, and after that
	cost      []int64 // ns to start each; nil if Inline
	op        func(int, int64)
	flight    InFlight
	running   sync.WaitGroup // generating goroutines and operations
}

// yieldEvery is the number of operations started without a pause after which
// others are let on the processor, and the context is looked at. A generator
// that is behind never sleeps: without this it would keep the subject from the
// processor for a slice of 10 ms.
const yieldEvery = 64

// generate starts every k-th operation when it is due.
func (g *generator) generate(ctx context.Context, first int) {
	defer g.running.Done()
	now := int64(time.Since(g.began))
	inARow := 0
	for i := first; i < len(g.due); i += g.plan.Generators {
		for g.due[i] > now {
			inARow = 0
			if !sleep(ctx, time.Duration(g.due[i]-now)) {
				return
			}
			now = int64(time.Since(g.began))
		}
		if inARow++; inARow == yieldEvery {
			inARow = 0
			runtime.Gosched()
			now = int64(time.Since(g.began))
			if ctx.Err() != nil {
				return
			}
		}
		g.late[i] = now - g.due[i]
		if g.plan.Inline {
			g.op(i, g.due[i])
			g.flight.ended.Add(1)
			now = int64(time.Since(g.began))
			continue
		}
		g.flight.Start()
		g.running.Add(1)
		go func() {
			defer g.running.Done()
			defer g.flight.End()
			g.op(i, g.due[i])
		}()
		after := int64(time.Since(g.began))
		g.cost[i] = after - now
		now = after
	}
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

// account adds to o what is known once everything has ended.
func (g *generator) account(o *Open) {
	started := make([]int64, 0, len(g.late))
	first, last := int64(math.MaxInt64), int64(0)
	for i, l := range g.late {
		if l < 0 {
			continue
		}
		started = append(started, l)
		at := g.due[i] + l
		first, last = min(first, at), max(last, at)
	}
	o.N = len(started)
	if o.N == 0 {
		return
	}
	slices.Sort(started)
	o.LateP50 = started[(o.N*50+99)/100-1]
	o.LateP99 = started[(o.N*99+99)/100-1]
	o.LateMax = started[o.N-1]
	o.Capacity = float64(g.plan.Generators) * float64(time.Second) / g.ownCost()
	// Against the time the schedule itself allows, so that a Poisson schedule
	// that happens to be a little fast or slow is not held against anybody.
	planned := g.due[len(g.due)-1] - g.due[0]
	spent := max(last-first, planned)
	o.Offered = o.Asked
	if spent > 0 {
		o.Offered = o.Asked * float64(planned) / float64(spent)
	}
	o.Offered *= float64(o.N) / float64(len(g.due))
}

// ownCost is what an arrival costs a generator beside the operation, in ns. It
// is the median, as some are held up in the middle by whoever takes the
// processor.
func (g *generator) ownCost() float64 {
	if g.plan.Inline {
		return clockCost() // it does nothing else, and this can not be timed one by one
	}
	var each []int64
	for i, cost := range g.cost {
		if g.late[i] >= 0 {
			each = append(each, cost)
		}
	}
	slices.Sort(each)
	return float64(each[(len(each)-1)/2])
}

// clockCost is the least that reading the clock takes here, in ns.
func clockCost() float64 {
	const rounds, reads = 10, 100
	least := math.Inf(1)
	for range rounds {
		began := time.Now()
		for range reads {
			_ = time.Since(began)
		}
		least = min(least, float64(time.Since(began))/reads)
	}
	return least
}
