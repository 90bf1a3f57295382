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

// Get lends a connection, which goes back by Put. Callers are served in the
// order in which they came: that is how a channel serves its receivers.
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

// open dials where a connection may be.
func (p *Pool) open(ctx context.Context) (net.Conn, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		p.home <- nil // the next may have more luck
		return nil, err
	}
	return conn, nil
}

// Put takes a connection back; one that is broken is closed first, and nil is
// put in its place.
func (p *Pool) Put(conn net.Conn) { p.home <- conn }

// Close serves those who wait already, and returns when every connection is home
// and closed.
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
	close(p.home) // for who came between the two
	return failed
}
