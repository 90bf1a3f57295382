package transporttest

import (
	"context"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/scenario"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// steadyTime bounds the open load, of subject and control each.
const steadyTime = 3 * time.Second

// fewInFlight are the calls in flight by whose throughput the steady run is sized.
const fewInFlight = 200

// closed offers a closed load of calls and returns their rate.
func (k *kit) closed(ctx context.Context, phase string, l nodes.Load) float64 {
	names := k.Names()
	l = k.begins(l)
	k.expect(ctx, l, names)
	results := k.offer(ctx, "closed", l, names, func(n string) []string { return nodes.Others(names, n) })
	replies, first := k.replied(results)
	k.book(phase, replies, k.arrived(ctx, names, results), first, false)
	if !k.control {
		k.Record(func(r *report.Scenario) { r.Operations += replies.Sent })
	}
	return k.rateOf(replies.Delivered)
}

// small is a closed load of n small calls in all, of which so many are in flight.
func (k *kit) small(n, inFlight int) nodes.Load {
	return nodes.Load{Size: payload.SmallRequest, Each: k.perPair(n), InFlight: k.perNode(inFlight)}
}

// throughput keeps N small calls in flight: half of them at once, and the other half by
// turns with the control.
func (k *kit) throughput(ctx context.Context, _ *testing.T) {
	n := min(max(20*k.N, minCalls), maxCalls) / 2
	var whole float64
	k.UnderLoad(func() { whole = k.closed(ctx, "throughput", k.small(n, k.N)) })
	k.Timed("throughput_reach", whole)
	k.Timed("throughput_aim", whole)
	k.RecordBurst(func(b *report.Burst) {
		b.Throughput, b.Little = whole, report.Little(k.N, whole)
		if whole > 0 {
			b.Seconds = float64(n) / whole
		}
	})
	if k.Failed() {
		return
	}
	turn := func(k *kit) func(int) (float64, bool) {
		return func(n int) (float64, bool) {
			rate := k.closed(ctx, "throughput by turns", k.small(n, min(n, k.N)))
			return rate, !k.Failed() && rate > 0
		}
	}
	k.beside(ctx, func(control *kit) {
		if c, ok := k.CompareRate(ctx, "throughput", n, whole, turn(k), turn(control)); ok {
			k.Compared("throughput", c)
			k.rate = min(c.Subject, c.Control)
		}
	})
}

// pace is the rate by which the open load is sized: the lowest of subject and control.
// With N in flight there is always a lot to be written with one call of the kernel. An
// open load is no such help, so it is the rate with few in flight that counts.
func (k *kit) pace(ctx context.Context, control *kit) float64 {
	few := min(k.N, fewInFlight)
	rates := make([]float64, 2)
	k.UnderLoad(func() {
		for i, k := range []*kit{k, control} {
			if !k.Failed() {
				rates[i] = k.closed(ctx, "throughput of few", k.small(minCalls/8, few))
			}
		}
	})
	k.Note("%s calls/s with %d in flight; the control does %s.", validate.Number(rates[0]),
		k.perNode(few)*k.Settings().Nodes, validate.Number(rates[1]))
	pace := min(rates[0], rates[1])
	if k.rate > 0 {
		pace = min(pace, k.rate)
	}
	return pace
}

// steadyRun offers an open load, by turns with the control.
func (k *kit) steadyRun(ctx context.Context, _ *testing.T) {
	k.beside(ctx, func(control *kit) {
		pace := k.pace(ctx, control)
		if k.Failed() {
			return
		}
		rate := k.SteadyRate(pace)
		n := min(5*k.N, maxCalls/4, int(rate*steadyTime.Seconds()))
		k.CompareSteady(ctx, n, rate, k.steadyTurn, control.steadyTurn)
	})
}

// steadyTurn is a turn of an open load.
func (k *kit) steadyTurn(ctx context.Context, n int, rate float64) (turn scenario.SteadyTurn, ok bool) {
	names := k.Names()
	l := k.begins(nodes.Load{Size: payload.SmallRequest, Each: k.perPair(n), Rate: rate / float64(len(names)),
		Arrivals: k.Settings().Arrivals, Seed: k.Seed})
	k.expect(ctx, l, names)
	results := k.offer(ctx, "open", l, names, func(n string) []string { return nodes.Others(names, n) })
	replies, first := k.replied(results)
	k.book("steady", replies, k.arrived(ctx, names, results), first, false)
	turn.Out, turn.Rec = k.merge(results)
	return turn, !k.Failed()
}

// beside opens a control in every process, has f compare with them, and closes them.
func (k *kit) beside(ctx context.Context, f func(control *kit)) {
	names := k.Names()
	if !k.OpenControls(ctx, names, max(minCalls, k.perPair(k.N))) {
		return
	}
	defer k.CloseControls(ctx, names)
	f(&kit{Nodes: k.Nodes, control: true})
}
