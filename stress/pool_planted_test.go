package stress_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tensile/stress/pooltest"
)

func TestPlantedPools(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyPool", []fault{
		{"one too many", "connections are open in a pool of size"},
		{"two users", "hold the same connection"},
		{"leaks on time-out", "capacity has leaked"},
		{"returns broken", "discarded as broken"},
		{"out of order", "was served before waiter"},
		{"forgets a waiter", "was not served"},
		{"loses room to a failed dial", "was not served after the dial of another had failed"},
		{"tells nobody of a failed dial", "since a dial failed whose caller had given up"},
		{"swaps two replies", "got the reply to operation"},
		{"ignores idle time", "a connection was lent that had been idle for"},
		{"closes what is in use", "a connection was closed after it had been idle for"},
		{"ignores lifetime", "a connection is still lent at the age of"},
		{"ignores health", "that its health check calls unhealthy"},
		{"crashes", ": panic: a goroutine of the subject"},
	})
}

// TestFaultyPool is the kit over a pool with the fault that is planted.
func TestFaultyPool(t *testing.T) {
	skipUnlessPlanted(t)
	pooltest.TestPool(t, openFaultyPool)
}

func openFaultyPool(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
	if strings.HasPrefix(planted, sneaky) {
		return newSneakyPool(cfg)
	}
	switch planted {
	case "one too many":
		cfg.Size++
	case "ignores idle time":
		cfg.MaxIdleTime = 0
	case "closes what is in use":
		cfg.MaxIdleTime /= 10
	case "ignores lifetime":
		cfg.MaxLifetime = 0
	case "ignores health":
		cfg.Check, cfg.CheckAfter = nil, 0
	}
	sound := openPool(tb, cfg)
	if isSlowPlant() {
		return newSlowPool(sound.(subjectPool))
	}
	if plant := plantedPools[planted]; plant != nil {
		return plant(sound.(subjectPool), cfg)
	}
	return sound
}

// plantedPools make a faulty pool of a sound one; those that are missing here
// are configurations of it, in openFaultyPool.
var plantedPools = map[string]func(sound subjectPool, cfg pooltest.Config) pooltest.Pool{
	"two users":         func(p subjectPool, _ pooltest.Config) pooltest.Pool { return &sharingPool{subjectPool: p} },
	"leaks on time-out": func(p subjectPool, _ pooltest.Config) pooltest.Pool { return leakingPool{p} },
	"returns broken":    func(p subjectPool, _ pooltest.Config) pooltest.Pool { return brokenPool{p} },
	"out of order": func(p subjectPool, cfg pooltest.Config) pooltest.Pool {
		return &stackPool{subjectPool: p, free: cfg.Size}
	},
	"forgets a waiter": func(p subjectPool, _ pooltest.Config) pooltest.Pool { return &forgetfulPool{subjectPool: p} },
	"loses room to a failed dial": func(p subjectPool, cfg pooltest.Config) pooltest.Pool {
		return shrinkingPool{p, make(chan struct{}, cfg.Size)}
	},
	"tells nobody of a failed dial": func(p subjectPool, cfg pooltest.Config) pooltest.Pool {
		if cfg.Size > 1 { // where several come first at once, it would open too many
			return p
		}
		return &backgroundPool{subjectPool: p, dial: cfg.Dial}
	},
	"swaps two replies": func(p subjectPool, _ pooltest.Config) pooltest.Pool { return &swappingPool{subjectPool: p} },
	"crashes": func(p subjectPool, _ pooltest.Config) pooltest.Pool {
		go panic("a goroutine of the subject")
		return p
	},
}

// sharingPool lends a connection a second time now and then.
type sharingPool struct {
	subjectPool
	calls atomic.Int64
	mu    sync.Mutex
	last  pooltest.Lease
}

type sharingLease struct {
	pooltest.Lease
	p *sharingPool
}

func (p *sharingPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if p.calls.Add(1)%50 == 0 && last != nil {
		return sharedLease{last}, nil
	}
	l, err := p.subjectPool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.last = l
	p.mu.Unlock()
	return sharingLease{l, p}, nil
}

func (l sharingLease) Release() {
	l.p.mu.Lock()
	l.p.last = nil
	l.p.mu.Unlock()
	l.Lease.Release()
}

// sharedLease is a second loan of the same connection.
type sharedLease struct{ of pooltest.Lease }

func (l sharedLease) Conn() net.Conn { return l.of.Conn() }
func (l sharedLease) Release()       {}
func (l sharedLease) Discard()       {}

// leakingPool never gets back what a waiter that gave up would have had.
type leakingPool struct{ subjectPool }

