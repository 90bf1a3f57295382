package stress_test

import (
	"context"
	"flag"
	"net"
	"os"
	"strings"
	"testing"

	"tensile/pool"
	"tensile/stress"
	"tensile/stress/pooltest"
)

func TestMain(m *testing.M) {
	if os.Getenv("STRESS_ENGINE") == "nats" {
		os.Exit(overNATS())
	}
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
	if strings.HasPrefix(planted, sneaky) {
		return newSneakyPool(cfg)
	}
	size := cfg.Size
	switch planted {
	case "one too many":
		size++
	case "ignores idle time":
		cfg.MaxIdleTime = 0
	case "closes what is in use":
		cfg.MaxIdleTime /= 10
	case "ignores lifetime":
		cfg.MaxLifetime = 0
	case "ignores health":
		cfg.Check, cfg.CheckAfter = nil, 0
	}
	p, err := pool.New(pool.Config[net.Conn]{
		Dial: cfg.Dial, Close: net.Conn.Close, MaxSize: size, MaxWaiters: cfg.MaxWaiters,
		MaxIdleTime: cfg.MaxIdleTime, MaxLifetime: cfg.MaxLifetime, Check: cfg.Check, CheckAfter: cfg.CheckAfter,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if plant := plantedPools[planted]; plant != nil {
		return plant(subjectPool{p}, cfg)
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
