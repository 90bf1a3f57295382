package stress

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Router is what the routing scenario drives.
type Router interface {
	// Register gives a name the handler that is called with its messages, one
	// at a time and in order for each sender.
	Register(name string, handle func(Message)) error
	Unregister(name string) error
	// Send returns nil once it has taken the message, which is then delivered
	// exactly once; with any error it is not delivered.
	Send(name string, m Message) error
	// Close returns when everything taken was delivered.
	Close() error
	// Errors are those that the other methods return, for errors.Is.
	Errors() RouterErrors
}

// RouterErrors are the distinct errors of a Router.
type RouterErrors struct{ Unknown, Taken, Full, Closed error }

// RouterConfig is what the kit asks of a router.
type RouterConfig struct {
	Mailbox int // messages that a name holds before Send returns Full
}

// Message is what is routed. Sum follows from ID, so that damage shows.
type Message struct{ ID, Sum uint64 }

func message(id uint64) Message { return Message{id, id*0x9E3779B97F4A7C15 + 1} }

func (m Message) intact() bool { return m == message(m.ID) }

// The shape of the scenario.
const (
	mailbox     = 1024
	heldPerName = 1000 // messages on the way to each held name; below mailbox
	senders     = 8
	generators  = 2 // of the steady run: one alone can not offer millions a second
	inARow      = 4 // messages to one name before the next: so a swap shows
	// minMessages lets a fault that strikes once in 100,000 messages strike,
	// whatever N is.
	minMessages, maxMessages = 250_000, 1_000_000
)

// TestRouter takes the routers that open returns through the routing scenario.
func TestRouter(t *testing.T, open func(testing.TB, RouterConfig) Router) {
	k := &routerKit{scenario: begin(t, validate.Routing), open: open}
	ok := k.phase("errors", k.errors)
	ok = k.phase("order", k.order) && ok
	ok = k.phase("unregister", k.unregister) && ok
	ok = k.phase("panic", k.panics) && ok
	if ok {
		ok = k.phase("idle", k.idle)
		ok = ok && k.phase("in flight", k.inFlight)
		ok = ok && k.phase("throughput", k.throughput)
		ok = ok && k.phase("steady", k.steady)
		if ok && k.phase("churn", k.churn) {
			k.explored(t)
		}
	} else {
		k.note("No load was offered, as correctness failed at small contention.")
	}
	k.judge()
	if !k.aborted {
		k.audit(0)
	}
}

type routerKit struct {
	*scenario
	open    func(testing.TB, RouterConfig) Router
	account measure.Account
	rate    float64
}

func (k *routerKit) start(t testing.TB) Router {
	r := k.open(t, RouterConfig{Mailbox: mailbox})
	k.mu.Lock()
	k.result.Subject = typeName(r)
	k.mu.Unlock()
	return r
}

func (k *routerKit) close(r Router) {
	if err := r.Close(); err != nil {
		k.fail("routing: Close returned %v", err)
	}
}

// must fails the scenario with what was tried if err is not nil.
func (k *routerKit) must(err error, what string) bool {
	if err != nil {
		k.fail("routing: %s returned %v", what, err)
	}
	return err == nil
}

// register gives n names handlers that are told which of them they are for, and
// returns the names.
func (k *routerKit) register(r Router, prefix string, n int, handle func(i int, m Message)) (table []string, ok bool) {
	table = make([]string, n)
	for i := range table {
		table[i] = fmt.Sprintf("%s-%d", prefix, i)
		if !k.must(r.Register(table[i], func(m Message) { handle(i, m) }), "Register") {
			return nil, false
		}
	}
	return table, true
}

// book adds what a ledger says, and names what is wrong.
func (k *routerKit) book(phase string, a measure.Account) {
	k.account = k.account.Add(a)
	if !a.Clean() {
		k.fail("routing, %s: %s", phase, a)
	}
}

// judge measures the criteria that all phases add to.
func (k *routerKit) judge() {
	a := k.account
	if a.Sent == 0 {
		return
	}
	k.mu.Lock()
	k.result.Ledger = &a
	k.mu.Unlock()
	k.measured("delivery", 100*float64(a.Delivered)/float64(a.Sent-a.Refused))
	for id, n := range map[string]int{"lost": a.Lost, "duplicated": a.Duplicated, "reordered": a.Reordered,
		"corrupted": a.Corrupted, "misrouted": a.Misrouted, "phantom": a.Phantom} {
		k.measured(id, float64(n))
	}
}

