package stress

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// opTime bounds an operation under load. It judges nobody: it is there for one
// that hangs.
const opTime = 10 * time.Second

// throughput writes every session, and reads it at another node.
func (k *sessionKit) throughput(ctx context.Context, t *testing.T) {
	k.sessions = max(k.n, 2)
	k.loaded = newBook(k.sessions)
	k.share(sessionCallers, k.sessions/4, func(session int) bool { // so that all is warm
		return k.write(ctx, k.nodes[session%len(k.nodes)], session)
	})
	k.measureThroughput(ctx)
}

const (
	// A throughput is told by so many operations, if N gives them in a few rounds:
	// fewer are over before the other work of the machine has evened out.
	throughputOps = 100_000
	mostRounds    = 5
)

// measureThroughput offers the operations again until they have lasted long enough
// together: the throughput is that of all.
func (k *sessionKit) measureThroughput(ctx context.Context) {
	ops, enough := throughputOps, 2*enoughBurst
	if k.brief() {
		ops, enough = ops/4, enoughBurst
	}
	rounds := min(max(ops/(2*k.sessions), 1), mostRounds)
	n := 2 * k.sessions * rounds
	var rec *measure.Recorder
	var flight load.InFlight
	var l measure.Latency
	bursts, took := 0, time.Duration(0)
	k.underLoad(func() {
		for took < enough && ctx.Err() == nil && (bursts == 0 || l.Failed == 0 && l.N == n) {
			rec = measure.NewRecorder(n)
			k.offerClosed(ctx, rec, rounds, &flight)
			l = rec.Latency()
			took += time.Duration(rec.Took())
			bursts++
		}
	})
	if l.Failed > 0 || l.N < n {
		k.fail("sessions: %d of %d operations failed without any fault, and %d never ended", l.Failed, n, n-l.N-l.Failed)
		return
	}
	k.rate = float64(bursts*n) / took.Seconds()
	if bursts > 1 {
		k.note("The throughput is that of %d bursts, which lasted %v together.", bursts, took.Round(time.Millisecond))
	}
	k.mu.Lock()
	k.result.Operations += bursts * n
	k.result.Burst = &report.Burst{N: n, Peak: flight.Peak(), Seconds: float64(rec.Took()) / 1e9, Throughput: k.rate, Latency: &l,
		Little: report.Little(sessionCallers, k.rate), Series: rec.Series()}
	k.mu.Unlock()
	k.timed("throughput", k.rate)
	k.timed("throughput_reach", k.rate)
}

// offerClosed has callers write each session and then read each, one operation
// after the other, in rounds.
func (k *sessionKit) offerClosed(ctx context.Context, rec *measure.Recorder, rounds int, flight *load.InFlight) {
	k.follow(2*k.sessions*rounds, flight.Ended, flight.Now)
	rec.Begin(time.Now())
	first := 0
	ops := func(op func(session int) bool) {
		k.share(sessionCallers, k.sessions, func(session int) bool {
			if ctx.Err() != nil {
				return false
			}
			flight.Start()
			defer flight.End()
			from := rec.Since()
			if op(session) {
				rec.Done(first+session, from)
			} else {
				rec.Failed(first + session)
			}
			return true
		})
		first += k.sessions
	}
	for range rounds {
		ops(func(session int) bool { return k.write(ctx, k.nodes[session%len(k.nodes)], session) })
		ops(func(session int) bool {
			return k.check(k.nodes[(session+1)%len(k.nodes)].get(ctx, opTime, sessionKey(session)), session)
		})
	}
}

// share has callers call op with every number below n. One that gets false ends.
func (k *sessionKit) share(callers, n int, op func(i int) bool) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range min(callers, n) {
		all.Go(func() {
			defer k.recovered("a caller")
			for i := int(next.Add(1)) - 1; i < n && op(i); i = int(next.Add(1)) - 1 {
			}
		})
	}
	all.Wait()
}

// write makes the next write of a session, and tells whether it is acknowledged.
func (k *sessionKit) write(ctx context.Context, n *sessionNode, session int) bool {
	number, value := k.loaded.next(session)
	if n.put(ctx, opTime, sessionKey(session), value).outcome != opDone {
		return false
	}
	k.loaded.acked[session].Store(number)
	return true
}

// check tells whether a read returned the last write.
func (k *sessionKit) check(r result, session int) bool {
	criterion, what := k.loaded.judge(session, r)
	if what != "" {
		k.violate(criterion, "%s", what)
	}
	return what == ""
}

// steady is an open load, half of it writes, without any fault.
func (k *sessionKit) steady(ctx context.Context, t *testing.T) {
	rate := k.steadyRate(k.rate)
	least := steadyLeast
	if k.brief() {
		least /= 5
	}
	n := max(steadyCount(k.sessions, rate), int(rate*least.Seconds()))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rec := measure.NewRecorder(n)
	done := make(chan struct{})
	var out load.Open
	k.underLoad(func() {
		out = load.Steady(ctx, load.Plan{Rate: rate, Count: n, Arrivals: k.run.settings.Arrivals, Seed: k.seed},
			func(began time.Time, f *load.InFlight) {
				k.follow(n, f.Ended, f.Now)
				rec.Begin(began)
				go watchStall(cancel, f.Ended, done)
			}, func(i int, due int64) {
				defer k.recovered("steady")
				// Even sessions are written and odd ones read: so it is known what
				// a read must return.
				session := i % (k.sessions / 2 * 2)
				node := k.nodes[i/2%len(k.nodes)]
				var ok bool
				if session%2 == 0 {
					ok = k.write(ctx, node, session)
				} else {
					ok = k.check(node.get(ctx, opTime, sessionKey(session)), session)
				}
				if !ok {
					rec.Failed(i)
					return
				}
				rec.Done(i, due)
			})
		close(done)
	})
	if k.unfinished("steady", out.Unfinished, n, out.Took, context.Cause(ctx)) {
		return
	}
	l := rec.Latency()
	if l.Failed > 0 {
		k.fail("sessions: %d of %d steady operations failed without any fault", l.Failed, n)
	}
	if k.saturated(out) {
		return
	}
	k.steadyResult(out, l, rec.Series())
	k.mu.Lock()
	worst := k.shares.worst
	k.mu.Unlock()
	if worst == 1 {
		return
	}
	// A write is handed from process to process half a dozen times, and each of
	// them waits for its turn behind whatever else wants to run. How long is a
	// matter of how many those are, which the share they take does not tell.
	for _, c := range []string{"p50", "p95", "p99"} {
		k.list.Leave(k.id+"."+c, validate.NotMeasured, fmt.Sprintf(
			"other work held %.0f %% of the processors for a moment, and every process on the way of an operation waits for it", 100*(1-worst)))
	}
}

// steadyLeast is how long an open load takes at least: several of the moments
// in which other work is seen.
const steadyLeast = 2 * time.Second
