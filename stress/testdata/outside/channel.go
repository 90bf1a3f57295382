package outside

import (
	"context"
	"errors"
	"net"
	"sync"
)

// ErrClosed says that a pool or a router was closed.
var ErrClosed = errors.New("outside: closed")

// Dial opens a connection.
type Dial func(context.Context) (net.Conn, error)

// ChannelPool keeps its connections in a buffered channel, with nil for each
// that is not open.
type ChannelPool struct {
	dial   Dial
	free   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewChannelPool returns a pool of size connections, none of them open yet.
func NewChannelPool(size int, dial Dial) *ChannelPool {
	p := &ChannelPool{dial: dial, free: make(chan net.Conn, size), closed: make(chan struct{})}
	for range size {
		p.free <- nil
	}
	return p
}

// Get lends a connection. It is ended with Put.
func (p *ChannelPool) Get(ctx context.Context) (net.Conn, error) {
	select {
	case <-p.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case c := <-p.free:
		if c != nil {
			return c, nil
		}
		c, err := p.dial(ctx)
		if err != nil {
			p.free <- nil
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, ErrClosed
	}
}

// Put takes a connection back; nil for one that its holder has closed.
func (p *ChannelPool) Put(c net.Conn) { p.free <- c }

// Close waits for all connections and closes them.
func (p *ChannelPool) Close() error {
	p.once.Do(func() {
		close(p.closed)
		for range cap(p.free) {
			if c := <-p.free; c != nil {
				_ = c.Close() // what it was good for is over
			}
		}
	})
	return nil
}
