package pooltest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/validate"
)

// Pool is the subject of the pooling scenario. Its methods are called concurrently. What
// it holds at most is judged, without what the kit does: see docs/criteria.md, "Memory of
// the subject".
type Pool interface {
	// Acquire lends a connection. Once the context has ended, it returns the
	// error of the context. Waiters are served in the order in which they came,
	// unless the pool is Unordered.
	Acquire(context.Context) (Lease, error)
	// Close returns once every connection has been returned and closed. Acquire
	// then returns an error.
	Close() error
}

// Lease is the loan of a connection. It ends with either Release or Discard.
type Lease interface {
	// Conn returns a connection that Config.Dial returned, or a wrapper with a
	// method NetConn() net.Conn that leads to it.
	Conn() net.Conn
	Release() // the connection can be lent again
	Discard() // the connection is broken and must be closed
}

// EchoLease is a Lease of a connection that speaks a protocol of its own, to a
// server that the subject has dialled with Config.DialTo. The kit then calls Echo
// instead of using the connection itself.
type EchoLease interface {
	Lease
	// Echo makes the server send the request back over the lent connection. Once
	// the context has ended, it returns the error of the context.
	Echo(ctx context.Context, request []byte) (reply []byte, err error)
}

// Config describes the pool that the kit needs.
type Config struct {
	Size int // the pool never has more connections
	// Dial opens a connection. The kit counts open connections there.
	Dial func(context.Context) (net.Conn, error)
	// DialTo is Dial for a pool whose connections lead to a server of its own. Its
	// leases must implement EchoLease. The address must be on the loopback interface.
	DialTo func(ctx context.Context, network, address string) (net.Conn, error)

	// MaxWaiters is for a Bounded: at most this many callers may wait; 0 means no
	// bound.
	MaxWaiters int

	// These are for a Limited; zero means no limit. A connection that was idle for
	// MaxIdleTime, or is as old as MaxLifetime, is not lent again. A connection that
	// was idle for CheckAfter is lent only if Check returns nil; otherwise another
	// takes its place.
	MaxIdleTime time.Duration
	MaxLifetime time.Duration
	Check       func(context.Context, net.Conn) error
	CheckAfter  time.Duration
}

// Bounded is a Pool that honours MaxWaiters. A caller beyond the bound gets an error
// that matches Overflow by errors.Is, and does not wait.
type Bounded interface {
	Pool
	Overflow() error
}

// Limited is a Pool that keeps the time limits that Limits names.
type Limited interface {
	Pool
	Limits() Limits
}

// Limits says which time limits a pool keeps.
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

// TestPool tests the pools that open returns in the pooling scenario.
func TestPool(t *testing.T, open func(testing.TB, Config) Pool) {
	parts := explorations(open)
	if programs.Alone(t, parts, func(t *testing.T) []string { return lookAt(t, open).packages }) {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Pooling), open: open}
	explored := k.prepare(parts)
	soon := scenario.Stall
	k.Take(
		explored.Soon(),
		phase{Name: "order", Body: k.order, Shows: "order served", Within: soon},
		phase{Name: "line", Body: k.line, Shows: "order served" + lent, Sound: true,
			Bound: lineTries * scenario.PhaseBound / 2},
		phase{Name: "deadline", Body: k.deadline, Shows: "deadline" + lent, Within: soon},
		phase{Name: "broken", Body: k.broken, Shows: "broken served", Within: soon},
		phase{Name: "failing dials", Body: k.failingDials, Shows: "served deadline", Within: soon},
		phase{Name: "overflow", Body: k.overflow, Shows: "overflow", Within: soon},
		phase{Name: "limits", Body: k.limits, Shows: "idle lifetime health", Within: soon},
		phase{Name: "close", Body: k.close, Shows: "close", Within: soon},
		explored.Whenever(),
		phase{Name: "kept", Body: k.kept, Shows: "kept deadline", Sound: true},
		phase{Name: "burst", Body: k.burst, Shows: "served in_flight throughput slowness survival" + lent, Sound: true},
		phase{Name: "steady", Body: k.steady, Shows: "served p50 p95 p99 slowness" + lent, Sound: true},
		phase{Name: "faults", Body: k.faults, Shows: "broken served" + lent, Sound: true},
	)
	k.Take(k.Limits(k.throughput, k.loads)...)
	k.Take(phase{Name: "close all", Body: k.closeAll, Shows: "close"})
	k.finish()
}

type phase = scenario.Phase

// lent are the criteria of every phase in which many borrow.
const lent = " bound exclusive crosstalk"

// finish ends what phases have shared, and looks for what is left.
func (k *kit) finish() {
	if k.subjects != nil && !k.Aborted { // they were needed, and their phase was left out
		k.closeAll(context.Background(), k.T)
	}
	if k.server != nil {
		if err := k.server.Close(); err != nil && !k.Aborted {
			k.Fail("%v", err)
		}
	}
	if k.Aborted {
		return
	}
	left := int(k.opened.Load() - k.closed.Load())
	if left > 0 {
		k.Violate("leaks", "%d connections are open after every pool was closed", left)
	}
	k.Audit(left)
}

// serve starts the server that connections lead to, unless it is there.
func (k *kit) serve() {
	if k.server != nil {
		return
	}
	server, err := echo.Start()
	if err != nil {
		k.Fail("%v", err)
		runtime.Goexit()
	}
	k.server = server
	k.OnInterrupt(server.Kill)
}

// kit is the scenario with its server and what was counted at the dial.
type kit struct {
	*scenario.Scenario
	open           func(testing.TB, Config) Pool
	server         *echo.Server // nil before the first pool
	subjects       []Pool       // under load; nil before it
	rate           float64      // of the slower of subject and control in the burst; 0 before it
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
