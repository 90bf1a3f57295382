package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// identity is a node in one of its lives.
type identity struct {
	Name, Addr string
	Life       uint64
}

// peer is another node, with the connection over which it is called.
type peer struct {
	identity
	node   *Node
	forget context.CancelFunc
	known  chan struct{} // closed once it was reached, or could not be
	once   sync.Once

	mu    sync.Mutex
	state State // "" until it is known
	conn  *conn // nil while there is none
	calls map[uint64]*call
	last  uint64
	bytes int // of calls in flight
}

type call struct {
	done func([]byte, error)
	size int
	due  time.Time
}

// The pauses between pings, and between attempts to reach a peer that has failed.
const (
	pingEvery  = 200 * time.Millisecond
	retryEvery = 100 * time.Millisecond
)

// keep holds a connection to the peer until ctx ends. If the connection is lost and a new dial
// is refused, the peer has failed: on the loopback interface, as in most networks, the system
// refuses connections to a dead process. A peer that is silent has failed after a while.
func (p *peer) keep(ctx context.Context) {
	lost := time.Now()
	for ctx.Err() == nil {
		c, _, err := p.node.reach(ctx, p.Addr, greeting{From: p.node.self, To: p.Name, Life: p.Life})
		if err == nil {
			p.set(Alive, c)
			err = p.use(ctx, c)
			p.drop(ErrUnreachable)
			lost = time.Now()
		}
		pause := time.Millisecond
		if errors.Is(err, errSilent) || errors.Is(err, syscall.ECONNREFUSED) || time.Since(lost) > patience {
			if ctx.Err() == nil {
				p.set(Failed, nil)
			}
			pause = retryEvery
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (p *peer) set(s State, c *conn) {
	p.mu.Lock()
	p.state, p.conn = s, c
	p.mu.Unlock()
	p.once.Do(func() { close(p.known) })
}

// use reads replies until the connection is lost.
func (p *peer) use(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	beside.Go(c.write)
	beside.Go(func() {
		clock := time.NewTicker(pingEvery)
		defer clock.Stop()
		for {
			select {
			case <-clock.C:
				_ = c.send(ping, 0, nil, true) // if it is lost, read says so
				p.expire()
			case <-ctx.Done():
				c.end(ctx.Err())
				return
			}
		}
	})
	for {
		k, id, body, err := c.read()
		if err != nil {
			return err
		}
		if k != reply {
			continue
		}
		if waiting := p.take(id); waiting != nil {
			waiting.done(body, nil)
		}
	}
}

// call sends a request, or returns why it did not.
func (p *peer) call(k kind, body []byte, done func([]byte, error)) error {
	p.mu.Lock()
	c := p.conn
	switch {
	case c == nil:
		p.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrUnreachable, p.Name)
	case len(p.calls) > 0 && p.bytes+len(body) > p.node.cfg.Window:
		p.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrOverloaded, p.Name)
	}
	p.last++
	id := p.last
	p.calls[id] = &call{done, len(body), time.Now().Add(p.node.cfg.Timeout)}
	p.bytes += len(body)
	p.mu.Unlock()
	if c.send(k, id, body, true) != nil && p.take(id) != nil {
		return fmt.Errorf("%w: %s", ErrUnreachable, p.Name)
	}
	return nil
}

// take is called by everything that may end a call, and returns the call to the first.
func (p *peer) take(id uint64) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.calls[id]
	if c != nil {
		delete(p.calls, id)
		p.bytes -= c.size
	}
	return c
}

// expire ends calls that were not answered in time.
func (p *peer) expire() {
	now := time.Now()
	p.endCalls(ErrTimeout, func(c *call) bool { return now.After(c.due) })
}

// drop gives up the connection, and ends the calls in flight.
func (p *peer) drop(err error) {
	p.mu.Lock()
	p.conn = nil
	p.mu.Unlock()
	p.endCalls(err, func(*call) bool { return true })
}

func (p *peer) endCalls(err error, which func(*call) bool) {
	p.mu.Lock()
	var over []*call
	for id, c := range p.calls {
		if which(c) {
			over = append(over, c)
			delete(p.calls, id)
			p.bytes -= c.size
		}
	}
	p.mu.Unlock()
	for _, c := range over {
		c.done(nil, fmt.Errorf("%w: %s", err, p.Name))
	}
}
