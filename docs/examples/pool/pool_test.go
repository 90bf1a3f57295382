package pool_test

import (
	"context"
	"net"
	"testing"

	"example.com/yours/pool"

	"tensile/stress"
	"tensile/stress/pooltest"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressPool(t *testing.T) { pooltest.TestPool(t, open) }

func BenchmarkPool(b *testing.B) { pooltest.BenchmarkPool(b, open) }

func open(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
	return subject{pool.New(cfg.Size, cfg.Dial)}
}

// subject adapts the pool to the kit.
type subject struct{ *pool.Pool }

func (s subject) Acquire(ctx context.Context) (pooltest.Lease, error) {
	conn, err := s.Get(ctx)
	if err != nil {
		return nil, err // not a nil *lease: an interface that holds a nil pointer is not nil
	}
	return &lease{s.Pool, conn}, nil
}

type lease struct {
	from *pool.Pool
	conn net.Conn
}

func (l *lease) Conn() net.Conn { return l.conn }
func (l *lease) Release()       { l.from.Put(l.conn) }

func (l *lease) Discard() {
	_ = l.conn.Close() // it is broken
	l.from.Put(nil)
}
