package pooltest

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// pools are those under load: made by the first phase that needs them, and closed by
// the last.
func (k *kit) pools(t *testing.T) []Pool {
	if k.subjects != nil {
		return k.subjects
	}
	pools := max(1, poolsAtBase*k.N/validate.BaseScale)
	if limit := k.Environment().DescriptorLimit; limit != nil {
		if fit := (int(*limit) - scenario.SpareFiles) / (2 * connsPerPool); fit < 1 { // the control has as many
			k.Fail("pooling: the descriptor limit is %d, must be %d or more", *limit, scenario.SpareFiles+2*connsPerPool)
			runtime.Goexit()
		} else if fit < pools {
			k.Note("Pools cut from %d to %d: the descriptor limit is %d.", pools, fit, *limit)
			pools = fit
		}
	}
	k.subjects = make([]Pool, pools)
	for i := range k.subjects {
		k.subjects[i], _ = k.start(t, Config{Size: connsPerPool})
	}
	return k.subjects
}

// closeAll closes the pools under load.
func (k *kit) closeAll(ctx context.Context, t *testing.T) {
	if k.subjects == nil {
		for _, p := range k.pools(t) {
			k.capacity(ctx, p, connsPerPool, "served") // so that there is something to close
		}
	}
	pools := k.subjects
	k.subjects = nil
	for _, p := range pools {
		if p != nil && !k.closePool(p) {
			k.Aborted = true // the others would do the same
			return
		}
	}
}

// throughput is the rate of the burst; where that was left out, of a short one.
func (k *kit) throughput(ctx context.Context, t *testing.T) float64 {
	if k.rate > 0 {
		return k.rate
	}
	pools, n := k.pools(t), max(k.N/measure.LeastPairs, 1)
	var rec *measure.Recorder
	var out load.Closed
	var err error
	k.UnderLoad(func() { rec, out, err = k.offerBurst(ctx, n, pools) })
	if k.Unfinished("served", out.Unfinished, n, out.Took, err) {
		runtime.Goexit()
	}
	if err != nil {
		k.Violate("served", "not all of %d operations were served, the first with: %v", n, err)
		runtime.Goexit()
	}
	k.rate = rec.Throughput()
	return k.rate
}

// loads are those by which the pools are taken beyond the scenario.
func (k *kit) loads(t *testing.T) scenario.Loads {
	pools := k.pools(t)
	return scenario.Loads{
		Burst: func(ctx context.Context, n int) (float64, error) {
			var rec *measure.Recorder
			var out load.Closed
			var err error
			k.UnderLoad(func() { rec, out, err = k.offerBurst(ctx, n, pools) })
			return rec.Throughput(), errors.Join(err, scenario.Finished(out.Unfinished))
		},
		Steady: func(ctx context.Context, n int, rate float64) (load.Open, measure.Latency, error) {
			rec, out, err := k.offerSteady(ctx, n, rate, pools)
			if err := errors.Join(err, scenario.Finished(out.Unfinished)); err != nil {
				return out, measure.Latency{}, err
			}
			return out, rec.Latency(), nil
		},
	}
}

// offerBurst has n operations in flight at once. err is the first of an
// operation, or says why some have not ended.
func (k *kit) offerBurst(
	ctx context.Context, n int, subjects []Pool,
) (rec *measure.Recorder, out load.Closed, err error) {
	stalled := wait.NewStall(ctx, scenario.Stall)
	defer stalled.Release()
	rec = measure.NewRecorder(n)
	var firstErr atomic.Pointer[error]
	out = load.Burst(stalled, n, func(g *load.Gate) {
		k.Follow(n, g.Ended, g.Now)
		rec.Begin(time.Now())
		stalled.Watch(g.Ended)
	}, func(i int, g *load.Gate) {
		defer k.Recovered("burst")
		// Holders wait until all have started: so N are in flight at once.
		// The context has no end, as for most callers of a pool; N that
		// wait in a select would need twice the stack.
		err := k.operate(context.Background(), subjects[i%len(subjects)], i, func() { <-g.All() })
		if err != nil {
			rec.Failed(i)
			firstErr.CompareAndSwap(nil, &err)
			return
		}
		rec.Done(i, 0)
	})
	return rec, out, firstError(&firstErr, stalled)
}

// offerSteady offers n operations at a rate.
func (k *kit) offerSteady(
	ctx context.Context, n int, rate float64, subjects []Pool,
) (rec *measure.Recorder, out load.Open, err error) {
	stalled := wait.NewStall(ctx, scenario.Stall)
	defer stalled.Release()
	rec = measure.NewRecorder(n)
	var firstErr atomic.Pointer[error]
	out = load.Steady(stalled, load.Plan{Rate: rate, Count: n, Arrivals: k.Settings().Arrivals, Seed: k.Seed},
		func(began time.Time, f *load.InFlight) {
			k.Follow(n, f.Ended, f.Now)
			rec.Begin(began)
			stalled.Watch(f.Ended)
		}, func(i int, due int64) {
			defer k.Recovered("steady")
			if err := k.operate(stalled, subjects[i%len(subjects)], i, nil); err != nil {
				rec.Failed(i)
				firstErr.CompareAndSwap(nil, &err)
				return
			}
			rec.Done(i, due)
		})
	stalled.Stop()
	return rec, out, firstError(&firstErr, stalled)
}

// firstError is the first error of an operation, or else why the load was ended.
func firstError(first *atomic.Pointer[error], ctx context.Context) error {
	if err := first.Load(); err != nil {
		return *err
	}
	return context.Cause(ctx)
}

