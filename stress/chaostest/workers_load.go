package chaostest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
)

// The load on the workers: N operations in all, over windows in which nothing
// happens and windows in which a tenth of the workers dies.
const (
	crewRounds   = 3
	crewWindow   = time.Second
	crewClosed   = 64 // callers that measure what the workers can do
	crewWarmUp   = 20_000
	latencyFloor = 5 * time.Millisecond
	// However busy the machine is: what takes so long, and so many times longer
	// than anything else, is slow by itself.
	tooSlow     = 2 * time.Second
	beyondBlame = 10
)

// window is an open load on all workers.
type window struct {
	out    load.Open
	rest   measure.Latency // of the workers that were not hit
	series []measure.Bin
}

// tenth kills a tenth of the workers at once, in rounds, under load, by turns with the
// control.
func (k *workersKit) tenth(ctx context.Context, t *testing.T) {
	rounds, length := crewRounds, crewWindow
	if testing.Short() {
		rounds, length = 1, crewWindow/3
	}
	each := max(k.N/(rounds+1), 1)
	subject := k.crew(t, each)
	defer subject.close()
	control := (&workersKit{Scenario: k.Scenario, open: openControl, plain: true}).crew(t, each)
	defer control.close()
	k.steadyState(ctx, subject.supervised, "before")
	if k.Failed() {
		return
	}
	var rate float64
	k.UnderLoad(func() {
		rate = min(subject.capacity(ctx, crewWarmUp), control.capacity(ctx, crewWarmUp))
	})
	rate = min(k.SteadyRate(rate), float64(each)/length.Seconds())
	if !subject.calmDown(ctx, rate) || !control.calmDown(ctx, rate) {
		return
	}
	var recoveries, latencies []measure.Pair
	for round, again := 0, false; round < rounds || again; round++ {
		own, ok := subject.round(ctx, round, rate)
		if !ok {
			return
		}
		subject.tell(round, own)
		other, ok := control.round(ctx, round, rate)
		if !ok {
			return
		}
		recoveries = append(recoveries, measure.Pair{Subject: own.recovery(), Control: other.recovery()})
		latencies = append(latencies, measure.Pair{Subject: own.ratio, Control: other.ratio})
		more := k.Tried("recovery", recoveries)
		again = k.Tried("p99", latencies) || more
	}
	k.Timed("recovery_reach", slices.MaxFunc(recoveries, func(a, b measure.Pair) int {
		return cmp.Compare(a.Subject, b.Subject)
	}).Subject)
	k.steadyState(ctx, subject.supervised, "after")
	subject.untouched("after all rounds", subject.hits)
	target := 103.0
	k.Record(func(r *report.Scenario) {
		r.Repeats = append(r.Repeats, report.Repeats{Name: "time until a killed worker serves again", Unit: "ms",
			Values: subject.times, Target: &target})
	})
}

// crew is the workers of subject or control, of which some die in rounds.
type crew struct {
	*supervised
	each  int         // operations of a round
	next  int         // number of the first operation of the next
	calm  window      // in which nothing happens
	hits  map[int]int // how often each was killed
	times []float64   // after which each served again, in ms
}

// round is what came of killing workers under load.
type round struct {
	window
	again   []time.Duration // after which each served again
	died    time.Duration   // when they did, from the beginning of the load
	slowest time.Duration
	ratio   float64 // of the p99 of the others to that while nothing happens
}

func (r round) recovery() float64 { return max(r.slowest, time.Microsecond).Seconds() * 1e3 }

// crew starts workers for all rounds that there may be.
func (k *workersKit) crew(t *testing.T, each int) *crew {
	// Nobody watches for hangs here: on a busy machine a worker may well not have
	// the processor for a while.
	c := k.start(t, workerCount, crewWarmUp+each*(scenario.MostTries+1), crewRestarts, 0)
	return &crew{supervised: c, each: each, next: crewWarmUp, hits: make(map[int]int)}
}

// calmDown offers the load while nothing happens.
func (c *crew) calmDown(ctx context.Context, rate float64) bool {
	c.calm = c.window(ctx, c.next, c.each, rate, nil, func(time.Time) {})
	c.next += c.each
	return !c.Saturated(c.calm.out) && !c.Failed()
}

