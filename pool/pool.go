package pool

import (
	"context"
	"sync"
	"time"
)

// Pool lends at most MaxSize connections of type C. All of its methods are
// safe for concurrent use.
type Pool[C any] struct {
	cfg  Config[C]
	tick time.Duration

	mu      sync.Mutex
	idle    []*slot[C] // connected, longest idle first
	vacant  []*slot[C] // not connected: room to dial
	out     int        // slots lent, being dialled or being closed
	waiters waitList[C]
	closed  bool
	now     int64 // the last tick told; stays 0 if no limit needs them
	count   Stats // only the totals are kept here

	home    chan struct{} // closed once the pool is closed and nothing is out
	ctx     context.Context
	stop    context.CancelFunc // ends the keeper; nil if there is none
	due     chan struct{}      // holds a token when there may be room for MinIdle
	stopped chan struct{}      // closed when the keeper has ended
	began   time.Time          // from which ticks are counted
}

// slot is the right to one connection. MaxSize of them are made at the start;
// each is at any time idle, vacant or out, and that is all there is to "never
// more than MaxSize". The lock guards its fields while it is idle or vacant;
// while it is out they belong to whoever has it, except lease.
type slot[C any] struct {
	pool      *Pool[C]
	conn      C
	connected bool
	since     int64  // tick of the last release
	expires   int64  // tick from which the connection is too old; 0 for never
	lease     uint64 // changes whenever the slot changes hands; under the lock
}

