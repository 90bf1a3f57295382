package pooltest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/scenario"
)

// dialler dials for one pool and counts what it has open.
type dialler struct {
	kit  *kit
	size int
	open atomic.Int64
	// early, if set, is shown each connection that the pool closes by itself.
	early atomic.Pointer[func(*conn)]
	// refuse is the number of dials that fail from now on.
	refuse atomic.Int64
	// stall, if set, is what dials do first.
	stall atomic.Pointer[func(context.Context) error]

	mu      sync.Mutex
	dialled []*conn
}

func (d *dialler) closesEarly(look func(*conn)) { d.early.Store(&look) }

// all are the connections dialled so far, closed ones included.
func (d *dialler) all() []*conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.dialled)
}

// conn is a connection as the kit sees it.
type conn struct {
	net.Conn
	dialler   *dialler
	born      time.Time
	freed     atomic.Int64 // ns after born at which it was last given back
	holder    atomic.Int64 // operation + 1 that has it; 0 for none
	discarded atomic.Bool
	gone      atomic.Bool
	sick      atomic.Bool
	failed    atomic.Bool // in a Read or a Write
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.failed.Store(true)
	}
	return n, err
}

// SyscallConn is for pools that look whether the other end has closed a connection.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := c.Conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return nil, fmt.Errorf("%T: %w", c.Conn, errors.ErrUnsupported)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.failed.Store(true)
	}
	return n, err
}

func (c *conn) age() time.Duration { return time.Since(c.born) }

// idleFor is the time since the connection was given back, or dialled.
func (c *conn) idleFor() time.Duration { return c.age() - time.Duration(c.freed.Load()) }

func (d *dialler) dial(ctx context.Context) (net.Conn, error) {
	return d.dialAt(ctx, "tcp", d.kit.server.Addr)
}

// errFar is what a subject gets that dials beyond this machine.
var errFar = errors.New("not on the loopback")

// dialTo is Config.DialTo.
func (d *dialler) dialTo(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); network != "unix" && host != "localhost" && !ip.IsLoopback() {
		return nil, fmt.Errorf("dialling %s %q: %w, must be an address such as 127.0.0.1:5432, or one of network unix",
			network, address, errFar)
	}
	d.kit.elsewhere.Store(true)
	return d.dialAt(ctx, network, address)
}

func (d *dialler) dialAt(ctx context.Context, network, address string) (net.Conn, error) {
	if n := int(d.open.Add(1)); n > d.size {
		d.kit.Violate("bound", "%d connections are open in a pool of size %d", n, d.size)
	}
	if d.refuse.Load() > 0 && d.refuse.Add(-1) >= 0 {
		d.open.Add(-1)
		return nil, errRefused
	}
	if stall := d.stall.Load(); stall != nil {
		if err := (*stall)(ctx); err != nil {
			d.open.Add(-1)
			return nil, err
		}
	}
	to, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		d.open.Add(-1)
		return nil, err
	}
	d.kit.opened.Add(1)
	c := &conn{Conn: to, dialler: d, born: time.Now()}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialled = append(d.dialled, c)
	return c, nil
}

func (c *conn) Close() error {
	if op := c.holder.Load(); op != 0 && !c.failed.Load() {
		c.dialler.kit.Violate("exclusive", "a connection was closed while operation %d held it", op-1)
	}
	if look := c.dialler.early.Load(); look != nil && !c.discarded.Load() {
		(*look)(c)
	}
	err := c.Conn.Close()
	if c.gone.CompareAndSwap(false, true) {
		c.dialler.open.Add(-1)
		c.dialler.kit.closed.Add(1)
	}
	return err
}

// start opens one pool of the subject; cfg lacks only the dial function.
func (k *kit) start(t testing.TB, cfg Config) (Pool, *dialler) {
	k.serve()
	d := &dialler{kit: k, size: cfg.Size}
	cfg.Dial, cfg.DialTo = d.dial, d.dialTo
	k.mu.Lock()
	k.diallers = append(k.diallers, d)
	k.mu.Unlock()
	p := k.open(t, cfg)
	if !k.plain {
		k.Subject(p)
	}
	return p, d
}

// closePool closes a pool whose connections are all home, and tells whether that
// came to an end.
func (k *kit) closePool(p Pool) bool {
	ended := make(chan error, 1)
	go func() { ended <- p.Close() }()
	select {
	case err := <-ended:
		if err != nil {
			k.Violate("close", "Close returned %v", err)
		}
		return true
	case <-time.After(scenario.Settle):
		k.Violate("close", "Close has not returned %v after every connection had been returned", scenario.Settle)
		return false
	}
}

// errNothing stands for what a pool that returns nothing should have said.
var errNothing = errors.New("neither a lease nor an error")

// acquire is Acquire of a pool that may return nothing at all.
func (k *kit) acquire(ctx context.Context, p Pool) (Lease, error) {
	l, err := p.Acquire(ctx)
	if l == nil && err == nil {
		k.Violate("served", "Acquire returned %v", errNothing)
		err = errNothing
	}
	return l, err
}

