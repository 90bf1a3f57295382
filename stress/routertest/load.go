package routertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
)

// idle measures what N names cost that have nothing to do.
func (k *kit) idle(ctx context.Context, t *testing.T) {
	table := make([]string, k.N)
	for i := range table {
		table[i] = fmt.Sprintf("idle-%d", i)
	}
	r := k.start(t)
	handle := func(Message) {}
	goroutines, heap := runtime.NumGoroutine(), scenario.LiveMemory()
	for _, name := range table {
		if !k.must(r.Register(name, handle), "Register") {
			return
		}
	}
	k.Measured("idle_bytes", float64(scenario.LiveMemory()-heap)/float64(len(table)))
	k.Measured("idle_goroutines", float64(runtime.NumGoroutine()-goroutines)/float64(len(table)))
	k.close(r)
	runtime.KeepAlive(table) // it is the kit's, and must not be collected meanwhile
}

// inFlight has N messages taken and none handled, to names whose handlers are
// held.
func (k *kit) inFlight(ctx context.Context, t *testing.T) {
	n := k.N
	names := (n + heldPerName - 1) / heldPerName
	r := k.start(t)
	l := measure.NewLedger(n, n, names)
	hold := make(chan struct{})
	var flight load.InFlight
	var arrived atomic.Int64
	for i := range names {
		if !k.must(r.Register(fmt.Sprintf("held-%d", i), func(m Message) {
			<-hold
			l.Arrive(m.ID, i, m.intact())
			flight.End()
			arrived.Add(1)
		}), "Register") {
			return
		}
	}
	for id := range n {
		to := id % names
		l.Send(uint64(id), to)
		if err := r.Send(fmt.Sprintf("held-%d", to), message(uint64(id))); err != nil {
			l.Refused(uint64(id))
			continue
		}
		flight.Start()
	}
	close(hold)
	k.settle(ctx, &arrived, n, wait.Pause)
	k.close(r)
	k.Book("in flight", l.Audit(true))
	k.Measured("in_flight", float64(flight.Peak()))
	k.RecordBurst(func(b *report.Burst) { b.Peak = flight.Peak() })
	k.Record(func(r *report.Scenario) { r.Operations += n })
}

func (k *kit) messages() int {
	return min(max(10*k.N, scenario.MinMessages), scenario.MaxMessages)
}

func (k *kit) throughput(ctx context.Context, t *testing.T) {
	n := k.messages()
	rec := measure.NewRecorder(n + senders)
	k.UnderLoad(func() { k.traffic(ctx, t, "throughput", k.N, n, rec) })
	if k.Failed() {
		return
	}
	rate := rec.Throughput()
	k.Timed("throughput_reach", rate)
	k.Record(func(r *report.Scenario) { r.Operations += n })
	k.RecordBurst(func(b *report.Burst) {
		b.Seconds, b.Throughput, b.Little = float64(rec.Took())/1e9, rate, report.Little(k.N, rate)
		b.Series = rec.Series()
	})
	turn := func(k *kit) func(n int) (float64, bool) {
		return func(n int) (float64, bool) {
			rec := measure.NewRecorder(n + senders)
			k.traffic(ctx, t, "turns", k.namesOf(n), n, rec)
			return rec.Throughput(), !k.Failed()
		}
	}
	if c, ok := k.CompareRate(ctx, "throughput", n, rate, turn(k), turn(k.beside())); ok {
		k.rate = min(c.Subject, c.Control)
		k.Compared("throughput", c)
	}
}

// pace is the rate of the throughput phase; where that was left out, of a shorter
// load.
func (k *kit) pace(ctx context.Context, t *testing.T) float64 {
	if k.rate == 0 {
		n := max(k.messages()/measure.LeastPairs, 1)
		rec := measure.NewRecorder(n + senders)
		k.UnderLoad(func() { k.traffic(ctx, t, "throughput", k.namesOf(n), n, rec) })
		k.rate = rec.Throughput()
	}
	return k.rate
}

// namesOf is how many names go with n messages: as many as in the whole load, in
// proportion.
func (k *kit) namesOf(n int) int {
	return min(max(int(float64(k.N)*float64(n)/float64(k.messages())), 1), k.N)
}

func (k *kit) steady(ctx context.Context, t *testing.T) {
	// Generators that look at the clock for each message offer less than senders
	// that do not: the load is sized by what these can offer.
	pace := k.pace(ctx, t)
	if k.Failed() {
		return
	}
	most, ok := k.offerSteady(ctx, t, k.messages()/4, pace)
	if !ok {
		return
	}
	rate := k.SteadyRate(min(pace, most.Out.Offered))
	turn := func(k *kit) scenario.SteadyLoad {
		return func(ctx context.Context, n int, rate float64) (scenario.SteadyTurn, bool) {
			return k.offerSteady(ctx, t, n, rate)
		}
	}
	k.CompareSteady(ctx, scenario.SteadyCount(k.messages(), rate), rate, turn(k), turn(k.beside()))
}

