package outside

import (
	"context"
	"net"
	"slices"
	"sync"
)

// RequestPool keeps its connections as database/sql does: in a list of those
// that are idle, and with a channel for each caller that waits.
type RequestPool struct {
	size int
	dial Dial

	mu       sync.Mutex
	idle     []net.Conn
	open     int // connections there are, and those being dialled
	requests []chan turn
	closed   bool
	home     sync.WaitGroup // of what is lent or being dialled
}

// turn is what a request is answered with: a connection, the room for one, or
// the end.
type turn struct {
	conn net.Conn
	err  error
}

// NewRequestPool returns a pool of size connections, none of them open yet.
func NewRequestPool(size int, dial Dial) *RequestPool {
	return &RequestPool{size: size, dial: dial}
}

// Get lends a connection. It is ended with Put or with Drop.
func (p *RequestPool) Get(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.home.Add(1)
		p.mu.Unlock()
		return c, nil
	}
	if p.open < p.size {
		p.open++
		p.home.Add(1)
		p.mu.Unlock()
		return p.fill(ctx)
	}
	request := make(chan turn, 1)
	p.requests = append(p.requests, request)
	p.mu.Unlock()

	var got turn
	select {
	case got = <-request:
	case <-ctx.Done():
		if p.withdraw(request) {
			return nil, ctx.Err()
		}
		got = <-request // it was answered in the same instant
	}
	if got.err != nil || got.conn != nil {
		return got.conn, got.err
	}
	return p.fill(ctx)
}

// fill dials where there is room that is the caller's.
func (p *RequestPool) fill(ctx context.Context) (net.Conn, error) {
	c, err := p.dial(ctx)
	if err != nil {
		p.give(nil)
		return nil, err
	}
	return c, nil
}

// withdraw takes a request back, and returns false if it was answered already.
func (p *RequestPool) withdraw(request chan turn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.Index(p.requests, request)
	if at < 0 {
		return false
	}
	p.requests = slices.Delete(p.requests, at, at+1)
	return true
}

// Put takes a connection back.
func (p *RequestPool) Put(c net.Conn) { p.give(c) }

// Drop closes a connection that is broken.
func (p *RequestPool) Drop(c net.Conn) {
	_ = c.Close() // it is broken
	p.give(nil)
}

// give passes a connection, or the room of one, on.
func (p *RequestPool) give(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.requests) > 0 {
		p.requests[0] <- turn{conn: c}
		p.requests = p.requests[1:]
		return
	}
	switch {
	case c == nil:
		p.open--
	case p.closed:
		_ = c.Close() // what it was good for is over
	default:
		p.idle = append(p.idle, c)
	}
	p.home.Done()
}

// Close turns callers away and waits for all connections.
func (p *RequestPool) Close() error {
	p.mu.Lock()
	p.closed = true
	for _, request := range p.requests {
		request <- turn{err: ErrClosed}
	}
	p.requests = nil
	for _, c := range p.idle {
		_ = c.Close() // what it was good for is over
	}
	p.idle = nil
	p.mu.Unlock()
	p.home.Wait()
	return nil
}
