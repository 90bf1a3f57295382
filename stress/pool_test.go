package stress_test

import (
	"context"
	"flag"
	"net"
	"testing"

	"tensile/pool"
	"tensile/stress"
	"tensile/stress/pooltest"
)

func TestMain(m *testing.M) {
	// What takes part in parallel waits for kits in other processes, of which there
	// are never more than turns.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	stress.Main(m)
}

func TestStressPool(t *testing.T) { pooltest.TestPool(t, openPool) }

func BenchmarkPool(b *testing.B) { pooltest.BenchmarkPool(b, openPool) }

// subjectPool is package pool behind the interface of the kit.
type subjectPool struct{ *pool.Pool[net.Conn] }

func openPool(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
	p, err := pool.New(pool.Config[net.Conn]{
		Dial: cfg.Dial, Close: net.Conn.Close, MaxSize: cfg.Size, MaxWaiters: cfg.MaxWaiters,
		MaxIdleTime: cfg.MaxIdleTime, MaxLifetime: cfg.MaxLifetime, Check: cfg.Check, CheckAfter: cfg.CheckAfter,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return subjectPool{p}
}

func (p subjectPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	l, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (p subjectPool) Limits() pooltest.Limits {
	return pooltest.Limits{Idle: true, Lifetime: true, Health: true}
}

func (p subjectPool) Overflow() error { return pool.ErrOverflow }
