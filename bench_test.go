package tensile

import (
	"context"
	"net"
	"testing"

	"tensile/pool"
	"tensile/registry"
	"tensile/stress"
)

func BenchmarkPooling(b *testing.B) {
	stress.BenchmarkPool(b, func(tb testing.TB, cfg stress.PoolConfig) stress.Pool {
		p, err := pool.New(pool.Config[net.Conn]{Dial: cfg.Dial, Close: net.Conn.Close, MaxSize: cfg.Size})
		if err != nil {
			tb.Fatal(err)
		}
		return connections{p}
	})
}

type connections struct{ *pool.Pool[net.Conn] }

func (c connections) Acquire(ctx context.Context) (stress.Lease, error) {
	l, err := c.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func BenchmarkRouting(b *testing.B) {
	stress.BenchmarkRouter(b, func(tb testing.TB, cfg stress.RouterConfig) stress.Router {
		r, err := registry.New[stress.Message](registry.Config{Mailbox: cfg.Mailbox})
		if err != nil {
			tb.Fatal(err)
		}
		return names{r}
	})
}

type names struct {
	*registry.Registry[stress.Message]
}

func (names) Errors() stress.RouterErrors {
	return stress.RouterErrors{
		Unknown: registry.ErrUnknown, Taken: registry.ErrTaken, Full: registry.ErrFull, Closed: registry.ErrClosed,
	}
}
