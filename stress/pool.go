package stress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Pool is what the pooling scenario drives.
type Pool interface {
	// Acquire lends a connection, or returns an error: the context's once that
	// has ended.
	Acquire(context.Context) (Lease, error)
	// Close returns when every connection is home and closed.
	Close() error
}

// Lease is the loan of a connection; it ends with one of Release and Discard.
type Lease interface {
	// Conn is a connection that PoolConfig.Dial returned, or one that has a
	// method NetConn() net.Conn leading to it.
	Conn() net.Conn
	Release() // the connection is fit for the next
	Discard() // the connection is broken and must be closed
}

// PoolConfig is what the kit asks of a pool.
type PoolConfig struct {
	Size       int // connections never exceeded
	MaxWaiters int // callers that may wait; 0 for no bound; only asked of a BoundedPool
	// Dial opens a connection. The kit counts there what is open.
	Dial func(context.Context) (net.Conn, error)
}

// BoundedPool is a Pool that honours MaxWaiters; Overflow is the error that a
// caller beyond the bound gets, for errors.Is.
type BoundedPool interface {
	Pool
	Overflow() error
}

// UnorderedPool is a Pool that does not promise to serve waiters in order.
type UnorderedPool interface {
	Pool
	Unordered()
}

// connsPerPool and poolsAtBase are the shape of the scenario at N = 100,000.
const (
	connsPerPool = 8
	poolsAtBase  = 128
	spareFiles   = 64 // descriptors for everything that is no connection
)

// TestPool takes the pools that open returns through the pooling scenario.
func TestPool(t *testing.T, open func(testing.TB, PoolConfig) Pool) {
	s := begin(t, validate.Pooling)
	k := &poolKit{scenario: s, open: open}
	s.phase("server", func(context.Context, *testing.T) {
		server, err := echo.Start()
		if err != nil {
			s.fail("%v", err)
			return
		}
		k.server = server
		s.onInterrupt(func() { _ = server.Close() })
	})
	if k.server == nil {
		return
	}
	defer func() { _ = k.server.Close() }()
	ok := s.phase("order", k.order)
	ok = s.phase("deadline", k.deadline) && ok
	ok = s.phase("broken", k.broken) && ok
	ok = s.phase("overflow", k.overflow) && ok
	ok = s.phase("close", k.close) && ok
	if ok {
		k.load()
	} else {
		s.note("No load was offered, as correctness failed at small contention.")
	}
	if !s.aborted {
		if err := k.server.Close(); err != nil {
			s.fail("%v", err)
		}
		left := int(k.opened.Load() - k.closed.Load())
		if left > 0 {
			s.fail("pooling.leaks: %d connections are open after every pool was closed", left)
		}
		s.audit(left)
	}
}

// poolKit is the scenario with its server and what was counted at the dial.
type poolKit struct {
	*scenario
	open           func(testing.TB, PoolConfig) Pool
	server         *echo.Server
	opened, closed atomic.Int64
}

// dialler dials for one pool and counts what it has open.
type dialler struct {
	kit  *poolKit
	size int
	open atomic.Int64
}

// conn is a connection as the kit sees it.
type conn struct {
	net.Conn
	dialler   *dialler
	holder    atomic.Int64 // operation + 1 that has it; 0 for none
	discarded atomic.Bool
	gone      atomic.Bool
}

