package pooltest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/programs"
)

// TestExploredFaults plants a fault of each kind in a sound pool.
func TestExploredFaults(t *testing.T) {
	programs.MustFind(t, map[string]string{
		"one too many":                    "bound: ",
		"lends twice":                     "exclusive: ",
		"closes what is lent":             "closed",
		"leaves a deadline":               "exclusive: ",
		"last first":                      "order: ",
		"newcomer first":                  "order: ",
		"forgets who left":                "served: ",
		"wakes nobody":                    "served: ",
		"keeps the room of a failed dial": "served: ",
		"looks at no context":             "deadline: ",
		"says another error":              "deadline: ",
		"keeps what is broken":            "broken: ",
		"one waiter too many":             "overflow: ",
		"counts who left":                 "overflow: ",
		"ignores idle time":               "idle: ",
		"ignores lifetime":                "lifetime: ",
		"closes too early":                "idle: ",
		"checks nothing":                  "health: ",
		"closes while lent":               "close: ",
		"leaves waiters alone":            "close: ",
		"lends after Close":               "close: ",
		"leaks what is idle":              "leaks: ",
	}, func(t *testing.T, fault string) explore.Outcome {
		open := func(_ testing.TB, cfg Config) Pool { return &faultyPool{cfg: cfg, fault: fault} }
		return vocabulary(open).Explored(t, 4000)
	})
}

// TestExploredCrowd has very many wait: a pool that changes its ways beyond a thousand
// is found, and a sound one is left alone.
func TestExploredCrowd(t *testing.T) {
	for _, fault := range []string{"", "last first beyond a thousand"} {
		v := crowd(func(_ testing.TB, cfg Config) Pool { return &faultyPool{cfg: cfg, fault: fault} })
		out := explore.Try(t, v.Body(t), explore.Schedules(4), explore.Points(2_000_000))
		if !out.Controlled {
			t.Skip(out.Reason)
		}
		if fault == "" {
			require.Nil(t, out.Failure, "%v", out)
			continue
		}
		require.NotNil(t, out.Failure)
		assert.Contains(t, out.Failure.Sentence, "order: ")
	}
}

// So many schedules reach nearly all pairs: some are of two things that are over in
// an instant.
const (
	coverageSchedules = 30_000
	leastCoverage     = 0.95
)

// Without a fault the pool is sound, and the programs reach what they are made of.
func TestExploredCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes tens of thousands of programs")
	}
	v := vocabulary(func(_ testing.TB, cfg Config) Pool { return &faultyPool{cfg: cfg} })
	out := v.Explored(t, coverageSchedules)
	require.Nil(t, out.Failure, "%v", out)
	c := v.Coverage(out.Counts)
	assert.GreaterOrEqual(t, float64(c.Tried), leastCoverage*float64(c.All), "%v", c)
	for _, criterion := range []string{"bound", "exclusive", "crosstalk", "order", "served", "deadline", "overflow",
		"idle", "lifetime", "health", "close"} {
		assert.Positive(t, c.Promises[criterion], criterion)
	}
}

var (
	errShut = errors.New("closed")
	errFull = errors.New("too many wait")
)

// faultyPool is a pool that is sound, but for the fault that it is told to have.
type faultyPool struct {
	cfg   Config
	fault string

	mu     sync.Mutex
	idle   []*held
	rooms  int // taken
	line   []chan *held
	ghosts int // who left and still count
	shut   bool
	ended  chan struct{}
	latest *held // "lends twice": what may be lent to another too
}

// held is a connection with its times; nil stands for room for one.
type held struct {
	net.Conn
	pool        *faultyPool
	born, freed time.Time
}

func (h *held) NetConn() net.Conn { return h.Conn }

func (*faultyPool) Overflow() error { return errFull }
func (*faultyPool) Limits() Limits  { return Limits{Idle: true, Lifetime: true, Health: true} }

func (p *faultyPool) Acquire(ctx context.Context) (Lease, error) {
	if h := p.again(); h != nil {
		return ghostLease{h}, nil
	}
	h, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	if h != nil && !p.fit(ctx, h) {
		_ = h.Conn.Close()
		h = nil
	}
	if h == nil {
		c, err := p.cfg.Dial(ctx)
		if err != nil {
			if p.fault != "keeps the room of a failed dial" {
				p.give(nil)
			}
			return nil, err
		}
		h = &held{Conn: c, pool: p, born: time.Now()}
	}
	return p.lease(ctx, h), nil
}

// again is a connection that is lent already.
func (p *faultyPool) again() (h *held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rooms == p.cfg.Size && len(p.idle) == 0 {
		h, p.latest = p.latest, nil
	}
	return h
}

// ghostLease is a second loan of a connection.
type ghostLease struct{ *held }

func (l ghostLease) Conn() net.Conn { return l.held }
func (ghostLease) Release()         {}
func (ghostLease) Discard()         {}

