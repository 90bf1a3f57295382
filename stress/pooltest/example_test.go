package pooltest_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"tensile/stress/pooltest"
)

// channelPool lends connections out of a channel, which serves its receivers in the
// order in which they came. nil stands for a connection that is not open.
type channelPool struct {
	home chan net.Conn
	dial func(context.Context) (net.Conn, error)
}

func (p *channelPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case conn, ok := <-p.home:
		switch {
		case !ok:
			return nil, net.ErrClosed
		case conn != nil:
			return &loan{p, conn}, nil
		}
		conn, err := p.dial(ctx)
		if err != nil {
			p.home <- nil // so that another caller may dial
			return nil, err
		}
		return &loan{p, conn}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *channelPool) Close() error {
	for range cap(p.home) {
		if conn := <-p.home; conn != nil {
			_ = conn.Close()
		}
	}
	close(p.home)
	return nil
}

// loan is one connection of the pool.
type loan struct {
	from *channelPool
	conn net.Conn
}

func (l *loan) Conn() net.Conn { return l.conn }
func (l *loan) Release()       { l.from.home <- l.conn }

func (l *loan) Discard() {
	_ = l.conn.Close() // it is broken
	l.from.home <- nil
}

func open(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
	p := &channelPool{home: make(chan net.Conn, cfg.Size), dial: cfg.Dial}
	for range cfg.Size {
		p.home <- nil
	}
	return p
}

// In a file of tests, this is the function TestStressPool.
func testStressPool(t *testing.T) { pooltest.TestPool(t, open) }

// A pool made of a channel, and the test that takes it through the scenario. The kit calls open and
// the pool as here, with many callers at once.
func Example() {
	_ = testStressPool
	near, far := net.Pipe()
	defer far.Close()
	dial := func(context.Context) (net.Conn, error) { return near, nil }
	p := open(nil, pooltest.Config{Size: 1, Dial: dial})
	lease, err := p.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("lent what was dialled:", lease.Conn() == near)
	lease.Release()
	fmt.Println("closed:", p.Close())
	_, err = p.Acquire(context.Background())
	fmt.Println("then:", err)
	// Output:
	// lent what was dialled: true
	// closed: <nil>
	// then: use of closed network connection
}