func (k *routerKit) errors(ctx context.Context, t *testing.T) {
	r := k.start(t)
	e := r.Errors()
	expect := func(what string, got, want error) {
		if !errors.Is(got, want) {
			k.violate("errors", "%s gave %v, accepted is %v", what, got, want)
		}
		for _, other := range []error{e.Unknown, e.Taken, e.Full, e.Closed} {
			if other != want && errors.Is(got, other) {
				k.violate("errors", "%s gave %v, which is %v as well: they are not distinct", what, got, other)
			}
		}
	}
	entered, hold := make(chan struct{}, 1), make(chan struct{})
	expect("Send to an unknown name", r.Send("nobody", message(0)), e.Unknown)
	expect("Unregister of an unknown name", r.Unregister("nobody"), e.Unknown)
	if !k.must(r.Register("a", func(Message) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-hold
	}), "Register") {
		return
	}
	expect("Register of a taken name", r.Register("a", func(Message) {}), e.Taken)
	var err error
	for i := 0; err == nil && i <= 2*mailbox; i++ {
		err = r.Send("a", message(uint64(i)))
	}
	expect("Send to a full mailbox", err, e.Full)
	close(hold)
	k.close(r)
	expect("Send after Close", r.Send("a", message(0)), e.Closed)
	expect("Register after Close", r.Register("b", func(Message) {}), e.Closed)
	k.shown("errors")
}

// send hands message id to the router until it is taken; a full mailbox is
// tried again. It returns false if ctx ended, or the error is another one.
func (k *routerKit) send(ctx context.Context, r Router, full error, l *measure.Ledger, id uint64, to int, name string) bool {
	l.Send(id, to)
	for tries := 0; ; tries++ {
		err := r.Send(name, message(id))
		if err == nil {
			return true
		}
		if !errors.Is(err, full) || tries%1024 == 1023 && ctx.Err() != nil {
			l.Refused(id)
			k.fail("routing: Send of message %d to %s returned %v", id, name, err)
			return false
		}
		runtime.Gosched()
	}
}

// count reads a counter as a number of operations.
func count(c *atomic.Int64) func() int { return func() int { return int(c.Load()) } }

// pauseBound is the patience of settle where Close comes next, which waits for
// what is still on the way.
const pauseBound = 250 * time.Millisecond

// settle waits until count has reached n, or nothing more has come for as long
// as patience.
func (k *routerKit) settle(ctx context.Context, count *atomic.Int64, n int, patience time.Duration) {
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	last, since := int64(-1), time.Now()
	for {
		now := count.Load()
		if now != last {
			last, since = now, time.Now()
		}
		if now >= int64(n) || ctx.Err() != nil || time.Since(since) > patience {
			return
		}
		<-pause.C
	}
}

// order sends from several senders to one name.
func (k *routerKit) order(ctx context.Context, t *testing.T) {
	const each = 5000
	k.traffic(ctx, t, "order", 1, senders*each, nil)
}

// traffic sends n messages in all to names and audits them. rec, if not nil,
// takes the time at which each was delivered.
func (k *routerKit) traffic(ctx context.Context, t *testing.T, phase string, names, n int, rec *measure.Recorder) {
	r := k.start(t)
	full := r.Errors().Full
	each := (n + senders - 1) / senders
	n = each * senders
	l := measure.NewLedger(n, each, names)
	var arrived atomic.Int64
	table, ok := k.register(r, "name", names, func(i int, m Message) {
		l.Arrive(m.ID, i, m.intact())
		if rec != nil && m.ID < uint64(n) {
			rec.Done(int(m.ID), 0)
		}
		arrived.Add(1)
	})
	if !ok {
		return
	}
	k.follow(n, count(&arrived), nil)
	if rec != nil {
		rec.Begin(time.Now())
	}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				id := s*each + i
				to := (id / inARow * 7919) % names
				if !k.send(ctx, r, full, l, uint64(id), to, table[to]) {
					return
				}
			}
		})
	}
	all.Wait()
	if rec != nil {
		k.settle(ctx, &arrived, n, pauseBound)
	}
	k.close(r) // and that alone must deliver what is on the way
	k.book(phase, l.Audit(true))
}

