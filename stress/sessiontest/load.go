package sessiontest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
	"tensile/stress/report"
)

// opTime bounds an operation under load. It judges nobody: it is there for one
// that hangs.
const opTime = 10 * time.Second

// throughput writes every session, and reads it at another node.
func (k *kit) throughput(ctx context.Context, _ *testing.T) {
	if k.filled(ctx) {
		k.measureThroughput(ctx)
	}
}

// filled writes every session, unless they were, and tells whether they are there.
func (k *kit) filled(ctx context.Context) bool {
	if k.loaded != nil {
		return !k.Failed()
	}
	if !k.formed(ctx) {
		return false
	}
	k.sessions = max(k.N, 2*nodeCount)
	k.loaded = newBook(k.sessions)
	return k.closed(ctx, measure.NewRecorder(0), 1, false) > 0
}

// pace is the rate of the throughput phase; where that was left out, of one sweep.
func (k *kit) pace(ctx context.Context) float64 {
	if k.rate == 0 && k.filled(ctx) {
		rec := measure.NewRecorder(0)
		k.UnderLoad(func() {
			for _, read := range []bool{false, true} {
				if k.closed(ctx, rec, max(1, sweepOps/k.sessions), read) == 0 {
					return
				}
			}
		})
		k.rate = rec.Throughput()
	}
	return k.rate
}

const (
	// A throughput is told by so many operations: fewer are over before the other
	// work of the machine has evened out.
	throughputOps = 200_000
	// sweepOps is how many follow each other before all nodes wait for the last:
	// with fewer, that is most of what is measured.
	sweepOps = 20_000
)

// measureThroughput has every session written and then read, over and over until
// that has lasted long enough: the throughput is that of all together.
func (k *kit) measureThroughput(ctx context.Context) {
	ops, enough := throughputOps, 2*scenario.EnoughBurst
	if k.brief() {
		ops, enough = ops/4, scenario.EnoughBurst
	}
	times := max(1, sweepOps/k.sessions)
	rec := measure.NewRecorder(0)
	peak, sweeps := 0, 0
	k.UnderLoad(func() {
		for n := 0; n < ops || time.Duration(rec.Took()) < enough; n += 2 * k.sessions * times {
			for _, read := range []bool{false, true} {
				most := k.closed(ctx, rec, times, read)
				if most == 0 {
					return
				}
				peak, sweeps = max(peak, most), sweeps+1
			}
		}
	})
	if k.Failed() {
		return
	}
	l := rec.Latency()
	k.rate = rec.Throughput()
	k.Note("The throughput is that of %d sweeps, which took %v in total: in each, every node does its part, and all wait "+
		"for the last.",
		sweeps, time.Duration(rec.Took()).Round(time.Millisecond))
	k.Record(func(r *report.Scenario) {
		r.Operations += l.N
		r.Burst = &report.Burst{N: l.N / sweeps, Peak: peak, Seconds: float64(rec.Took()) / 1e9 / float64(sweeps),
			Throughput: k.rate, Latency: &l, Little: report.Little(callerCount, k.rate), Series: rec.Series()}
	})
	k.Timed("throughput", k.rate)
	k.Timed("throughput_reach", k.rate)
}

// closed has the nodes write or read each session so many times, adds that to
// rec, and returns how many operations were in flight at most: 0 if it went
// wrong.
func (k *kit) closed(ctx context.Context, rec *measure.Recorder, times int, read bool) (peak int) {
	accounts, err := k.offer(ctx, k.loaded, workload{Callers: callerCount / nodeCount, Times: times, Read: read})
	if !k.settledLoad("throughput", accounts, err) {
		return 0
	}
	peak, _ = gather(rec, accounts)
	return peak
}

// settledLoad tells whether all operations of a load ended as they must.
func (k *kit) settledLoad(criterion string, accounts []*account, err error) bool {
	if !k.must(err) {
		return false
	}
	for _, a := range accounts {
		for _, w := range a.Wrong {
			k.Violate(w.Criterion, "%s", w.What)
		}
		if a.First != "" {
			k.Fault("an operation failed without any fault: %s", a.First)
		}
		if k.Unfinished(criterion, a.Left, a.N, 0, errors.New(a.Why)) {
			return false
		}
	}
	return !k.Failed()
}

// share has callers call op with every number below n. One that gets false ends.
func (k *kit) share(callers, n int, op func(i int) bool) {
	var next atomic.Int64
	wait.All(min(callers, n), func(int) {
		defer k.Recovered("a caller")
		for i := int(next.Add(1)) - 1; i < n && op(i); i = int(next.Add(1)) - 1 {
		}
	})
}

// steady is an open load, half of it writes, without any fault.
func (k *kit) steady(ctx context.Context, t *testing.T) {
	pace := k.pace(ctx)
	if k.Failed() {
		return
	}
	rate := k.SteadyRate(pace)
	least := steadyLeast
	if k.brief() {
		least /= 5
	}
	n := max(scenario.SteadyCount(k.sessions, rate), int(rate*least.Seconds()))
	var accounts []*account
	var err error
	k.UnderLoad(func() {
		accounts, err = k.offer(ctx, k.loaded, workload{Rate: rate / nodeCount, Count: n / nodeCount,
			Arrivals: k.Settings().Arrivals, Seed: k.Seed})
	})
	if !k.settledLoad("steady", accounts, err) {
		return
	}
	rec := measure.NewRecorder(0)
	_, out := gather(rec, accounts)
	l := rec.Latency()
	if k.Saturated(out) {
		return
	}
	k.SteadyResult(out, l, rec.Series())
	worst := k.ProcessorShares().Worst
	if worst == 1 {
		return
	}
	// A write is handed from process to process half a dozen times, and each of
	// them waits for its turn behind whatever else wants to run. How long is a
	// matter of how many those are, which the share they take does not tell.
	for _, c := range []string{"p50", "p95", "p99"} {
		k.NotMeasured(c, "other work held %.0f %% of the processors for a moment, "+
			"and every process on the way of an operation waits for it", 100*(1-worst))
	}
}

// steadyLeast is how long an open load takes at least: several of the moments
// in which other work is seen.
const steadyLeast = 2 * time.Second