// round kills workers while the load is offered. It returns false where no other round
// makes sense.
func (c *crew) round(ctx context.Context, number int, rate float64) (r round, ok bool) {
	victims := pickVictims(c.Seed, number, workerCount, crewVictims)
	hit := make(map[int]bool)
	for _, v := range victims {
		hit[v] = true
		c.hits[v]++
	}
	c.Logf("round %d kills workers %v", number, victims)
	r.window = c.window(ctx, c.next, c.each, rate, hit, func(began time.Time) {
		r.died = time.Since(began)
		r.again = c.kill(ctx, victims)
	})
	c.next += c.each
	if len(r.again) == 0 {
		return r, false
	}
	r.slowest = slices.Max(r.again)
	if i := slices.Index(r.again, -1); i >= 0 {
		c.Violate("serving", "worker %d was killed with %d others and does not serve again", victims[i], len(victims)-1)
	} else if rest := time.Duration(r.rest.Max); r.slowest > tooSlow && r.slowest > beyondBlame*rest {
		c.Violate("recovery", "worker %d served again %v after it was killed, although no operation of the others took "+
			"more than %v",
			victims[slices.Index(r.again, r.slowest)], r.slowest.Round(time.Millisecond), rest.Round(time.Millisecond))
	}
	// The generator that comes late is no part of the subject: it had no processor either.
	most, usual, late := time.Duration(r.rest.Max), time.Duration(c.calm.rest.Max), time.Duration(r.out.LateMax)
	if most > tooSlow+late && most > beyondBlame*usual {
		c.Violate("p99", "operations of workers that were not hit took up to %v, and up to %v while nothing happened",
			most.Round(time.Millisecond), usual.Round(time.Millisecond))
	}
	c.untouched(fmt.Sprintf("after %d of %d workers were killed at once", len(victims), workerCount), c.hits)
	r.ratio = float64(r.rest.P99) / max(float64(c.calm.rest.P99), float64(latencyFloor))
	for _, d := range r.again {
		c.times = append(c.times, float64(d)/1e6)
	}
	return r, !c.Aborted && ctx.Err() == nil
}

// tell keeps a round for the report.
func (c *crew) tell(number int, r round) {
	c.timeline(number, r.died, r.again)
	c.Note("Round %d: p99 of the workers not hit was %v, and %v while nothing happened; all killed served again after %v.",
		number, time.Duration(r.rest.P99).Round(10*time.Microsecond),
		time.Duration(c.calm.rest.P99).Round(10*time.Microsecond), r.slowest.Round(10*time.Microsecond))
	c.RecordSteady(r.out, r.rest, r.series)
}

// steadyState checks the hypothesis: every worker serves.
func (k *workersKit) steadyState(ctx context.Context, c *supervised, when string) {
	silent := c.allServe(ctx)
	if len(silent) > 0 {
		k.Violate("hypothesis", "%d of %d workers do not serve %s the faults, such as worker %d", len(silent), workerCount,
			when,
			silent[0])
	}
	k.Measured("serving", float64(workerCount-len(silent)))
}

// pickVictims draws n of so many workers from the seed: none again before all were.
func pickVictims(seed uint64, round, of, n int) []int {
	turns := of / n
	victims := rand.New(rand.NewPCG(seed, uint64(round/turns))).Perm(of)[round%turns*n:][:n]
	slices.Sort(victims)
	return victims
}

