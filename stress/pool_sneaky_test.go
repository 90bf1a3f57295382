package stress_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tensile/stress/pooltest"
)

// TestSneakyPools: faults that strike seldom, or only in a certain state, each
// planted in a small pool that is sound otherwise.
func TestSneakyPools(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyPool", []fault{
		{"sneaky: lends twice beside a long line", "hold the same connection"},
		{"sneaky: last come, first served beyond 100", "were served before others that had come earlier"},
		{"sneaky: last come, first served beyond 200", "were served before others that had come earlier"},
		{"sneaky: newcomers overtake", "a caller that came later was served before a waiter"},
		{"sneaky: never serves the last waiter", "was not served"},
		{"sneaky: forgets a waiter in 500", "that waited at once not all were served"},
		{"sneaky: serves two waiters with one connection", "hold the same connection"},
		{"sneaky: dials before it has closed", "connections are open in a pool of size"},
		{"sneaky: does not close what is discarded", "connections are open in a pool of size"},
		{"sneaky: makes two rooms of one", "connections are open in a pool of size"},
		{"sneaky: keeps the room of what is discarded", "pooling.broken: "},
		{"sneaky: lends what it closed as idle", "that is closed"},
		{"sneaky: closes what is too old in the hands of its holder", "held it"},
		{"sneaky: forgets the room of what was idle", "where another connection should have been dialled"},
		{"sneaky: forgets the room of what was unhealthy", "where another connection should have been dialled"},
		{"sneaky: overflows too early", "a waiter within the bound of 3"},
		{"sneaky: overflows too late", "waited until its deadline, beyond the bound of 3 waiters"},
		{"sneaky: overflows with another error", "by errors.Is"},
		{"sneaky: loses room by overflow", "pooling.overflow: a pool of 1 lends only 0"},
		{"sneaky: swallows the deadline", "must be context.DeadlineExceeded"},
		{"sneaky: swallows the cancellation", "must be context canceled"},
		{"sneaky: says nothing to those that give up", "neither a lease nor an error"},
		{"sneaky: loses what is served as it is given up", "capacity has leaked"},
		{"sneaky: loses one in 1,000 that give up", "capacity has leaked"},
		{"sneaky: loses the connection of a caller that left", "since a dial succeeded whose caller had given up"},
		{"sneaky: leaves a goroutine for each that gives up", "left behind"},
		{"sneaky: leaves a goroutine for each pool", "left behind"},
		{"sneaky: Close forgets one", "open after every pool was closed"},
		{"sneaky: Close forgets who waits", "a waiter has not been answered"},
		{"sneaky: Close waits for all but one", "Close returned while 1 connections were lent out"},
		{"sneaky: does not close what comes home late", "open after Close"},
		{"sneaky: lends one at a time", "lends only 1"},
		{"sneaky: remembers who came", "each connection that was lent and returned leaves"},
		{"sneaky: dials anew for each", "a connection was closed after it had been idle for"},
	})
}

// TestSlowPools: figures in time. Where the control is as slow, or all is in doubt,
// there is nothing to be caught.
func TestSlowPools(t *testing.T) {
	unhurried(t)
	for _, c := range []struct{ fault, criterion string }{
		{"takes its time", "throughput"},
		{"takes its time now and then", "p99"},
	} {
		t.Run(c.fault, func(t *testing.T) { mustBeFoundSlow(t, slowPhases, sneaky+c.fault, c.criterion) })
	}
}

// TestSneakyPoolWithoutFault: it is the fault that is caught, and not the pool.
func TestSneakyPoolWithoutFault(t *testing.T) { mustPass(t, "TestFaultyPool", sneaky+"sound") }

// sneaky is how the names of these faults begin.
const sneaky = "sneaky: "

var (
	errSneakyClosed   = errors.New("closed")
	errSneakyOverflow = errors.New("overflow")
)

// sneakyPool is a plain pool: a list of idle connections and a line of waiters
// under one lock.
type sneakyPool struct {
	fault string
	cfg   pooltest.Config
	stop  chan struct{} // ends what goes on in the background
	home  chan struct{} // closed once the pool is closed and all is home

	mu      sync.Mutex
	idle    []*sneakyConn
	lent    []*sneakyConn
	rooms   int // in use: by a connection, or by a dial
	line    []chan sneakyConnOr
	closed  bool
	settled bool
	// How often: Acquire was called, a waiter was served, one gave up.
	calls, handed, gaveUp int
	// lose is how many connections that come home are lost from now on.
	lose int
	came []*[32]byte
}

type sneakyConn struct {
	net.Conn
	born, freed time.Time
}

func (c *sneakyConn) NetConn() net.Conn { return c.Conn }

// sneakyConnOr is what a waiter gets: a connection, or else room to dial, or an
// error.
type sneakyConnOr struct {
	conn *sneakyConn
	err  error
}