func (d *dialler) dial(ctx context.Context) (net.Conn, error) {
	if n := int(d.open.Add(1)); n > d.size {
		d.kit.violate("bound", "%d connections are open in a pool of size %d", n, d.size)
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", d.kit.server.Addr)
	if err != nil {
		d.open.Add(-1)
		return nil, err
	}
	d.kit.opened.Add(1)
	return &conn{Conn: c, dialler: d}, nil
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	if c.gone.CompareAndSwap(false, true) {
		c.dialler.open.Add(-1)
		c.dialler.kit.closed.Add(1)
	}
	return err
}

// start opens one pool of the subject.
func (k *poolKit) start(t testing.TB, size, maxWaiters int) (Pool, *dialler) {
	d := &dialler{kit: k, size: size}
	p := k.open(t, PoolConfig{Size: size, MaxWaiters: maxWaiters, Dial: d.dial})
	k.mu.Lock()
	k.result.Subject = typeName(p)
	k.mu.Unlock()
	return p, d
}

// hold checks what a lease lends, and marks it as held by operation op.
func (k *poolKit) hold(l Lease, op int) *conn {
	c := unwrap(l.Conn())
	if c == nil {
		k.violate("exclusive", "a lease holds %T, which the kit did not dial", l.Conn())
		return nil
	}
	if other := c.holder.Swap(int64(op) + 1); other != 0 {
		k.violate("exclusive", "operations %d and %d hold the same connection", other-1, op)
	}
	if c.discarded.Load() {
		k.violate("broken", "operation %d was lent a connection that had been discarded as broken", op)
	} else if c.gone.Load() {
		k.violate("broken", "operation %d was lent a connection that is closed", op)
	}
	return c
}

func unwrap(c net.Conn) *conn {
	for range 10 {
		switch at := c.(type) {
		case *conn:
			return at
		case interface{ NetConn() net.Conn }:
			c = at.NetConn()
		default:
			return nil
		}
	}
	return nil
}

func (k *poolKit) release(l Lease, c *conn) {
	if c != nil {
		c.holder.Store(0)
	}
	l.Release()
}

func (k *poolKit) discard(l Lease, c *conn) {
	if c != nil {
		c.discarded.Store(true)
		c.holder.Store(0)
	}
	l.Discard()
}

var errReply = errors.New("reply to another request")

// roundTrip sends the request of operation op and checks its reply.
func (k *poolKit) roundTrip(c net.Conn, op int) error {
	var f, reply echo.Frame
	f.Request(uint64(op))
	if _, err := c.Write(f[:]); err != nil {
		return err
	}
	for at := 0; at < len(reply); {
		n, err := c.Read(reply[at:])
		if err != nil {
			return err
		}
		at += n
	}
	switch id, ok := reply.Answers(); {
	case !ok:
		k.violate("crosstalk", "operation %d got a reply that answers no request", op)
	case id != uint64(op):
		k.violate("crosstalk", "operation %d got the reply to operation %d", op, id)
	default:
		return nil
	}
	return errReply
}

// operate is one operation: acquire, round trip, release.
func (k *poolKit) operate(ctx context.Context, p Pool, op int, held func()) error {
	l, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	c := k.hold(l, op)
	if held != nil {
		held()
	}
	if err := k.roundTrip(l.Conn(), op); err != nil {
		k.discard(l, c)
		return err
	}
	k.release(l, c)
	return nil
}

// load is the burst of N, the steady run, and faults under load.
func (k *poolKit) load() {
	n := k.n
	pools := max(1, poolsAtBase*n/validate.BaseScale)
	if limit := k.run.report.Environment.DescriptorLimit; limit != nil {
		if fit := (int(*limit) - spareFiles) / connsPerPool; fit < 1 {
			k.fail("pooling: the descriptor limit is %d, accepted is %d or more", *limit, spareFiles+connsPerPool)
			return
		} else if fit < pools {
			k.note("Pools cut from %d to %d: the descriptor limit is %d.", pools, fit, *limit)
			pools = fit
		}
	}
	subjects := make([]Pool, pools)
	rate := 0.0
	k.phase("burst", func(ctx context.Context, t *testing.T) {
		for i := range subjects {
			subjects[i], _ = k.start(t, connsPerPool, 0)
		}
		rate = k.burst(ctx, n, subjects)
	})
	if rate > 0 && !k.failed() {
		k.phase("steady", func(ctx context.Context, t *testing.T) { k.steady(ctx, n, rate, subjects) })
	}
	if !k.failed() {
		k.phase("faults", func(ctx context.Context, t *testing.T) { k.faults(ctx, max(n/10, 1), subjects) })
	}
	k.phase("close all", func(context.Context, *testing.T) {
		for _, p := range subjects {
			if p != nil {
				if err := p.Close(); err != nil {
					k.fail("pooling: Close returned %v", err)
				}
			}
		}
	})
	k.shown("bound", "exclusive", "crosstalk")
}

func (k *poolKit) burst(ctx context.Context, n int, subjects []Pool) float64 {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rec := measure.NewRecorder(n)
	done := make(chan struct{})
	var firstErr atomic.Pointer[error]
	var out load.Closed
	before := k.closed.Load()
	k.underLoad(func() {
		out = load.Burst(ctx, n, func(g *load.Gate) {
			k.follow(n, g.Ended, g.Now)
			rec.Begin(time.Now())
			go watchStall(cancel, g.Ended, done)
		}, func(i int, g *load.Gate) {
			defer k.recovered("burst")
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
		close(done)
	})
	if out.Unfinished > 0 {
		k.aborted = true
		k.fail("pooling.served: %d of %d operations never ended: %v", out.Unfinished, n, context.Cause(ctx))
		return 0
	}
	l := rec.Latency()
	if l.Failed > 0 {
		k.fail("pooling.served: %d of %d operations were not served, the first with: %v (%v)", l.Failed, n, *firstErr.Load(), context.Cause(ctx))
	}
	rate := rec.Throughput()
	k.mu.Lock()
	k.result.Operations += n
	k.result.Burst = &report.Burst{N: n, Peak: out.Peak, Seconds: out.Took.Seconds(), Throughput: rate, Latency: &l,
		Little: float64(n) / rate * 1e9}
	k.mu.Unlock()
	k.measured("served", float64(l.Failed))
	k.measured("in_flight", float64(out.Peak))
	k.timed("throughput", rate)
	k.timed("throughput_reach", rate)
	if opened := k.opened.Load(); opened > 0 {
		k.measured("survival", 100*(1-float64(k.closed.Load()-before)/float64(opened)))
	}
	return rate
}

// steadyShare is the part of the measured throughput at which the steady run
// is offered.
const steadyShare = 0.6

func (k *poolKit) steady(ctx context.Context, n int, rate float64, subjects []Pool) {
	rate *= steadyShare
	if k.run.settings.Rate > 0 {
		rate = k.run.settings.Rate
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rec := measure.NewRecorder(n)
	done := make(chan struct{})
	var firstErr atomic.Pointer[error]
	var out load.Open
	k.underLoad(func() {
		out = load.Steady(ctx, load.Plan{Rate: rate, Count: n, Arrivals: k.run.settings.Arrivals, Seed: k.seed},
			func(began time.Time, f *load.InFlight) {
				k.follow(n, f.Ended, f.Now)
				rec.Begin(began)
				go watchStall(cancel, f.Ended, done)
			}, func(i int, due int64) {
				defer k.recovered("steady")
				if err := k.operate(ctx, subjects[i%len(subjects)], i, nil); err != nil {
					rec.Failed(i)
					firstErr.CompareAndSwap(nil, &err)
					return
				}
				rec.Done(i, due)
			})
		close(done)
	})
	if out.Unfinished > 0 {
		k.aborted = true
		k.fail("pooling: %d of %d steady operations never ended: %v", out.Unfinished, n, context.Cause(ctx))
		return
	}
	l := rec.Latency()
	if l.Failed > 0 {
		k.fail("pooling: %d of %d steady operations failed, the first with: %v", l.Failed, n, *firstErr.Load())
	}
	if out.Saturated() {
		k.fail("pooling: generator saturated: it offered %.0f of %.0f ops/s; nothing is said of the subject", out.Offered, out.Asked)
		return
	}
	k.steadyResult(k.run.settings.Arrivals.String(), out, l, rec.Series())
}

// steadyResult keeps an open load and judges its latencies.
func (s *scenario) steadyResult(arrivals string, out load.Open, l measure.Latency, series []measure.Second) {
	s.mu.Lock()
	s.result.Operations += out.N
	s.result.Steady = &report.Steady{Arrivals: arrivals, Asked: out.Asked, Offered: out.Offered, N: out.N, Peak: out.Peak,
		Seconds: out.Took.Seconds(), Latency: l, LateP50: out.LateP50, LateP99: out.LateP99, LateMax: out.LateMax, Series: series}
	s.mu.Unlock()
	s.timed("p50", float64(l.P50)/1e6)
	s.timed("p95", float64(l.P95)/1e6)
	s.timed("p99", float64(l.P99)/1e6)
}

// faults cuts connections under load: who meets one gets an error and nobody a
// wrong reply, and afterwards every pool is whole.
func (k *poolKit) faults(ctx context.Context, n int, subjects []Pool) {
	cut, err := k.server.Cut(max(len(subjects)*connsPerPool/20, 1), k.seed)
	if err != nil {
		k.fail("%v", err)
		return
	}
	var failed atomic.Int64
	out := load.Burst(ctx, n, nil, func(i int, _ *load.Gate) {
		defer k.recovered("faults")
		if k.operate(ctx, subjects[i%len(subjects)], i, nil) != nil {
			failed.Add(1)
		}
	})
	if out.Unfinished > 0 {
		k.aborted = true
		k.fail("pooling: %d of %d operations never ended after %d connections were cut", out.Unfinished, n, cut)
		return
	}
	if int(failed.Load()) > cut {
		k.violate("broken", "%d connections were cut and %d operations failed: a broken connection was lent again", cut, failed.Load())
	}
	for _, p := range subjects {
		k.capacity(ctx, p, connsPerPool, "broken")
	}
	k.shown("broken")
}

// capacity checks that a pool still lends all of its connections at once.
func (k *poolKit) capacity(ctx context.Context, p Pool, size int, criterion string) {
	ctx, cancel := context.WithTimeout(ctx, settleBound)
	defer cancel()
	leases := make([]Lease, 0, size)
	conns := make([]*conn, 0, size)
	for i := range size {
		l, err := p.Acquire(ctx)
		if err != nil {
			k.violate(criterion, "a pool of %d lends only %d: capacity has leaked (%v)", size, i, err)
			break
		}
		leases, conns = append(leases, l), append(conns, k.hold(l, i))
	}
	for i, l := range leases {
		k.release(l, conns[i])
	}
}

// order: one connection, waiters that come one after the other.
func (k *poolKit) order(ctx context.Context, t *testing.T) {
	p, _ := k.start(t, 1, 0)
	_, unordered := p.(UnorderedPool)
	const waiters = 32
	first, err := p.Acquire(ctx)
	if err != nil {
		k.fail("pooling: Acquire of a fresh pool returned %v", err)
		return
	}
	c := k.hold(first, 0)
	served := make(chan int, waiters)
	var all sync.WaitGroup
	for i := range waiters {
		id := make(chan string, 1)
		all.Go(func() {
			id <- goroutineID()
			l, err := p.Acquire(ctx)
			if err != nil {
				k.violate("served", "waiter %d got %v", i, err)
				return
			}
			c := k.hold(l, i)
			served <- i
			if k.roundTrip(l.Conn(), i) != nil {
				k.discard(l, c)
				return
			}
			k.release(l, c)
		})
		if !parked(ctx, <-id) {
			k.fail("pooling: waiter %d does not come to rest", i)
			break
		}
	}
	k.release(first, c)
	all.Wait()
	close(served)
	next := 0
	for i := range served {
		if i != next && !unordered {
			k.violate("order", "waiter %d was served before waiter %d, which had come earlier", i, next)
			break
		}
		next++
	}
	if err := p.Close(); err != nil {
		k.fail("pooling: Close returned %v", err)
	}
	if unordered {
		k.notOffered("order", "the subject does not promise an order")
	} else {
		k.shown("order")
	}
}

// deadline: waiters whose context ends, also in the instant in which they are
// served, get an error and take nothing with them.
func (k *poolKit) deadline(ctx context.Context, t *testing.T) {
	const size, rounds, waiters = 2, 200, 8
	p, _ := k.start(t, size, 0)
	for range rounds {
		leases := make([]Lease, 0, size)
		conns := make([]*conn, 0, size)
		for i := range size {
			short, stop := context.WithTimeout(ctx, settleBound)
			l, err := p.Acquire(short)
			stop()
			if err != nil {
				k.violate("deadline", "after waiters gave up a pool of %d lends only %d: capacity has leaked (%v)", size, i, err)
				return
			}
			leases, conns = append(leases, l), append(conns, k.hold(l, i))
		}
		waiting, giveUp := context.WithCancel(ctx)
		var all, begun sync.WaitGroup
		begun.Add(waiters)
		for i := range waiters {
			all.Go(func() {
				begun.Done()
				if l, err := p.Acquire(waiting); err == nil {
					k.release(l, k.hold(l, size+i))
				} else if waiting.Err() == nil {
					k.violate("deadline", "a waiter whose context had not ended got %v", err)
				}
			})
		}
		begun.Wait()
		go giveUp()
		for i, l := range leases {
			k.release(l, conns[i])
		}
		all.Wait()
		giveUp()
	}
	// Nothing is released here: all must give up by their own context.
	l, err := p.Acquire(ctx)
	l2, err2 := p.Acquire(ctx)
	if err := errors.Join(err, err2); err != nil {
		k.violate("deadline", "Acquire returned %v", err)
		return
	}
	ended, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	if extra, err := p.Acquire(ended); err == nil {
		k.violate("bound", "a pool of %d lent one more", size)
		extra.Release()
	} else if !errors.Is(err, context.DeadlineExceeded) {
		k.violate("deadline", "a deadline while waiting gave %v, accepted is context.DeadlineExceeded", err)
	}
	l.Release()
	l2.Release()
	k.capacity(ctx, p, size, "deadline")
	if err := p.Close(); err != nil {
		k.fail("pooling: Close returned %v", err)
	}
	k.shown("deadline")
}

// broken: a connection cut by the server gives its holder an error, is
// discarded, and is never lent again.
func (k *poolKit) broken(ctx context.Context, t *testing.T) {
	const size = 4
	p, _ := k.start(t, size, 0)
	k.capacity(ctx, p, size, "broken")
	cut, err := k.server.Cut(size, k.seed)
	if err != nil {
		k.fail("%v", err)
		return
	}
	errs := 0
	for op := range 4 * size {
		if k.operate(ctx, p, op, nil) != nil {
			errs++
		}
	}
	if errs > cut {
		k.violate("broken", "%d connections were cut and %d operations failed: a broken connection was lent again", cut, errs)
	}
	k.capacity(ctx, p, size, "broken")
	if err := p.Close(); err != nil {
		k.fail("pooling: Close returned %v", err)
	}
	k.shown("broken")
}

// overflow: callers beyond the bound get the overflow error.
func (k *poolKit) overflow(ctx context.Context, t *testing.T) {
	const bound = 3
	p, _ := k.start(t, 1, bound)
	defer func() { _ = p.Close() }()
	b, ok := p.(BoundedPool)
	if !ok {
		k.notOffered("overflow", "the subject does not bound its waiters")
		return
	}
	l, err := p.Acquire(ctx)
	if err != nil {
		k.fail("pooling: Acquire returned %v", err)
		return
	}
	var all sync.WaitGroup
	for range bound {
		id := make(chan string, 1)
		all.Go(func() {
			id <- goroutineID()
			if l, err := p.Acquire(ctx); err == nil {
				l.Release()
			} else {
				k.violate("overflow", "a waiter within the bound of %d got %v", bound, err)
			}
		})
		parked(ctx, <-id)
	}
	short, stop := context.WithTimeout(ctx, settleBound)
	defer stop()
	if extra, err := p.Acquire(short); err == nil {
		k.violate("overflow", "waiter %d was served, accepted is %d", bound+1, bound)
		extra.Release()
	} else if !errors.Is(err, b.Overflow()) {
		k.violate("overflow", "waiter %d got %q, accepted is %q", bound+1, err, b.Overflow())
	}
	l.Release()
	all.Wait()
	k.shown("overflow")
}

// close: Close waits for what is lent out, refuses later callers and closes
// every connection.
func (k *poolKit) close(ctx context.Context, t *testing.T) {
	p, d := k.start(t, 2, 0)
	l, err := p.Acquire(ctx)
	if err != nil {
		k.fail("pooling: Acquire returned %v", err)
		return
	}
	ended := make(chan error, 1)
	id := make(chan string, 1)
	go func() {
		id <- goroutineID()
		ended <- p.Close()
	}()
	parked(ctx, <-id)
	select {
	case <-ended:
		k.violate("close", "Close returned while a connection was lent out")
		ended <- nil
	default:
	}
	l.Release()
	select {
	case err := <-ended:
		if err != nil {
			k.violate("close", "Close returned %v", err)
		}
	case <-time.After(settleBound):
		k.violate("close", "Close has not returned %v after the last connection came home", settleBound)
		return
	}
	short, stop := context.WithTimeout(ctx, settleBound)
	defer stop()
	if l, err := p.Acquire(short); err == nil {
		k.violate("close", "Acquire succeeded after Close")
		l.Release()
	} else if errors.Is(err, context.DeadlineExceeded) {
		k.violate("close", "Acquire after Close waits instead of returning an error")
	}
	if n := d.open.Load(); n != 0 {
		k.violate("close", "%d connections are open after Close", n)
	}
	k.shown("close")
}

// BenchmarkPool measures acquire, round trip and release with 64 goroutines on
// eight connections.
func BenchmarkPool(b *testing.B, open func(testing.TB, PoolConfig) Pool) {
	server, err := echo.Start()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	p := open(b, PoolConfig{Size: connsPerPool, Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Addr)
	}})
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		var f, reply echo.Frame
		for op := uint64(0); pb.Next(); op++ {
			l, err := p.Acquire(context.Background())
			if err != nil {
				panic(fmt.Sprintf("Acquire: %v", err))
			}
			f.Request(op)
			_, err = l.Conn().Write(f[:])
			for at := 0; err == nil && at < len(reply); {
				var n int
				n, err = l.Conn().Read(reply[at:])
				at += n
			}
			if id, ok := reply.Answers(); err != nil || !ok || id != op {
				panic(fmt.Sprintf("operation %d: reply to %d, error %v", op, id, err))
			}
			l.Release()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
}
