// Package pool lends connections out of a buffered channel.
package pool

import (
	"context"
	"errors"
	"net"
	"sync"
)

// ErrClosed is the error of Get once the pool is closed.
var ErrClosed = errors.New("pool: closed")

// Pool holds up to a number of connections. It is safe for concurrent use.
type Pool struct {
	dial   func(context.Context) (net.Conn, error)
	home   chan net.Conn // connections that are not lent; nil stands for one that is not open
	closed chan struct{}
	close  sync.Once
}

// New returns a pool of up to size connections that dial opens.
func New(size int, dial func(context.Context) (net.Conn, error)) *Pool {
	p := &Pool{dial: dial, home: make(chan net.Conn, size), closed: make(chan struct{})}
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
	select {
	case <-p.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case conn := <-p.home:
		if conn != nil {
			return conn, nil
		}
		conn, err := p.dial(ctx)
		if err != nil {
			p.home <- nil // the next may have more luck
			return nil, err
		}
		return conn, nil
	case <-p.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Put takes a connection back; one that is broken is closed first, and nil is
// put in its place.
func (p *Pool) Put(conn net.Conn) { p.home <- conn }

// Close waits until every connection is home, and closes it.
func (p *Pool) Close() error {
	var failed error
	p.close.Do(func() {
		close(p.closed)
		for range cap(p.home) {
			if conn := <-p.home; conn != nil {
				failed = errors.Join(failed, conn.Close())
			}
		}
	})
	return failed
}