// New returns a pool that has dialled nothing yet. Its errors wrap ErrConfig.
func New[C any](cfg Config[C]) (*Pool[C], error) {
	if cfg.Check != nil && cfg.CheckAfter == 0 {
		cfg.CheckAfter = time.Second
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Pool[C]{
		cfg:    cfg,
		tick:   cfg.tickLength(),
		idle:   make([]*slot[C], 0, cfg.MaxSize),
		vacant: make([]*slot[C], 0, cfg.MaxSize),
		home:   make(chan struct{}),
	}
	slots := make([]slot[C], cfg.MaxSize)
	for i := range slots {
		slots[i].pool = p
		p.vacant = append(p.vacant, &slots[i])
	}
	if p.tick > 0 {
		p.ctx, p.stop = context.WithCancel(context.Background())
		p.due, p.stopped = make(chan struct{}, 1), make(chan struct{})
		p.began = time.Now()
		go p.keep()
	}
	return p, nil
}

// Acquire lends a connection: an idle one, a new one while there is room, or
// the next that comes free, in the order of the callers. It returns ErrClosed,
// ErrOverflow, the context's error once that ends first, or the error of Dial.
// The lease must be ended with Release or Discard.
func (p *Pool[C]) Acquire(ctx context.Context) (Lease[C], error) {
	if err := ctx.Err(); err != nil {
		return Lease[C]{}, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return Lease[C]{}, ErrClosed
	}
	// Nobody waits while a slot is free, so taking one here jumps no queue.
	s := p.pop()
	if s == nil {
		w, err := p.enqueue()
		p.mu.Unlock()
		if err != nil {
			return Lease[C]{}, err
		}
		if s, err = p.await(ctx, w); err != nil {
			return Lease[C]{}, err
		}
	} else {
		p.out++
		p.count.Acquired++
		s.lease++
		p.mu.Unlock()
	}
	if err := p.ready(ctx, s); err != nil {
		return Lease[C]{}, err
	}
	return Lease[C]{s, s.lease}, nil
}

// ready makes sure that s, which is out, has a connection worth lending. Where
// it gets none, because Dial failed or something panicked, its room goes to the
// next in line.
func (p *Pool[C]) ready(ctx context.Context, s *slot[C]) error {
	if s.connected && p.tick == 0 {
		return nil
	}
	fit := false
	defer func() {
		if !fit {
			p.abandon(s)
		}
	}()
	if s.connected && !p.fit(ctx, s) {
		p.disconnect(s)
	}
	if !s.connected {
		if err := p.connect(ctx, s); err != nil {
			return err
		}
	}
	fit = true
	return nil
}

// pop takes a free slot: a connected one if there is one, else a vacant one.
// The connection used last is lent first, so that a pool larger than its load
// lets the rest fall idle.
func (p *Pool[C]) pop() *slot[C] {
	free := &p.idle
	if len(*free) == 0 {
		free = &p.vacant
	}
	n := len(*free)
	if n == 0 {
		return nil
	}
	s := (*free)[n-1]
	*free = (*free)[:n-1]
	return s
}

// give passes a slot that is out on to the first waiter, or else puts it with
// the idle or the vacant ones; once the pool is closed its connection is closed
// first. It is called with the lock held, and releases
// it: waking the waiter takes longer than all the rest, and nobody need wait
// for that.
func (p *Pool[C]) give(s *slot[C]) {
	s.lease++
	if w := p.waiters.shift(); w != nil {
		p.count.Acquired++
		w.slot = s
		p.mu.Unlock()
		w.served <- struct{}{}
		return
	}
	if p.closed && s.connected { // whoever brings it: nobody else closes it
		p.drop(s)
		return
	}
	p.out--
	if s.connected {
		p.idle = append(p.idle, s)
	} else {
		p.vacant = append(p.vacant, s)
	}
	p.settle()
	p.mu.Unlock()
}

// settle tells Close that everything is home.
func (p *Pool[C]) settle() {
	if p.closed && p.out == 0 {
		close(p.home)
	}
}

// fit tells whether the connection of s, which has one, is neither too old nor
// fails its check.
func (p *Pool[C]) fit(ctx context.Context, s *slot[C]) bool {
	p.mu.Lock()
	now := p.now
	p.mu.Unlock()
	if s.expires > 0 && now >= s.expires {
		return false
	}
	unchecked := p.cfg.Check == nil || now-s.since < p.ticks(p.cfg.CheckAfter)
	return unchecked || p.cfg.Check(ctx, s.conn) == nil
}

// connect dials for s.
func (p *Pool[C]) connect(ctx context.Context, s *slot[C]) error {
	conn, err := p.cfg.Dial(ctx)
	now := p.tickNow()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.count.Failed++
		return err
	}
	p.count.Dialled++
	s.conn, s.connected = conn, true
	s.since = now
	s.expires = p.expiry(now)
	return nil
}

// abandon gives the room of s away, without a connection.
func (p *Pool[C]) abandon(s *slot[C]) {
	p.mu.Lock()
	if s.connected {
		p.drop(s)
		return
	}
	p.give(s)
}

// disconnect closes the connection of s, which stays out: its room is free
// only after the connection is gone.
func (p *Pool[C]) disconnect(s *slot[C]) {
	conn := s.conn
	var none C
	s.conn, s.connected = none, false
	_ = p.cfg.Close(conn)
}

// Close turns all waiters and later callers away with ErrClosed, closes the
// idle connections, waits until every connection lent out was released or
// discarded, and returns when all of them are closed. Every further call waits
// for the same end. The error is always nil; it is there so that a Pool is an
// io.Closer.
func (p *Pool[C]) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.home
		return nil
	}
	p.closed = true
	for w := p.waiters.shift(); w != nil; w = p.waiters.shift() {
		w.served <- struct{}{} // without a slot: closed
	}
	idle := p.idle
	p.idle = nil
	p.out += 1 + len(idle) // and this call: nothing is settled before it is done
	p.mu.Unlock()

	if p.stop != nil {
		p.stop()
		<-p.stopped
	}
	p.each(idle, func(s *slot[C]) {
		p.mu.Lock()
		p.drop(s)
	})
	p.mu.Lock()
	p.out--
	p.settle()
	p.mu.Unlock()
	<-p.home
	return nil
}