// capacity has a few callers offer operations one after the other, and returns
// how many a second were handled.
func (c *supervised) capacity(ctx context.Context, n int) float64 {
	var next atomic.Int64
	var callers sync.WaitGroup
	began := time.Now()
	for range crewClosed {
		callers.Go(func() {
			defer c.Recovered("load")
			for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := c.Do(ctx, int(i)%workerCount, opWork|uint64(i)); err != nil {
					c.Violate("lost", "operation %d of worker %d, which was not hit, returned %v", i, int(i)%workerCount, err)
					return
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	for op := range min(int(next.Load()), n) {
		c.accounted(op%workerCount, uint64(op), nil)
	}
	return float64(min(next.Load(), int64(n))) / took.Seconds()
}

// window offers n operations, numbered from first, to all workers in turn, and
// calls fault when a third of the time has passed. It returns when both are over.
func (c *supervised) window(
	ctx context.Context, first, n int, rate float64, hit map[int]bool, fault func(began time.Time),
) window {
	rec := measure.NewRecorder(n)
	errs := make([]error, n)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var faults sync.WaitGroup
	var out load.Open
	c.UnderLoad(func() {
		out = load.Steady(ctx, load.Plan{Rate: rate, Count: n, Arrivals: c.Settings().Arrivals, Seed: c.Seed + uint64(first)},
			func(began time.Time, f *load.InFlight) {
				rec.Begin(began)
				c.Follow(n, f.Ended, f.Now)
				faults.Go(func() {
					defer c.Recovered("killing")
					third := time.NewTimer(time.Duration(float64(n) / rate / 3 * float64(time.Second)))
					defer third.Stop()
					select {
					case <-third.C:
						fault(began)
					case <-ctx.Done():
					}
				})
			}, func(i int, due int64) {
				defer c.Recovered("load")
				worker := (first + i) % workerCount
				errs[i] = c.Do(ctx, worker, opWork|uint64(first+i))
				if !hit[worker] {
					rec.Done(i, due)
				}
			})
		faults.Wait()
	})
	if out.Unfinished > 0 {
		c.Aborted = true
		c.Violate("answers", "%d of %d operations on workers never ended: %v", out.Unfinished, n, context.Cause(ctx))
		return window{out: out}
	}
	for i, err := range errs {
		worker, op := (first+i)%workerCount, uint64(first+i)
		c.accounted(worker, op, err)
		if err != nil && !hit[worker] {
			c.Violate("lost", "operation %d of worker %d, which was not hit, returned %v", op, worker, err)
		}
	}
	return window{out: out, rest: rec.Latency(), series: rec.Series()}
}

// kill has workers die at once, and returns after which time each served again;
// it is negative for one that does not.
func (c *supervised) kill(ctx context.Context, victims []int) []time.Duration {
	again := make([]time.Duration, len(victims))
	before := make([]int64, len(victims))
	for i, v := range victims {
		before[i] = c.starts[v].Load()
	}
	gate := make(chan struct{})
	var began time.Time
	var all sync.WaitGroup
	for i, v := range victims {
		all.Go(func() {
			defer c.Recovered("killing")
			<-gate
			ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
			defer cancel()
			c.fatal(v, c.Do(ctx, v, opDie))
			if again[i] = -1; !c.serves(ctx, v) {
				return
			}
			again[i] = time.Since(began)
			if c.starts[v].Load() == before[i] {
				c.Violate("answers", "worker %d died of an operation, and serves though it was not started again", v)
			}
		})
	}
	began = time.Now()
	close(gate)
	all.Wait()
	return again
}

// timeline keeps a round for the report: when workers died, and when how many
// served.
func (k *workersKit) timeline(round int, at time.Duration, again []time.Duration) {
	if round > 0 {
		return // one is enough to see what happens
	}
	again = slices.DeleteFunc(slices.Clone(again), func(d time.Duration) bool { return d < 0 })
	slices.Sort(again)
	dead := crewVictims
	line := report.Line{Name: "workers that serve",
		Points: []report.Point{{0, workerCount}, {at.Seconds(), workerCount}, {at.Seconds(), float64(workerCount - dead)}}}
	events := []report.Event{{At: at.Seconds(), Kind: report.Fault, Target: "workers",
		What: fmt.Sprintf("%d of %d killed", dead, workerCount)}}
	for _, d := range again {
		dead--
		line.Points = append(line.Points, report.Point{(at + d).Seconds(), float64(workerCount - dead)})
	}
	if dead == 0 {
		events = append(events, report.Event{At: (at + again[len(again)-1]).Seconds(), Kind: report.Recovered,
			Target: "workers", What: "all serve again"})
	}
	k.Record(func(r *report.Scenario) {
		r.Timelines = append(r.Timelines, report.Timeline{Name: "a tenth of the workers dies", Events: events,
			Lines: []report.Line{line}, Unit: "workers"})
	})
}