// hold checks what a lease lends, and marks it as held by operation op.
func (k *kit) hold(l Lease, op int) *conn {
	c := unwrap[*conn](l.Conn())
	if c == nil {
		k.Violate("exclusive", "a lease holds %T, which the kit did not dial", l.Conn())
		return nil
	}
	if other := c.holder.Swap(int64(op) + 1); other != 0 {
		k.Violate("exclusive", "operations %d and %d hold the same connection", other-1, op)
	}
	if c.discarded.Load() {
		k.Violate("broken", "operation %d was lent a connection that had been discarded as broken", op)
	} else if c.gone.Load() {
		k.Violate("broken", "operation %d was lent a connection that is closed", op)
	}
	return c
}

// unwrap returns the connection below what a pool may have put around it, or nil.
func unwrap[T *conn | *wire](c net.Conn) T {
	for range 10 {
		switch at := c.(type) {
		case T:
			return at
		case interface{ NetConn() net.Conn }:
			c = at.NetConn()
		default:
			return nil
		}
	}
	return nil
}

func (k *kit) release(l Lease, c *conn) {
	if c != nil {
		c.freed.Store(int64(c.age()))
		c.holder.Store(0)
	}
	l.Release()
}

func (k *kit) discard(l Lease, c *conn) {
	if c != nil {
		c.discarded.Store(true)
		c.holder.Store(0)
	}
	l.Discard()
}

var errReply = errors.New("reply to another request")

// exchangeFrames sends a request over the connection that is lent and reads its
// reply.
func exchangeFrames(ctx context.Context, l Lease, request, reply *echo.Frame) error {
	if e, ok := l.(EchoLease); ok {
		got, err := e.Echo(ctx, request[:])
		copy(reply[:], got)
		reply.Invert() // as our own server does
		return err
	}
	return exchangeOver(l.Conn(), request, reply)
}

// exchangeOver sends a request and reads the reply to it.
func exchangeOver(c net.Conn, request, reply *echo.Frame) error {
	if _, err := c.Write(request[:]); err != nil {
		return err
	}
	for at := 0; at < len(reply); {
		n, err := c.Read(reply[at:])
		if err != nil {
			return err
		}
		at += n
	}
	return nil
}

// roundTrip sends the request of operation op and checks its reply.
func (k *kit) roundTrip(ctx context.Context, l Lease, op int) error {
	var f, reply echo.Frame
	f.Request(uint64(op))
	if err := exchangeFrames(ctx, l, &f, &reply); err != nil {
		return err
	}
	switch id, ok := reply.Answers(); {
	case !ok:
		k.Violate("crosstalk", "operation %d got a reply that answers no request", op)
	case id != uint64(op):
		k.Violate("crosstalk", "operation %d got the reply to operation %d", op, id)
	default:
		return nil
	}
	return errReply
}

// notServed is the error of an operation that was lent nothing.
type notServed struct{ error }

func (e notServed) Unwrap() error { return e.error }

// operate is one operation: acquire, round trip, release.
func (k *kit) operate(ctx context.Context, p Pool, op int, held func()) error {
	l, err := k.acquire(ctx, p)
	if err != nil {
		return notServed{err}
	}
	c := k.hold(l, op)
	if held != nil {
		held()
	}
	if err := k.roundTrip(ctx, l, op); err != nil {
		k.discard(l, c)
		return err
	}
	k.release(l, c)
	return nil
}

// cut breaks n connections that are open, chosen by the seed, and returns how many
// there were: from the server's end, unless that is the subject's.
func (k *kit) cut(n int) (int, error) {
	if !k.elsewhere.Load() {
		return k.server.Cut(n, k.Seed)
	}
	var open []*conn
	k.mu.Lock()
	for _, d := range k.diallers {
		open = append(open, slices.DeleteFunc(d.all(), func(c *conn) bool { return c.gone.Load() })...)
	}
	k.mu.Unlock()
	random := rand.New(rand.NewPCG(k.Seed, 0))
	random.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	open = open[:min(n, len(open))]
	for _, c := range open {
		// As if the other end had closed it: the subject may still set deadlines.
		if half, ok := c.Conn.(interface {
			CloseRead() error
			CloseWrite() error
		}); ok {
			_ = errors.Join(half.CloseRead(), half.CloseWrite())
		} else {
			_ = c.Conn.Close()
		}
	}
	return len(open), nil
}

// capacity checks that a pool still lends all of its connections at once.
func (k *kit) capacity(ctx context.Context, p Pool, size int, criterion string) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	leases := make([]Lease, 0, size)
	conns := make([]*conn, 0, size)
	for i := range size {
		l, err := k.acquire(ctx, p)
		if err != nil {
			k.Violate(criterion, "a pool of %d lends only %d: capacity has leaked (%v)", size, i, err)
			break
		}
		leases, conns = append(leases, l), append(conns, k.hold(l, i))
	}
	for i, l := range leases {
		k.release(l, conns[i])
	}
}
