package museum

import (
	"context"
	"net"
	"testing"

	"github.com/jackc/puddle"
	puddlev2 "github.com/jackc/puddle/v2"

	"tensile/stress/pooltest"
)

func puddle1(t *testing.T) {
	pooltest.TestPool(t, func(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
		return puddle1Pool{puddle.NewPool(
			func(ctx context.Context) (any, error) { return cfg.Dial(ctx) },
			func(c any) { _ = c.(net.Conn).Close() },
			int32(cfg.Size))}
	})
}

// puddle1Pool wakes who waits by a condition, which is in no order.
type puddle1Pool struct{ *puddle.Pool }

func (puddle1Pool) Unordered() {}

type puddle1Lease struct{ *puddle.Resource }

func (p puddle1Pool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	r, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return puddle1Lease{r}, nil
}

func (p puddle1Pool) Close() error {
	p.Pool.Close()
	return nil
}

func (l puddle1Lease) Conn() net.Conn { return l.Value().(net.Conn) }
func (l puddle1Lease) Discard()       { l.Destroy() }

func puddle2(t *testing.T) {
	pooltest.TestPool(t, func(t testing.TB, cfg pooltest.Config) pooltest.Pool {
		p, err := puddlev2.NewPool(&puddlev2.Config[net.Conn]{
			Constructor: puddlev2.Constructor[net.Conn](cfg.Dial),
			Destructor:  func(c net.Conn) { _ = c.Close() }, // it is not wanted any more
			MaxSize:     int32(cfg.Size),
		})
		if err != nil {
			t.Fatal(err)
		}
		return puddle2Pool{p}
	})
}

type puddle2Pool struct{ *puddlev2.Pool[net.Conn] }

type puddle2Lease struct{ *puddlev2.Resource[net.Conn] }

func (p puddle2Pool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	r, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return puddle2Lease{r}, nil
}

func (p puddle2Pool) Close() error {
	p.Pool.Close()
	return nil
}

func (l puddle2Lease) Conn() net.Conn { return l.Value() }
func (l puddle2Lease) Discard()       { l.Destroy() }
