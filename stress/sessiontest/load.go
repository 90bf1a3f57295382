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
	return k.closed(ctx, measure.NewRecorder(0), k.sessions, 1, false) > 0
}

const (
	// A throughput is told by so many operations: fewer are over before the other
	// work of the machine has evened out.
	throughputOps = 80_000
	// sweepOps is how many follow each other at least before all nodes wait for the
	// last: with fewer, that is most of what is measured.
	sweepOps = 2_500
)

// ops is how many operations the throughput phase takes of the subject, by turns with the
// control.
func (k *kit) ops() int {
	if k.brief() {
		return 2 * sweepOps * measure.LeastPairs
	}
	return throughputOps
}

// measureThroughput has sessions written and then read, over and over: all of them at
// once, and then as many in all by turns with the control.
func (k *kit) measureThroughput(ctx context.Context) {
	const sweeps = 2
	rec, peak := measure.NewRecorder(0), 0
	k.UnderLoad(func() { peak = k.sweeps(ctx, rec, k.sessions, max(1, sweepOps/k.sessions)) })
	if peak == 0 {
		return
	}
	l, rate := rec.Latency(), rec.Throughput()
	k.Record(func(r *report.Scenario) {
		r.Operations += l.N
		r.Burst = &report.Burst{N: l.N / sweeps, Peak: peak, Seconds: float64(rec.Took()) / 1e9 / float64(sweeps),
			Throughput: rate, Latency: &l, Little: report.Little(callerCount, rate), Series: rec.Series()}
	})
	k.Timed("throughput_reach", rate)
	if k.abilities().Shares {
		k.NotCompared(shares, "throughput")
		k.rate = rate
		return
	}
	control, ok := k.beside(ctx)
	if !ok {
		return
	}
	turn := func(k *kit) func(int) (float64, bool) {
		return func(n int) (float64, bool) { return k.rateTurn(ctx, n) }
	}
	if c, ok := k.CompareRate(ctx, "throughput", k.ops(), rate, turn(k), turn(control)); ok {
		k.Compared("throughput", c)
		k.rate = min(c.Subject, c.Control)
	}
}

// shares says why there is nothing to compare with.
const shares = "its nodes share a server that the kit does not see: no control does the same work"

// rateTurn is the rate of n operations: some sessions are written, and then read.
func (k *kit) rateTurn(ctx context.Context, n int) (float64, bool) {
	n = max(n/2, sweepOps)
	rec, sessions := measure.NewRecorder(0), min(n, k.sessions)
	ok := k.sweeps(ctx, rec, sessions, max(1, n/sessions)) > 0
	return rec.Throughput(), ok
}

// sweeps has the first so many sessions written, and then read, so many times each. It
// adds that to rec and returns how many operations were in flight at most: 0 if it went
// wrong.
func (k *kit) sweeps(ctx context.Context, rec *measure.Recorder, sessions, times int) (peak int) {
	for _, read := range []bool{false, true} {
		most := k.closed(ctx, rec, sessions, times, read)
		if most == 0 {
			return 0
		}
		peak = max(peak, most)
	}
	return peak
}

// closed has the nodes write or read the first so many sessions so many times each. What
// it returns is as for sweeps.
func (k *kit) closed(ctx context.Context, rec *measure.Recorder, sessions, times int, read bool) (peak int) {
	accounts, err := k.offer(ctx, k.loaded, workload{Control: k.control, Sessions: sessions,
		Callers: callerCount / nodeCount, Times: times, Read: read})
	if !k.settledLoad("throughput", accounts, err) {
		return 0
	}
	peak, _ = gather(rec, accounts)
	return peak
}

// beside is the kit at work on the controls of the same nodes, with sessions of their own,
// all of which are written.
func (k *kit) beside(ctx context.Context) (*kit, bool) {
	if k.controls == nil {
		if !k.must(k.cluster.controlled(ctx)) {
			return nil, false
		}
		c := *k
		c.control, c.loaded = true, newBook(k.sessions)
		k.controls = &c
		if c.closed(ctx, measure.NewRecorder(0), c.sessions, 1, false) == 0 {
			return nil, false
		}
	}
	return k.controls, !k.Failed()
}

// settledLoad tells whether all operations of a load ended as they must.
func (k *kit) settledLoad(criterion string, accounts []*account, err error) bool {
	if !k.must(err) {
		return false
	}
	for _, a := range accounts {
		if k.control && (len(a.Wrong) > 0 || a.First != "" || a.Left > 0) { // that is no fault of the subject
			k.Fail("%s, %s: the control, which is the kit's, failed: %s; %d of %d operations never ended; wrong reads: %v",
				k.ID, criterion, a.First, a.Left, a.N, a.Wrong)
			return false
		}
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

// steady is an open load, half of it writes, without any fault, by turns with the control.
func (k *kit) steady(ctx context.Context, _ *testing.T) {
	if !k.filled(ctx) {
		return
	}
	control, ok := k.beside(ctx)
	if !ok {
		return
	}
	if k.rate == 0 { // the throughput phase was left out
		var own, other float64
		k.UnderLoad(func() {
			if own, ok = k.rateTurn(ctx, 0); ok {
				other, ok = control.rateTurn(ctx, 0)
			}
		})
		if !ok {
			return
		}
		k.rate = min(own, other)
	}
	rate := k.SteadyRate(k.rate)
	length := steadyTime
	if k.brief() {
		length /= 4
	}
	n := int(rate * length.Seconds())
	if k.abilities().Shares {
		k.SteadyAlone(ctx, shares, n, rate, k.steadyTurn)
		return
	}
	k.CompareSteady(ctx, n, rate, k.steadyTurn, control.steadyTurn)
}

func (k *kit) steadyTurn(ctx context.Context, n int, rate float64) (turn scenario.SteadyTurn, ok bool) {
	accounts, err := k.offer(ctx, k.loaded, workload{Control: k.control, Rate: rate / nodeCount,
		Count: max(n/nodeCount, 1), Arrivals: k.Settings().Arrivals, Seed: k.Seed})
	if !k.settledLoad("steady", accounts, err) {
		return turn, false
	}
	turn.Rec = measure.NewRecorder(0)
	_, turn.Out = gather(turn.Rec, accounts)
	return turn, true
}

// steadyTime is how long an open load takes, of subject and control each.
const steadyTime = 2 * time.Second
