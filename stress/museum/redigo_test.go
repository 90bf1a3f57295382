package museum

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"tensile/stress/pooltest"
)

func redigo(t *testing.T) {
	pooltest.TestPool(t, func(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
		return &redigoPool{Pool: redis.Pool{MaxActive: cfg.Size, MaxIdle: cfg.Size, Wait: true,
			DialContext: func(ctx context.Context) (redis.Conn, error) {
				c, err := cfg.Dial(ctx)
				if err != nil {
					return nil, err
				}
				return &redigoConn{Conn: c}, nil
			}}}
	})
}

type redigoPool struct {
	redis.Pool
	lent sync.WaitGroup
}

// redigoConn is a connection that speaks no Redis: Do returns what it is made of.
type redigoConn struct {
	net.Conn
	broken atomic.Bool
}

var (
	errBroken  = errors.New("broken")
	errNoRedis = errors.New("this connection speaks no Redis")
)

func (c *redigoConn) Err() error {
	if c.broken.Load() {
		return errBroken
	}
	return nil
}
func (c *redigoConn) Do(string, ...any) (any, error) { return c, nil }
func (c *redigoConn) Send(string, ...any) error      { return errNoRedis }
func (c *redigoConn) Flush() error                   { return errNoRedis }
func (c *redigoConn) Receive() (any, error)          { return nil, errNoRedis }

type redigoLease struct {
	pool *redigoPool
	lent redis.Conn
	conn *redigoConn
}

func (p *redigoPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	p.lent.Add(1)
	lent, err := p.GetContext(ctx)
	if err != nil {
		p.lent.Done()
		return nil, err
	}
	c, err := lent.Do("what")
	if err != nil {
		return nil, err
	}
	return &redigoLease{p, lent, c.(*redigoConn)}, nil
}

// Close waits for the connections lent out, which redigo leaves to its caller.
func (p *redigoPool) Close() error {
	err := p.Pool.Close()
	p.lent.Wait()
	return err
}

func (l *redigoLease) Conn() net.Conn { return l.conn.Conn }

func (l *redigoLease) Release() {
	_ = l.lent.Close() // gives it back
	l.pool.lent.Done()
}

func (l *redigoLease) Discard() {
	l.conn.broken.Store(true)
	l.Release()
}