// unregister takes a name out while messages are on the way to it.
func (k *routerKit) unregister(ctx context.Context, t *testing.T) {
	const n = 100
	r := k.start(t)
	l := measure.NewLedger(n, n, 1)
	hold := make(chan struct{})
	var arrived atomic.Int64
	if !k.must(r.Register("leaving", func(m Message) {
		<-hold
		l.Arrive(m.ID, 0, m.intact())
		arrived.Add(1)
	}), "Register") {
		return
	}
	for id := range uint64(n) {
		l.Send(id, 0)
		if err := r.Send("leaving", message(id)); err != nil {
			l.Refused(id)
		}
	}
	gone := make(chan error, 1)
	id := make(chan string, 1)
	go func() {
		id <- goroutineID()
		gone <- r.Unregister("leaving") // may wait for what is on the way
	}()
	parked(ctx, <-id)
	close(hold)
	k.must(<-gone, "Unregister")
	k.settle(ctx, &arrived, n, pauseBound)
	k.close(r)
	a := l.Audit(true)
	if a.Lost > 0 {
		k.violate("unregister", "%d of %d messages on the way at unregister were neither delivered nor refused", a.Lost, a.Sent)
	}
	k.book("unregister", a)
	k.shown("unregister")
}

// panicValue says in a crash what it is, should a router let it through.
const panicValue = "tensile: deliberate panic of a handler, which a router must isolate"

// panics has one handler panic and sends to all the others.
func (k *routerKit) panics(ctx context.Context, t *testing.T) {
	const names = 1000
	r := k.start(t)
	l := measure.NewLedger(names, names, names)
	var arrived atomic.Int64
	table, ok := k.register(r, "bystander", names, func(i int, m Message) {
		l.Arrive(m.ID, i, m.intact())
		arrived.Add(1)
	})
	if !ok {
		return
	}
	panicked := make(chan struct{}, 1)
	if !k.must(r.Register("panics", func(Message) {
		panicked <- struct{}{}
		panic(panicValue)
	}), "Register") || !k.must(r.Send("panics", message(0)), "Send") {
		return
	}
	select {
	case <-panicked:
	case <-ctx.Done():
	}
	for i, name := range table {
		l.Send(uint64(i), i)
		if err := r.Send(name, message(uint64(i))); err != nil {
			l.Refused(uint64(i))
			k.violate("panic", "after another handler had panicked Send to %s returned %v", name, err)
		}
	}
	k.settle(ctx, &arrived, names, settleBound)
	a := l.Audit(true)
	if a.Lost > 0 {
		k.violate("panic", "after one handler had panicked %d of %d other names got nothing", a.Lost, names)
		k.aborted = true // Close would wait for what never comes
	} else {
		k.close(r)
	}
	k.book("panic", a)
	k.shown("panic")
}

// idle measures what N names cost that have nothing to do.
func (k *routerKit) idle(ctx context.Context, t *testing.T) {
	table := make([]string, k.n)
	for i := range table {
		table[i] = fmt.Sprintf("idle-%d", i)
	}
	r := k.start(t)
	handle := func(Message) {}
	goroutines, heap := runtime.NumGoroutine(), liveMemory()
	for _, name := range table {
		if !k.must(r.Register(name, handle), "Register") {
			return
		}
	}
	k.measured("idle_bytes", float64(liveMemory()-heap)/float64(len(table)))
	k.measured("idle_goroutines", float64(runtime.NumGoroutine()-goroutines)/float64(len(table)))
	k.close(r)
	runtime.KeepAlive(table) // it is the kit's, and must not be collected meanwhile
}

// liveMemory is heap and stacks in bytes, without garbage.
func liveMemory() int64 {
	runtime.GC()
	m := measure.ReadMemory()
	return m.Heap + m.Stacks
}

// inFlight has N messages taken and none handled, to names whose handlers are
// held.
func (k *routerKit) inFlight(ctx context.Context, t *testing.T) {
	n := k.n
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
	k.settle(ctx, &arrived, n, pauseBound)
	k.close(r)
	k.book("in flight", l.Audit(true))
	k.measured("in_flight", float64(flight.Peak()))
	k.mu.Lock()
	k.result.Operations += n
	k.result.Burst = &report.Burst{N: n, Peak: flight.Peak()}
	k.mu.Unlock()
}

func (k *routerKit) messages() int { return min(max(10*k.n, minMessages), maxMessages) }

func (k *routerKit) throughput(ctx context.Context, t *testing.T) {
	n := k.messages()
	rec := measure.NewRecorder(n + senders)
	k.underLoad(func() { k.traffic(ctx, t, "throughput", k.n, n, rec) })
	k.rate = rec.Throughput()
	k.timed("throughput", k.rate)
	k.timed("throughput_reach", k.rate)
	k.mu.Lock()
	k.result.Operations += n
	b := k.result.Burst
	b.Seconds, b.Throughput, b.Little = float64(rec.Took())/1e9, k.rate, report.Little(k.n, k.rate)
	b.Series = rec.Series()
	k.mu.Unlock()
}

