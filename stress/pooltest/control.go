package pooltest

import (
	"context"
	"errors"
	"net"
	"testing"
)

// control is the pool beside which the subject is judged: a buffered channel of
// connections, nil if one has yet to be dialled.
type control struct {
	dial   func(context.Context) (net.Conn, error)
	free   chan net.Conn
	closed chan struct{}
}

var errControlClosed = errors.New("pooltest: the control is closed")

func openControl(_ testing.TB, cfg Config) Pool {
	p := &control{cfg.Dial, make(chan net.Conn, cfg.Size), make(chan struct{})}
	for range cfg.Size {
		p.free <- nil
	}
	return p
}

func (p *control) Acquire(ctx context.Context) (Lease, error) {
	var c net.Conn
	select {
	case c = <-p.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, errControlClosed
	}
	if c != nil {
		return &controlLease{p, c}, nil
	}
	c, err := p.dial(ctx)
	if err != nil {
		p.free <- nil
		return nil, err
	}
	return &controlLease{p, c}, nil
}

func (p *control) Close() (err error) {
	close(p.closed)
	for range cap(p.free) {
		if c := <-p.free; c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

type controlLease struct {
	pool *control
	conn net.Conn
}

func (l *controlLease) Conn() net.Conn { return l.conn }
func (l *controlLease) Release()       { l.pool.free <- l.conn }

func (l *controlLease) Discard() {
	_ = l.conn.Close() // it is broken
	l.pool.free <- nil
}

// beside has f compare pools with as many of the control, over connections to the
// same server.
func (k *kit) beside(t testing.TB, pools int, f func(c *kit, controls []Pool)) {
	c := &kit{Scenario: k.Scenario, open: openControl, server: k.server, plain: true}
	controls := make([]Pool, pools)
	for i := range controls {
		controls[i], _ = c.start(t, Config{Size: connsPerPool})
	}
	defer func() {
		for _, p := range controls {
			if !c.closePool(p) {
				return
			}
		}
	}()
	f(c, controls)
}

// elsewhere says why there is nothing to compare with.
const elsewhere = "its connections lead to a server of its own: no control does the same work"