func (p leakingPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	l, err := p.subjectPool.Acquire(ctx)
	if ctx.Err() != nil && err != nil {
		go func() { _, _ = p.subjectPool.Acquire(context.Background()) }()
	}
	return l, err
}

// brokenPool keeps what was discarded.
type brokenPool struct{ subjectPool }

type brokenLease struct{ pooltest.Lease }

func (p brokenPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	l, err := p.subjectPool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return brokenLease{l}, nil
}

func (l brokenLease) Discard() { l.Release() }

// stackPool serves the last waiter first.
type stackPool struct {
	subjectPool
	mu   sync.Mutex
	line []chan struct{}
	free int
}

type stackLease struct {
	pooltest.Lease
	p *stackPool
}

func (p *stackPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
	} else {
		turn := make(chan struct{})
		p.line = append(p.line, turn)
		p.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l, err := p.subjectPool.Acquire(ctx)
	if err != nil {
		p.next()
		return nil, err
	}
	return stackLease{l, p}, nil
}

func (p *stackPool) next() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.line); n > 0 {
		close(p.line[n-1])
		p.line = p.line[:n-1]
	} else {
		p.free++
	}
}

func (l stackLease) Release() { l.Lease.Release(); l.p.next() }
func (l stackLease) Discard() { l.Lease.Discard(); l.p.next() }

// forgetfulPool lets its tenth caller wait for nothing.
type forgetfulPool struct {
	subjectPool
	calls atomic.Int64
}

func (p *forgetfulPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	if p.calls.Add(1) == 10 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.subjectPool.Acquire(ctx)
}

// shrinkingPool forgets the room of a caller whose dial failed.
type shrinkingPool struct {
	subjectPool
	taken chan struct{}
}

type shrinkingLease struct {
	pooltest.Lease
	p shrinkingPool
}

func (p shrinkingPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	select {
	case p.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l, err := p.subjectPool.Acquire(ctx)
	if err != nil {
		if ctx.Err() != nil {
			<-p.taken
		}
		return nil, err
	}
	return shrinkingLease{l, p}, nil
}

func (l shrinkingLease) Release() { l.Lease.Release(); <-l.p.taken }
func (l shrinkingLease) Discard() { l.Lease.Discard(); <-l.p.taken }

// backgroundPool dials its first connection on a goroutine of its own, which
// hands over the outcome under the lock of the pool.
type backgroundPool struct {
	subjectPool
	dial func(context.Context) (net.Conn, error)
	mu   sync.Mutex
}

func (p *backgroundPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	p.mu.Lock()
	first := p.Stats().Open == 0 && p.Stats().Waiting == 0
	p.mu.Unlock()
	if !first {
		return p.subjectPool.Acquire(ctx)
	}
	outcome := make(chan error)
	go func() {
		c, err := p.dial(context.WithoutCancel(ctx))
		if err == nil {
			err = c.Close()
		}
		p.mu.Lock()
		outcome <- err
		p.mu.Unlock()
	}()
	select {
	case err := <-outcome:
		if err != nil {
			return nil, err
		}
		return p.subjectPool.Acquire(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// swappingPool crosses the replies of two connections that are lent at the same
// time, once: before either is read from, as otherwise one would wait for a reply
// that has been read already.
type swappingPool struct {
	subjectPool
	mu      sync.Mutex
	first   *swappedLease
	crossed bool
}

type swappedLease struct {
	pooltest.Lease
	p    *swappingPool
	from io.Reader // of the replies, if not its own
	read bool      // from now on it stays so
}

type swappedConn struct {
	net.Conn
	of *swappedLease
}

func (c swappedConn) NetConn() net.Conn { return c.Conn }

func (c swappedConn) Read(into []byte) (n int, err error) {
	c.of.p.mu.Lock()
	c.of.read = true
	from := c.of.from
	c.of.p.mu.Unlock()
	return from.Read(into)
}

func (p *swappingPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	own, err := p.subjectPool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	l := &swappedLease{Lease: own, p: p, from: own.Conn()}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.crossed:
	case p.first == nil || p.first.read:
		p.first = l
	default:
		l.from, p.first.from = p.first.Lease.Conn(), l.Lease.Conn()
		p.crossed = true
	}
	return l, nil
}

func (l *swappedLease) Conn() net.Conn { return swappedConn{l.Lease.Conn(), l} }

func (l *swappedLease) Release() { l.end(); l.Lease.Release() }
func (l *swappedLease) Discard() { l.end(); l.Lease.Discard() }

func (l *swappedLease) end() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.p.first == l && !l.p.crossed {
		l.p.first = nil
	}
}