func (k *routerKit) steady(ctx context.Context, t *testing.T) {
	rate := k.steadyRate(k.rate)
	out, latency, series, ok := k.offerSteady(ctx, t, steadyCount(k.messages(), rate), rate)
	if !ok || k.saturated(out) {
		return
	}
	k.steadyResult(out, latency, series)
	k.delayed("mean", latency.Mean)
}

// offerSteady offers n messages at a rate, and keeps their ledger.
func (k *routerKit) offerSteady(ctx context.Context, t *testing.T, n int, rate float64) (out load.Open, l measure.Latency, series []measure.Bin, ok bool) {
	each, names := n/generators, k.n
	n = each * generators
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
	k.underLoad(func() {
		out = load.Steady(ctx, load.Plan{Rate: rate, Count: n, Arrivals: k.run.settings.Arrivals, Seed: k.seed, Generators: generators, Inline: true},
			func(began time.Time, _ *load.InFlight) {
				k.follow(n, count(&arrived), nil)
				rec.Begin(began)
			},
			func(i int, at int64) {
				// Generators take turns; a sender's messages are numbered in a row.
				id := i%generators*each + i/generators
				due[id] = at
				to := (id / inARow * 7919) % names
				k.send(ctx, r, full, ledger, uint64(id), to, table[to])
			})
		k.settle(ctx, &arrived, n, pauseBound)
	})
	k.close(r)
	k.book("steady", ledger.Audit(true))
	return out, rec.Latency(), rec.Series(), true
}

// explored lets the router be taken beyond the scenario.
func (k *routerKit) explored(t *testing.T) {
	k.explore(k.rate, probes{
		burst: func(ctx context.Context, n int) (float64, error) {
			rec := measure.NewRecorder(n + senders)
			k.traffic(ctx, t, "scaling", n, n, rec)
			return rec.Throughput(), ctx.Err()
		},
		steady: func(ctx context.Context, n int, rate float64) (load.Open, measure.Latency, error) {
			out, l, _, _ := k.offerSteady(ctx, t, n, rate)
			return out, l, ctx.Err()
		},
	})
}

// churn unregisters and registers a tenth of the names while all of them get
// messages: those are delivered or refused, and the rest notice nothing.
func (k *routerKit) churn(ctx context.Context, t *testing.T) {
	names := max(k.n, 10)
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
	k.follow(n, count(&arrived), nil)
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
			if !k.must(r.Unregister(table[i]), "Unregister during churn") || !k.must(r.Register(table[i], handler(i)), "Register during churn") {
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
						k.violate("churn", "name %s, which was not unregistered, refused message %d", table[to], id)
						return
					}
					taken.Add(1)
					continue
				}
				churned.Send(uint64(id), to)
				if err := r.Send(table[to], message(uint64(id))); err == nil {
					taken.Add(1)
				} else if churned.Refused(uint64(id)); !errors.Is(err, e.Unknown) && !errors.Is(err, e.Full) {
					k.fail("routing: during churn Send returned %v", err)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	churner.Wait()
	k.settle(ctx, &arrived, int(taken.Load()), pauseBound)
	k.close(r)
	rest := kept.Audit(true)
	if !rest.Clean() {
		k.violate("churn", "names that were not unregistered: %s", rest)
	}
	k.book("churn, names kept", rest)
	// A name that comes back is another: order holds only within each life.
	k.book("churn, names changed", churned.Audit(false))
	k.shown("churn")
	k.mu.Lock()
	k.result.Operations += n
	k.mu.Unlock()
}

// BenchmarkRouter measures messages from parallel senders to 100,000 names.
func BenchmarkRouter(b *testing.B, open func(testing.TB, RouterConfig) Router) {
	r := open(b, RouterConfig{Mailbox: mailbox})
	full := r.Errors().Full
	table := make([]string, validate.BaseScale)
	var handled atomic.Int64
	for i := range table {
		table[i] = fmt.Sprintf("name-%d", i)
		if err := r.Register(table[i], func(Message) { handled.Add(1) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetParallelism(2)
	var sender atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(sender.Add(1)) * 31; pb.Next(); i++ {
			for {
				err := r.Send(table[i*7919%len(table)], message(uint64(i)))
				if err == nil {
					break
				}
				if !errors.Is(err, full) {
					panic(err)
				}
				runtime.Gosched()
			}
		}
	})
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	if int(handled.Load()) != b.N {
		b.Fatalf("%d messages sent, %d handled", b.N, handled.Load())
	}
}