type sneakyLease struct {
	*sneakyPool
	conn *sneakyConn
}

func newSneakyPool(cfg pooltest.Config) pooltest.Pool {
	p := &sneakyPool{
		fault: strings.TrimPrefix(planted, sneaky), cfg: cfg, stop: make(chan struct{}), home: make(chan struct{}),
	}
	switch p.fault {
	case "leaves a goroutine for each pool":
		go func() { select {} }()
	case "lends one at a time":
		p.cfg.Size = 1
	}
	if cfg.MaxIdleTime > 0 || cfg.MaxLifetime > 0 {
		go p.keep()
	}
	return p
}

func (p *sneakyPool) Overflow() error { return errSneakyOverflow }

func (p *sneakyPool) Limits() pooltest.Limits {
	return pooltest.Limits{Idle: true, Lifetime: true, Health: true}
}

// keep closes what was idle for too long.
func (p *sneakyPool) keep() {
	clock := time.NewTicker(20 * time.Millisecond)
	defer clock.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-clock.C:
		}
		p.mu.Lock()
		p.idle = slices.DeleteFunc(p.idle, func(c *sneakyConn) bool {
			if p.cfg.MaxIdleTime == 0 || time.Since(c.freed) < p.cfg.MaxIdleTime {
				return false
			}
			_ = c.Close()
			if p.fault == "lends what it closed as idle" {
				return false
			}
			if p.fault != "forgets the room of what was idle" {
				p.rooms--
			}
			return true
		})
		if p.fault == "closes what is too old in the hands of its holder" {
			for _, c := range p.lent {
				if p.tooOld(c) {
					_ = c.Close()
				}
			}
		}
		p.mu.Unlock()
	}
}

func (p *sneakyPool) tooOld(c *sneakyConn) bool {
	return p.cfg.MaxLifetime > 0 && time.Since(c.born) >= p.cfg.MaxLifetime
}

func (p *sneakyPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	p.mu.Lock()
	p.calls++
	if p.fault == "remembers who came" {
		p.came = append(p.came, new([32]byte))
	}
	loaded := p.cfg.Size == 8 // as the pools that N operations go through
	switch {
	case p.fault == "takes its time" && loaded:
		time.Sleep(500 * time.Microsecond)
	case p.fault == "takes its time now and then" && loaded && p.calls%50 == 0:
		p.mu.Unlock()
		time.Sleep(time.Second)
		p.mu.Lock()
	}
	if p.closed {
		p.mu.Unlock()
		return nil, errSneakyClosed
	}
	if p.fault == "lends twice beside a long line" && len(p.line) > 200 && len(p.lent) > 0 {
		defer p.mu.Unlock()
		return sneakyLease{p, p.lent[0]}, nil
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return p.lend(ctx, c)
	}
	if p.rooms < p.cfg.Size {
		p.rooms++
		p.mu.Unlock()
		return p.dial(ctx)
	}
	bound := p.cfg.MaxWaiters
	switch p.fault {
	case "overflows too early":
		bound--
	case "overflows too late":
		bound++
	}
	if p.cfg.MaxWaiters > 0 && len(p.line) >= bound {
		defer p.mu.Unlock()
		switch p.fault {
		case "loses room by overflow":
			p.lose++
		case "overflows with another error":
			return nil, errors.New("overflow")
		}
		return nil, errSneakyOverflow
	}
	w := make(chan sneakyConnOr, 1)
	p.line = append(p.line, w)
	p.mu.Unlock()
	select {
	case got := <-w:
		switch {
		case got.err != nil:
			return nil, got.err
		case got.conn == nil:
			return p.dial(ctx)
		}
		return p.lend(ctx, got.conn)
	case <-ctx.Done():
		return nil, p.leave(ctx.Err(), w)
	}
}

// leave takes a waiter that gives up out of line.
func (p *sneakyPool) leave(err error, w chan sneakyConnOr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.line, w); i >= 0 {
		p.line = slices.Delete(p.line, i, i+1)
		if p.gaveUp++; p.gaveUp%1000 == 0 && p.fault == "loses one in 1,000 that give up" {
			p.lose++
		}
	} else if len(w) > 0 { // else it was forgotten
		if got := <-w; got.err == nil && p.fault != "loses what is served as it is given up" {
			p.give(got.conn)
		}
	}
	switch p.fault {
	case "leaves a goroutine for each that gives up":
		go func() { select {} }()
	case "says nothing to those that give up":
		return nil
	case "swallows the deadline":
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("timed out")
		}
	case "swallows the cancellation":
		if errors.Is(err, context.Canceled) {
			return errors.New("gone")
		}
	}
	return err
}

