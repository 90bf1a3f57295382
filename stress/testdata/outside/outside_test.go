package outside

import (
	"context"
	"net"
	"os"
	"testing"

	"tensile/stress/pooltest"
	"tensile/stress/routertest"
)

// fault is what is wrong with the subjects on purpose, where the variable is
// set: the kits must say so.
var fault = os.Getenv("OUTSIDE_FAULT")

func TestChannelPool(t *testing.T) {
	pooltest.TestPool(t, func(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
		if fault == "one too many" {
			cfg.Size++
		}
		return channelPool{NewChannelPool(cfg.Size, cfg.Dial)}
	})
}

type channelPool struct{ *ChannelPool }

type channelLease struct {
	pool *ChannelPool
	conn net.Conn
}

func (p channelPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	c, err := p.Get(ctx)
	if err != nil {
		return nil, err
	}
	return channelLease{p.ChannelPool, c}, nil
}

func (l channelLease) Conn() net.Conn { return l.conn }
func (l channelLease) Release()       { l.pool.Put(l.conn) }
func (l channelLease) Discard() {
	_ = l.conn.Close() // it is broken
	l.pool.Put(nil)
}

func TestRequestPool(t *testing.T) {
	pooltest.TestPool(t, func(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
		return requestPool{NewRequestPool(cfg.Size, cfg.Dial)}
	})
}

type requestPool struct{ *RequestPool }

type requestLease struct {
	pool *RequestPool
	conn net.Conn
}

func (p requestPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	c, err := p.Get(ctx)
	if err != nil {
		return nil, err
	}
	return requestLease{p.RequestPool, c}, nil
}

func (l requestLease) Conn() net.Conn { return l.conn }
func (l requestLease) Release()       { l.pool.Put(l.conn) }
func (l requestLease) Discard() {
	if fault == "returns broken" {
		l.pool.Put(l.conn)
		return
	}
	l.pool.Drop(l.conn)
}

func TestRouter(t *testing.T) {
	routertest.TestRouter(t, func(_ testing.TB, cfg routertest.Config) routertest.Router {
		return router{NewRouter[routertest.Message](cfg.Mailbox)}
	})
}

type router struct{ *Router[routertest.Message] }

func (router) Errors() routertest.Errors {
	return routertest.Errors{Unknown: ErrUnknown, Taken: ErrTaken, Full: ErrFull, Closed: ErrClosed}
}

func (r router) Send(name string, m routertest.Message) error {
	if err := r.Router.Send(name, m); err != nil && !(fault == "says taken where it is full" && err == ErrFull) {
		return err
	}
	return nil
}
