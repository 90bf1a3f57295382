// Package pool lends connections out of a buffered channel.
package pool

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// ErrClosed is the error of Get once the pool is closed.
var ErrClosed = errors.New("pool: closed")

// Pool holds up to a number of connections. It is safe for concurrent use.
type Pool struct {
	dial   func(context.Context) (net.Conn, error)
	home   chan net.Conn // connections that are not lent; nil stands for one that is not open
	closed atomic.Bool
}

// New returns a pool of up to size connections that dial opens.
func New(size int, dial func(context.Context) (net.Conn, error)) *Pool {
	p := &Pool{dial: dial, home: make(chan net.Conn, size)}
	for range size {
		p.home <- nil
	}
	return p
}

// Get lends a connection, which the caller returns with Put. Callers are served in the
// order in which they came, because a channel serves its receivers in that order.
func (p *Pool) Get(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.closed.Load() {
		return nil, ErrClosed
	}
	select {
	case conn, ok := <-p.home:
		if !ok {
			return nil, ErrClosed
		}
		if conn != nil {
			return conn, nil
		}
		return p.open(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open dials a connection in place of one that is not open.
func (p *Pool) open(ctx context.Context) (net.Conn, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		p.home <- nil // the next caller may succeed
		return nil, err
	}
	return conn, nil
}

// Put returns a connection. If the connection is broken, the caller closes it and puts
// nil in its place.
func (p *Pool) Put(conn net.Conn) { p.home <- conn }

// Close serves callers that wait already, and returns once every connection has been
// returned and closed.
func (p *Pool) Close() error {
	if p.closed.Swap(true) {
		return ErrClosed
	}
	var failed error
	for range cap(p.home) {
		if conn := <-p.home; conn != nil {
			failed = errors.Join(failed, conn.Close())
		}
	}
	close(p.home) // for callers that came in between
	return failed
}