// lend hands out a connection if it is still worth it, and else another.
func (p *sneakyPool) lend(ctx context.Context, c *sneakyConn) (pooltest.Lease, error) {
	sick := p.cfg.Check != nil && time.Since(c.freed) >= p.cfg.CheckAfter && p.cfg.Check(ctx, c) != nil
	if !sick && !p.tooOld(c) && p.fault != "dials anew for each" {
		return p.out(c), nil
	}
	_ = c.Close()
	if sick && p.fault == "forgets the room of what was unhealthy" {
		return p.Acquire(ctx)
	}
	return p.dial(ctx)
}

func (p *sneakyPool) out(c *sneakyConn) sneakyLease {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent = append(p.lent, c)
	return sneakyLease{p, c}
}

// dial opens a connection on a goroutine of its own, so that a caller that gives
// up need not wait for it.
func (p *sneakyPool) dial(ctx context.Context) (pooltest.Lease, error) {
	done := make(chan sneakyConnOr, 1)
	go func() {
		c, err := p.cfg.Dial(context.WithoutCancel(ctx))
		done <- sneakyConnOr{&sneakyConn{Conn: c, born: time.Now(), freed: time.Now()}, err}
	}()
	select {
	case got := <-done:
		if got.err != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.give(nil)
			return nil, got.err
		}
		return p.out(got.conn), nil
	case <-ctx.Done():
		go func() {
			got := <-done
			p.mu.Lock()
			defer p.mu.Unlock()
			if got.err != nil {
				p.give(nil)
			} else if p.fault != "loses the connection of a caller that left" {
				p.give(got.conn)
			}
		}()
		return nil, ctx.Err()
	}
}

// give passes a connection, or the room of one if it is nil, to the first in
// line, or keeps it. The lock is held.
func (p *sneakyPool) give(c *sneakyConn) {
	if p.lose > 0 && len(p.line) == 0 {
		p.lose--
		return
	}
	if c != nil {
		c.freed = time.Now()
	}
	if p.fault == "newcomers overtake" && c != nil && !p.closed {
		p.idle = append(p.idle, c)
		go func() { // the first in line is woken, and may come too late
			p.mu.Lock()
			defer p.mu.Unlock()
			if n := len(p.idle); n > 0 && len(p.line) > 0 {
				p.next() <- sneakyConnOr{conn: p.idle[n-1]}
				p.idle = p.idle[:n-1]
			}
		}()
		return
	}
	last := len(p.line) == 1 && p.fault == "never serves the last waiter"
	switch {
	case len(p.line) > 0 && !last:
		if p.handed++; p.handed%500 == 0 && p.fault == "forgets a waiter in 500" && len(p.line) > 1 {
			p.next()
		}
		p.next() <- sneakyConnOr{conn: c}
		if p.fault == "serves two waiters with one connection" && c != nil && len(p.line) > 20 {
			p.next() <- sneakyConnOr{conn: c}
		}
	case c == nil:
		p.rooms--
	case p.closed:
		if p.fault != "does not close what comes home late" {
			_ = c.Close()
		}
		p.rooms--
	default:
		p.idle = append(p.idle, c)
	}
	p.settle()
}

// next takes the first out of line.
func (p *sneakyPool) next() chan sneakyConnOr {
	n := len(p.line)
	w := p.line[0]
	if p.fault == "last come, first served beyond 100" && n > 100 ||
		p.fault == "last come, first served beyond 200" && n > 200 {
		w, p.line = p.line[n-1], p.line[:n-1]
	} else {
		p.line = p.line[1:]
	}
	return w
}

// settle tells Close that everything is home.
func (p *sneakyPool) settle() {
	out := 0
	if p.fault == "Close waits for all but one" {
		out = 1
	}
	if p.closed && p.rooms <= out && !p.settled {
		p.settled = true
		close(p.home)
	}
}

func (l sneakyLease) Conn() net.Conn { return l.conn }

// back takes the connection from those that are lent. The lock is held.
func (l sneakyLease) back() {
	l.lent = slices.DeleteFunc(l.lent, func(c *sneakyConn) bool { return c == l.conn })
}

func (l sneakyLease) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back()
	l.give(l.conn)
}

func (l sneakyLease) Discard() {
	switch l.fault {
	case "does not close what is discarded":
	case "dials before it has closed":
		time.AfterFunc(time.Millisecond, func() { _ = l.conn.Close() })
	default:
		_ = l.conn.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.back()
	switch l.fault {
	case "keeps the room of what is discarded":
		return
	case "makes two rooms of one":
		l.give(nil)
	}
	l.give(nil)
}

func (p *sneakyPool) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.stop)
		if p.fault != "Close forgets who waits" {
			for _, w := range p.line {
				w <- sneakyConnOr{err: errSneakyClosed}
			}
		}
		p.line = nil
		for i, c := range p.idle {
			if i > 0 || p.fault != "Close forgets one" {
				_ = c.Close()
			}
			p.rooms--
		}
		p.idle = nil
		p.settle()
	}
	p.mu.Unlock()
	<-p.home
	return nil
}