// burst has N operations in flight at once, and keeps the rate of the slower of
// subject and control.
func (k *kit) burst(ctx context.Context, t *testing.T) {
	n, pools := k.N, k.pools(t)
	before := k.closed.Load()
	var rec *measure.Recorder
	var out load.Closed
	var err error
	// The flight recorder takes a tenth of what the pools have, as it looks at every
	// call of the kernel.
	k.Unrecorded(func() {
		k.UnderLoad(func() { rec, out, err = k.offerBurst(ctx, n, pools) })
	})
	if k.Unfinished("served", out.Unfinished, n, out.Took, err) {
		return
	}
	l := rec.Latency()
	rate := rec.Throughput()
	k.Record(func(r *report.Scenario) {
		r.Operations += n
		r.Burst = &report.Burst{N: n, Peak: out.Peak, Seconds: out.Took.Seconds(), Throughput: rate, Latency: &l,
			Little: report.Little(n, rate), Series: rec.Series()}
	})
	k.Measured("in_flight", float64(out.Peak))
	if opened := k.opened.Load(); opened > 0 {
		k.Measured("survival", 100*(1-float64(k.closed.Load()-before)/float64(opened)))
	}
	k.Timed("throughput_reach", rate)
	if l.Failed > 0 {
		k.Violate("served", "%d of %d operations were not served, the first with: %v", l.Failed, n, err)
		return
	}
	if k.elsewhere.Load() {
		k.NotCompared(elsewhere, "throughput")
		k.rate = rate
		return
	}
	var c measure.Paired
	ok := false
	k.Unrecorded(func() { c, ok = k.compareBursts(ctx, t, n, rate, pools) })
	if !ok {
		return
	}
	if rate < k.Target("throughput") {
		_, _, _ = k.offerBurst(ctx, n, pools) // for the recorder: it shows why
	}
	k.Compared("throughput", c)
	k.rate = min(c.Subject, c.Control)
}

// compareBursts has the subject and the control do bursts by turns.
func (k *kit) compareBursts(
	ctx context.Context, t *testing.T, n int, rate float64, subjects []Pool,
) (c measure.Paired, ok bool) {
	k.beside(t, len(subjects), func(control *kit, controls []Pool) {
		turn := func(k *kit, pools []Pool) func(n int) (float64, bool) {
			return func(n int) (float64, bool) {
				rec, out, err := k.offerBurst(ctx, n, pools)
				if k.Unfinished("served", out.Unfinished, n, out.Took, err) {
					return 0, false
				}
				if err != nil {
					k.Violate("served", "not all of %d operations were served, the first with: %v", n, err)
				}
				return rec.Throughput(), err == nil
			}
		}
		if _, ok = turn(control, controls)(len(controls) * connsPerPool); !ok { // so that it has dialled
			return
		}
		c, ok = k.CompareRate(ctx, "throughput", n, rate, turn(k, subjects), turn(control, controls))
	})
	return c, ok
}

func (k *kit) steady(ctx context.Context, t *testing.T) {
	subjects := k.pools(t)
	rate := k.SteadyRate(k.throughput(ctx, t))
	n := scenario.SteadyCount(k.N, rate)
	turn := func(k *kit, pools []Pool) scenario.SteadyLoad {
		return func(ctx context.Context, n int, rate float64) (turn scenario.SteadyTurn, ok bool) {
			rec, out, err := k.offerSteady(ctx, n, rate, pools)
			if k.Unfinished("served", out.Unfinished, n, out.Took, err) {
				return turn, false
			}
			if err != nil {
				k.Violate("served", "not all of %d steady operations were served, the first with: %v", n, err)
			}
			return scenario.SteadyTurn{Out: out, Rec: rec}, err == nil
		}
	}
	if k.elsewhere.Load() {
		k.SteadyAlone(ctx, elsewhere, n, rate, turn(k, subjects))
		return
	}
	k.beside(t, len(subjects), func(control *kit, controls []Pool) {
		if _, ok := turn(control, controls)(ctx, len(controls)*connsPerPool, rate); ok { // so that it has dialled
			k.CompareSteady(ctx, n, rate, turn(k, subjects), turn(control, controls))
		}
	})
}

// faults cuts connections under load: who meets one gets an error and nobody a
// wrong reply, and afterwards every pool is whole.
func (k *kit) faults(ctx context.Context, t *testing.T) {
	n, subjects := max(k.N/10, 1), k.pools(t)
	for _, p := range subjects {
		k.capacity(ctx, p, connsPerPool, "served") // so that there are connections to cut
	}
	cut, err := k.cut(max(len(subjects)*connsPerPool/20, 1))
	if err != nil {
		k.Fail("%v", err)
		return
	}
	var failed atomic.Int64
	out := load.Burst(ctx, n, nil, func(i int, _ *load.Gate) {
		defer k.Recovered("faults")
		err := k.operate(ctx, subjects[i%len(subjects)], i, nil)
		if errors.As(err, new(notServed)) {
			k.Violate("served", "operation %d was not served after %d connections had been cut: %v", i, cut, err)
		} else if err != nil {
			failed.Add(1)
		}
	})
	if out.Unfinished > 0 {
		k.Aborted = true
		k.Violate("served", "%d of %d operations never ended after %d connections were cut", out.Unfinished, n, cut)
		return
	}
	if int(failed.Load()) > cut {
		k.Violate("broken", "%d connections were cut and %d operations failed: a broken connection was lent again",
			cut, failed.Load())
	}
	for _, p := range subjects {
		k.capacity(ctx, p, connsPerPool, "broken")
	}
}
