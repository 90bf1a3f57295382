package pooltest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
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
	// Conn is a connection that Config.Dial returned, or one that has a
	// method NetConn() net.Conn leading to it.
	Conn() net.Conn
	Release() // the connection is fit for the next
	Discard() // the connection is broken and must be closed
}

// EchoLease is a Lease of a connection that speaks a protocol of its own, to a
// server that the subject has dialled with Config.DialTo: the kit then leaves
// the round trip to it.
type EchoLease interface {
	Lease
	// Echo has the server send the request back over the connection that is
	// lent. It returns the context's error once that has ended.
	Echo(ctx context.Context, request []byte) (reply []byte, err error)
}

// Config is what the kit asks of a pool.
type Config struct {
	Size int // connections never exceeded
	// Dial opens a connection. The kit counts there what is open.
	Dial func(context.Context) (net.Conn, error)
	// DialTo is Dial for a pool whose connections lead to a server of its own:
	// its leases must be of EchoLease. Nothing but the loopback is accepted.
	DialTo func(ctx context.Context, network, address string) (net.Conn, error)

	// MaxWaiters is asked of a Bounded: callers that may wait; 0 for no
	// bound.
	MaxWaiters int

	// These are asked of a Limited; zero for no limit. A connection idle
	// for MaxIdleTime, or as old as MaxLifetime, is not lent again. One that
	// was idle for CheckAfter is lent only if Check returns nil; otherwise
	// another takes its place.
	MaxIdleTime time.Duration
	MaxLifetime time.Duration
	Check       func(context.Context, net.Conn) error
	CheckAfter  time.Duration
}

// Bounded is a Pool that honours MaxWaiters; Overflow is the error that a
// caller beyond the bound gets, for errors.Is.
type Bounded interface {
	Pool
	Overflow() error
}

// Limited is a Pool that keeps the limits in time that it names.
type Limited interface {
	Pool
	Limits() Limits
}

// Limits are the limits in time that a pool keeps.
type Limits struct{ Idle, Lifetime, Health bool }

// Unordered is a Pool that does not promise to serve waiters in order.
type Unordered interface {
	Pool
	Unordered()
}

// connsPerPool and poolsAtBase are the shape of the scenario at N = 100,000.
const (
	connsPerPool = 8
	poolsAtBase  = 128
)

// TestPool takes the pools that open returns through the pooling scenario.
func TestPool(t *testing.T, open func(testing.TB, Config) Pool) {
	parts := explorations(open)
	if programs.Alone(t, parts, func(t *testing.T) []string { return lookAt(t, open).packages }) {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Pooling), open: open}
	explored := k.prepare(parts)
	ok := explored.Run(programs.Soon)
	if k.serve() {
		defer func() { _ = k.server.Close() }()
		ok = k.correct() && ok
	}
	ok = explored.Run(programs.Whenever) && ok
	if k.server == nil {
		return
	}
	if ok {
		k.load()
	} else {
		k.Note("No load was offered, because correctness failed with few operations.")
	}
	if !k.Aborted {
		if err := k.server.Close(); err != nil {
			k.Fail("%v", err)
		}
		left := int(k.opened.Load() - k.closed.Load())
		if left > 0 {
			k.Fail("pooling.leaks: %d connections are open after every pool was closed", left)
		}
		k.Audit(left)
	}
}

// serve starts the server that connections lead to.
func (k *kit) serve() bool {
	k.Phase("server", func(context.Context, *testing.T) {
		server, err := echo.Start()
		if err != nil {
			k.Fail("%v", err)
			return
		}
		k.server = server
		k.OnInterrupt(func() { _ = server.Close() })
	})
	return k.server != nil
}

// correct tries each promise by itself, over real connections.
func (k *kit) correct() bool {
	ok := k.Phase("order", k.Within(scenario.Stall, k.order))
	ok = ok && k.LongPhase("line", lineTries*scenario.PhaseBound/2, k.line)
	ok = k.Phase("deadline", k.Within(scenario.Stall, k.deadline)) && ok
	ok = k.Phase("broken", k.Within(scenario.Stall, k.broken)) && ok
	ok = k.Phase("failing dials", k.Within(scenario.Stall, k.failingDials)) && ok
	ok = k.Phase("overflow", k.Within(scenario.Stall, k.overflow)) && ok
	ok = k.Phase("limits", k.Within(scenario.Stall, k.limits)) && ok
	return k.Phase("close", k.Within(scenario.Stall, k.close)) && ok
}

// kit is the scenario with its server and what was counted at the dial.
type kit struct {
	*scenario.Scenario
	open           func(testing.TB, Config) Pool
	server         *echo.Server
	opened, closed atomic.Int64
	plain          bool        // of the control: nobody is told what it is
	elsewhere      atomic.Bool // connections lead to a server of the subject

	mu       sync.Mutex
	diallers []*dialler // of all pools
}

// BenchmarkPool measures acquire, round trip and release with 64 goroutines on
// eight connections.
func BenchmarkPool(b *testing.B, open func(testing.TB, Config) Pool) {
	server, err := echo.Start()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	d := new(net.Dialer)
	p := open(b, Config{Size: connsPerPool, DialTo: d.DialContext, Dial: func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", server.Addr)
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
			err = exchangeFrames(context.Background(), l, &f, &reply)
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