// offerSteady offers n messages at a rate, and keeps their ledger.
func (k *kit) offerSteady(ctx context.Context, t *testing.T, n int, rate float64) (turn scenario.SteadyTurn, ok bool) {
	names := k.namesOf(n)
	each := max(n/scenario.Generators, 1)
	n = each * scenario.Generators
	r := k.start(t)
	ledger := measure.NewLedger(n, each, names)
	rec := measure.NewRecorder(n)
	due := make([]int64, n)
	var arrived atomic.Int64
	table, ok := k.register(r, "name", names, func(i int, m Message) {
		ledger.Arrive(m.ID, i, m.intact())
		if m.ID < uint64(n) {
			rec.Done(int(m.ID), due[m.ID])
		}
		arrived.Add(1)
	})
	if !ok {
		return
	}
	full := r.Errors().Full
	turn.Out = load.Steady(ctx, load.Plan{Rate: rate, Count: n, Arrivals: k.Settings().Arrivals, Seed: k.Seed,
		Generators: scenario.Generators, Inline: true},
		func(began time.Time, _ *load.InFlight) {
			k.Follow(n, wait.Counter(&arrived), nil)
			rec.Begin(began)
		},
		func(i int, at int64) {
			// Generators take turns; a sender's messages are numbered in a row.
			id := i%scenario.Generators*each + i/scenario.Generators
			due[id] = at
			to := (id / inARow * 7919) % names
			k.send(ctx, r, full, ledger, uint64(id), to, table[to])
		})
	k.settle(ctx, &arrived, n, wait.Pause)
	k.close(r)
	k.book("steady", ledger.Audit(true))
	turn.Rec = rec
	return turn, !k.Failed()
}

// loads are those by which the router is taken beyond the scenario.
func (k *kit) loads(t *testing.T) scenario.Loads {
	return scenario.Loads{
		Burst: func(ctx context.Context, n int) (float64, error) {
			rec := measure.NewRecorder(n + senders)
			k.traffic(ctx, t, "scaling", n, n, rec)
			return rec.Throughput(), ctx.Err()
		},
		Steady: func(ctx context.Context, n int, rate float64) (load.Open, measure.Latency, error) {
			turn, ok := k.offerSteady(ctx, t, n, rate)
			if !ok {
				return turn.Out, measure.Latency{}, errors.Join(ctx.Err(), errors.New("messages were not handled as they should"))
			}
			return turn.Out, turn.Rec.Latency(), nil
		},
	}
}

// churn unregisters and registers a tenth of the names while all of them get
// messages: those are delivered or refused, and the rest notice nothing.
func (k *kit) churn(ctx context.Context, t *testing.T) {
	names := max(k.N, 10)
	n := k.messages() / 2
	each := n / senders
	n = each * senders
	r := k.start(t)
	e := r.Errors()
	kept, churned := measure.NewLedger(n, each, names), measure.NewLedger(n, each, names)
	var arrived atomic.Int64
	table := make([]string, names)
	changes := func(to int) bool { return to%10 == 0 }
	handler := func(i int) func(Message) {
		l := kept
		if changes(i) {
			l = churned
		}
		return func(m Message) {
			l.Arrive(m.ID, i, m.intact())
			arrived.Add(1)
		}
	}
	for i := range table {
		table[i] = fmt.Sprintf("name-%d", i)
		if !k.must(r.Register(table[i], handler(i)), "Register") {
			return
		}
	}
	k.Follow(n, wait.Counter(&arrived), nil)
	var taken atomic.Int64
	var all, churner sync.WaitGroup
	stop := make(chan struct{})
	churner.Go(func() {
		for i := 0; ; i = (i + 10) % names {
			select {
			case <-stop:
				return
			default:
			}
			if !changes(i) {
				i = 0
			}
			if !k.must(r.Unregister(table[i]), "Unregister during churn") ||
				!k.must(r.Register(table[i], handler(i)), "Register during churn") {
				return
			}
		}
	})
	for s := range senders {
		all.Go(func() {
			for i := range each {
				id := s*each + i
				to := (id / inARow * 7919) % names
				if !changes(to) {
					if !k.send(ctx, r, e.Full, kept, uint64(id), to, table[to]) {
						k.Violate("churn", "name %s, which was not unregistered, refused message %d", table[to], id)
						return
					}
					taken.Add(1)
					continue
				}
				churned.Send(uint64(id), to)
				if err := r.Send(table[to], message(uint64(id))); err == nil {
					taken.Add(1)
				} else if churned.Refused(uint64(id)); !errors.Is(err, e.Unknown) && !errors.Is(err, e.Full) {
					k.Fault("during churn Send returned %v", err)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	churner.Wait()
	k.settle(ctx, &arrived, int(taken.Load()), wait.Pause)
	k.close(r)
	rest := kept.Audit(true)
	if !rest.Clean() {
		k.Violate("churn", "names that were not unregistered: %s", rest)
	}
	k.Book("churn, names kept", rest)
	// A name that comes back is another: order holds only within each life.
	k.Book("churn, names changed", churned.Audit(false))
	k.Record(func(r *report.Scenario) { r.Operations += n })
}
