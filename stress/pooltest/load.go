package pooltest

import (
	"context"
	"errors"
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

// load is the burst of N, the steady run, and faults under load.
func (k *kit) load() {
	n := k.N
	pools := max(1, poolsAtBase*n/validate.BaseScale)
	if limit := k.Environment().DescriptorLimit; limit != nil {
		if fit := (int(*limit) - scenario.SpareFiles) / connsPerPool; fit < 1 {
			k.Fail("pooling: the descriptor limit is %d, accepted is %d or more", *limit, scenario.SpareFiles+connsPerPool)
			return
		} else if fit < pools {
			k.Note("Pools cut from %d to %d: the descriptor limit is %d.", pools, fit, *limit)
			pools = fit
		}
	}
	k.Phase("machine", func(ctx context.Context, _ *testing.T) {
		k.Unrecorded(func() { k.bound = k.machine(ctx, pools*connsPerPool) })
	})
	subjects := make([]Pool, pools)
	rate := 0.0
	k.Phase("burst", func(ctx context.Context, t *testing.T) {
		for i := range subjects {
			subjects[i], _ = k.start(t, Config{Size: connsPerPool})
		}
		rate = k.burst(ctx, n, subjects)
	})
	if rate > 0 && !k.Failed() {
		k.Phase("steady", func(ctx context.Context, t *testing.T) { k.steady(ctx, n, rate, subjects) })
	}
	if !k.Failed() {
		k.Phase("faults", func(ctx context.Context, t *testing.T) { k.faults(ctx, max(n/10, 1), subjects) })
	}
	if !k.Failed() {
		k.Explore(rate, scenario.Loads{
			Burst: func(ctx context.Context, n int) (float64, error) {
				var rec *measure.Recorder
				var out load.Closed
				var err error
				k.UnderLoad(func() { rec, out, err = k.offerBurst(ctx, n, subjects) })
				return rec.Throughput(), errors.Join(err, scenario.Finished(out.Unfinished))
			},
			Steady: func(ctx context.Context, n int, rate float64) (load.Open, measure.Latency, error) {
				rec, out, err := k.offerSteady(ctx, n, rate, subjects)
				if err := errors.Join(err, scenario.Finished(out.Unfinished)); err != nil {
					return out, measure.Latency{}, err
				}
				return out, rec.Latency(), nil
			},
		})
	}
	k.Phase("close all", func(context.Context, *testing.T) {
		for _, p := range subjects {
			if p != nil && !k.closePool(p) {
				k.Aborted = true // the others would do the same
				return
			}
		}
	})
	k.Shown("bound", "exclusive", "crosstalk")
}

// offerBurst has n operations in flight at once. err is the first of an
// operation, or says why some have not ended.
func (k *kit) offerBurst(ctx context.Context, n int, subjects []Pool) (rec *measure.Recorder, out load.Closed, err error) {
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
func (k *kit) offerSteady(ctx context.Context, n int, rate float64, subjects []Pool) (rec *measure.Recorder, out load.Open, err error) {
	stalled := wait.NewStall(ctx, scenario.Stall)
	defer stalled.Release()
	rec = measure.NewRecorder(n)
	var firstErr atomic.Pointer[error]
	k.UnderLoad(func() {
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
	})
	return rec, out, firstError(&firstErr, stalled)
}

// firstError is the first error of an operation, or else why the load was ended.
func firstError(first *atomic.Pointer[error], ctx context.Context) error {
	if err := first.Load(); err != nil {
		return *err
	}
	return context.Cause(ctx)
}

func (k *kit) burst(ctx context.Context, n int, subjects []Pool) float64 {
	before := k.closed.Load()
	var rec *measure.Recorder // of the first burst
	var out load.Closed
	var err error
	bursts, took := 0, time.Duration(0)
	// The flight recorder takes a tenth of what the pools have, as it looks at every
	// call of the kernel.
	k.Unrecorded(func() {
		k.UnderLoad(func() {
			for took < scenario.EnoughBurst && out.Unfinished == 0 && err == nil {
				r, o, e := k.offerBurst(ctx, n, subjects)
				if bursts++; bursts == 1 || o.Unfinished > 0 || e != nil {
					rec, out, err = r, o, e
				}
				took += time.Duration(r.Took())
			}
		})
	})
	if k.Unfinished("served", out.Unfinished, n, out.Took, err) {
		return 0
	}
	l := rec.Latency()
	if l.Failed > 0 {
		k.Fail("pooling.served: %d of %d operations were not served, the first with: %v", l.Failed, n, err)
	}
	rate := rec.Throughput()
	if bursts > 1 && l.Failed == 0 {
		rate = float64(bursts*n) / took.Seconds()
		k.Note("The throughput is that of %d bursts, which lasted %v together.", bursts, took.Round(time.Millisecond))
	}
	k.Record(func(r *report.Scenario) {
		r.Operations += bursts * n
		r.Burst = &report.Burst{N: n, Peak: out.Peak, Seconds: out.Took.Seconds(), Throughput: rate, Latency: &l,
			Machine: k.bound, Little: report.Little(n, rate), Series: rec.Series()}
	})
	k.Measured("served", float64(l.Failed))
	k.Measured("in_flight", float64(out.Peak))
	if rate < k.Target("throughput") && l.Failed == 0 {
		_, _, _ = k.offerBurst(ctx, n, subjects) // for the recorder: it shows why
	}
	where := k.Conditions()
	where.Machine = k.bound
	k.TimedUnder("throughput", rate, where)
	k.Timed("throughput_reach", rate)
	if opened := k.opened.Load(); opened > 0 {
		k.Measured("survival", 100*(1-float64(k.closed.Load()-before)/float64(opened)))
	}
	return rate
}

func (k *kit) steady(ctx context.Context, n int, rate float64, subjects []Pool) {
	rate = k.SteadyRate(rate)
	n = scenario.SteadyCount(n, rate)
	rec, out, err := k.offerSteady(ctx, n, rate, subjects)
	if k.Unfinished("served", out.Unfinished, n, out.Took, err) {
		return
	}
	l := rec.Latency()
	if l.Failed > 0 {
		k.Fail("pooling: %d of %d steady operations failed, the first with: %v", l.Failed, n, err)
	}
	if k.Saturated(out) {
		return
	}
	k.SteadyResult(out, l, rec.Series())
}

// faults cuts connections under load: who meets one gets an error and nobody a
// wrong reply, and afterwards every pool is whole.
func (k *kit) faults(ctx context.Context, n int, subjects []Pool) {
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
		k.Fail("pooling: %d of %d operations never ended after %d connections were cut", out.Unfinished, n, cut)
		return
	}
	if int(failed.Load()) > cut {
		k.Violate("broken", "%d connections were cut and %d operations failed: a broken connection was lent again", cut, failed.Load())
	}
	for _, p := range subjects {
		k.capacity(ctx, p, connsPerPool, "broken")
	}
	k.Shown("broken", "served")
}