// take waits for a connection or room for one.
func (p *faultyPool) take(ctx context.Context) (h *held, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	size, bound := p.cfg.Size, p.cfg.MaxWaiters
	if p.fault == "one too many" {
		size++
	}
	if p.fault == "one waiter too many" {
		bound++
	}
	if p.shut && p.fault != "lends after Close" {
		p.mu.Unlock()
		return nil, errShut
	}
	if n := len(p.idle); n > 0 {
		h := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return h, nil
	}
	if p.rooms < size {
		p.rooms++
		p.mu.Unlock()
		return nil, nil
	}
	if p.cfg.MaxWaiters > 0 && len(p.line)+p.ghosts >= bound {
		p.mu.Unlock()
		return nil, errFull
	}
	turn := make(chan *held, 1)
	p.line = append(p.line, turn)
	p.mu.Unlock()
	over := ctx.Done()
	if p.fault == "looks at no context" {
		over = nil
	}
	select {
	case h, ok := <-turn:
		if !ok {
			return nil, errShut
		}
		return h, nil
	case <-over:
	}
	return nil, p.leave(ctx, turn)
}

// leave takes a waiter out of the line, or passes on what it was given meanwhile.
func (p *faultyPool) leave(ctx context.Context, turn chan *held) error {
	err := ctx.Err()
	if p.fault == "says another error" {
		err = errors.New("too late")
	}
	p.mu.Lock()
	if i := slices.Index(p.line, turn); i >= 0 {
		p.line = slices.Delete(p.line, i, i+1)
		if p.fault == "counts who left" {
			p.ghosts++
		}
		p.mu.Unlock()
		return err
	}
	p.mu.Unlock()
	if h, ok := <-turn; ok && p.fault != "forgets who left" {
		p.give(h)
	}
	return err
}

func (p *faultyPool) fit(ctx context.Context, h *held) bool {
	idle, age := time.Since(h.freed), time.Since(h.born)
	switch {
	case p.cfg.MaxIdleTime > 0 && idle >= p.cfg.MaxIdleTime && p.fault != "ignores idle time":
		return false
	case p.cfg.MaxIdleTime > 0 && idle >= p.cfg.MaxIdleTime/8 && p.fault == "closes too early":
		return false
	case p.cfg.MaxLifetime > 0 && age >= p.cfg.MaxLifetime && p.fault != "ignores lifetime":
		return false
	case p.cfg.Check != nil && idle >= p.cfg.CheckAfter && p.fault != "checks nothing":
		return p.cfg.Check(ctx, h) == nil
	}
	return true
}

// give hands a connection, or room if it is nil, to the next in line.
func (p *faultyPool) give(h *held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h != nil {
		h.freed = time.Now()
	}
	if n := len(p.line); n > 0 && p.fault != "wakes nobody" && (!p.shut || p.fault != "leaves waiters alone") {
		at := 0
		if p.fault == "last first" || n > 1000 && p.fault == "last first beyond a thousand" {
			at = n - 1
		}
		turn := p.line[at]
		p.line = slices.Delete(p.line, at, at+1)
		turn <- h
		return
	}
	switch {
	case h == nil:
		p.rooms--
	case p.shut && p.fault != "leaks what is idle":
		_ = h.Conn.Close()
		p.rooms--
	case p.shut:
		p.rooms--
	default:
		p.idle = append(p.idle, h)
	}
	p.settle()
}

func (p *faultyPool) settle() {
	if p.shut && p.rooms == 0 && p.ended != nil {
		close(p.ended)
		p.ended = nil
	}
}

func (p *faultyPool) Close() error {
	p.mu.Lock()
	p.shut = true
	ended := make(chan struct{})
	p.ended = ended
	if p.fault != "leaves waiters alone" {
		for _, turn := range p.line {
			close(turn)
		}
		p.line = nil
	}
	for _, h := range p.idle {
		if p.fault != "leaks what is idle" {
			_ = h.Conn.Close()
		}
		p.rooms--
	}
	p.idle = nil
	p.settle()
	p.mu.Unlock()
	if p.fault != "closes while lent" {
		<-ended
	}
	return nil
}

type faultyLease struct {
	*held
	over chan struct{}
}

func (p *faultyPool) lease(ctx context.Context, h *held) Lease {
	if p.fault == "lends twice" {
		p.mu.Lock()
		p.latest = h
		p.mu.Unlock()
	}
	l := &faultyLease{held: h, over: make(chan struct{})}
	if gone := ctx.Done(); gone != nil && p.fault == "leaves a deadline" {
		go func() {
			select {
			case <-gone:
				_ = h.SetDeadline(time.Unix(1, 0))
			case <-l.over:
			}
		}()
	}
	if gone := ctx.Done(); gone != nil && p.fault == "closes what is lent" {
		go func() {
			select {
			case <-gone:
				_ = h.Conn.Close()
			case <-l.over:
			}
		}()
	}
	return l
}

func (l *faultyLease) Conn() net.Conn { return l.held }

func (l *faultyLease) Release() {
	close(l.over)
	p := l.pool
	if p.fault == "newcomer first" {
		p.mu.Lock()
		if !p.shut {
			l.freed = time.Now()
			p.idle = append(p.idle, l.held)
			p.mu.Unlock()
			time.Sleep(time.Millisecond) // and only then looks who waits
			p.mu.Lock()
			i := slices.Index(p.idle, l.held)
			if i < 0 {
				p.mu.Unlock()
				return
			}
			p.idle = slices.Delete(p.idle, i, i+1)
		}
		p.mu.Unlock()
	}
	p.give(l.held)
}

func (l *faultyLease) Discard() {
	close(l.over)
	if l.pool.fault == "keeps what is broken" {
		l.pool.give(l.held)
		return
	}
	_ = l.held.Conn.Close()
	l.pool.give(nil)
}
