package outside

import (
	"context"
	"net"
	"os"
	"testing"

	"tensile/stress"
)

// fault is what is wrong with the subjects on purpose, where the variable is
// set: the kits must say so.
var fault = os.Getenv("OUTSIDE_FAULT")

func TestChannelPool(t *testing.T) {
	stress.TestPool(t, func(_ testing.TB, cfg stress.PoolConfig) stress.Pool {
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

func (p channelPool) Acquire(ctx context.Context) (stress.Lease, error) {
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

func TestSQLPool(t *testing.T) {
	stress.TestPool(t, func(_ testing.TB, cfg stress.PoolConfig) stress.Pool {
		return sqlPool{NewSQLPool(cfg.Size, cfg.Dial)}
	})
}

type sqlPool struct{ *SQLPool }

type sqlLease struct{ *SQLConn }

func (p sqlPool) Acquire(ctx context.Context) (stress.Lease, error) {
	c, err := p.Get(ctx)
	if err != nil {
		return nil, err
	}
	return sqlLease{c}, nil
}

// Unordered says that database/sql serves any of its waiters next.
func (sqlPool) Unordered() {}

func (l sqlLease) Conn() net.Conn { return l.SQLConn.Conn }
func (l sqlLease) Release()       { l.Put() }
func (l sqlLease) Discard() {
	if fault == "returns broken" {
		l.Put()
		return
	}
	l.Drop()
}

func TestRouter(t *testing.T) {
	stress.TestRouter(t, func(_ testing.TB, cfg stress.RouterConfig) stress.Router {
		return router{NewRouter[stress.Message](cfg.Mailbox)}
	})
}

type router struct{ *Router[stress.Message] }

func (router) Errors() stress.RouterErrors {
	return stress.RouterErrors{Unknown: ErrUnknown, Taken: ErrTaken, Full: ErrFull, Closed: ErrClosed}
}

func (r router) Send(name string, m stress.Message) error {
	if err := r.Router.Send(name, m); err != nil && !(fault == "says taken where it is full" && err == ErrFull) {
		return err
	}
	return nil
}
