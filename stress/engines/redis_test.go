package engines

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"tensile/stress/pooltest"
)

func TestGoRedis(t *testing.T) {
	sound(t, "go-redis", miniredis.RunT(t).Addr(), map[string]string{
		"pooling.bound": "after as many failed dials as there is room for, one goroutine dials " +
			"beside the pool to see whether it works again, and closes that at once",
	})
}

// redisPool is the pool within a go-redis client. It waits in Close for what is
// lent, which the client does not.
type redisPool struct {
	*redis.Client
	lent     sync.WaitGroup
	acquired atomic.Int64

	mu    sync.Mutex
	spoke map[string]net.Conn // by the greeting that went over it
}

// speaker is a connection that tells what was said over it: go-redis shows nobody
// the connection it lends.
type speaker struct {
	net.Conn
	raw syscall.Conn
	p   *redisPool
}

// SyscallConn is how go-redis looks whether the other end has closed it.
func (s *speaker) SyscallConn() (syscall.RawConn, error) { return s.raw.SyscallConn() }

func (s *speaker) NetConn() net.Conn { return s.Conn }

func (s *speaker) Write(b []byte) (int, error) {
	if at := strings.Index(string(b), greeting); at >= 0 {
		said, _, _ := strings.Cut(string(b[at:]), "\r\n")
		s.p.mu.Lock()
		s.p.spoke[said] = s
		s.p.mu.Unlock()
	}
	return s.Conn.Write(b)
}

const greeting = "tensile-greets-"

func openRedis(_ testing.TB, cfg pooltest.Config) pooltest.Pool {
	p := &redisPool{spoke: make(map[string]net.Conn)}
	p.Client = redis.NewClient(&redis.Options{
		Addr: server, Protocol: 2, DisableIdentity: true, MaxRetries: -1, ContextTimeoutEnabled: true,
		PoolSize: cfg.Size, MaxActiveConns: cfg.Size, MaxIdleConns: cfg.Size, PoolTimeout: time.Hour, DialerRetries: 1,
		ReadTimeout: -1, WriteTimeout: -1, ConnMaxIdleTime: cfg.MaxIdleTime, ConnMaxLifetime: cfg.MaxLifetime,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := cfg.DialTo(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &speaker{c, c.(syscall.Conn), p}, nil
		},
	})
	return p
}

func (p *redisPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	c, hello := p.Client.Conn(), fmt.Sprintf("%s%d", greeting, p.acquired.Add(1))
	p.lent.Add(1)
	if err := c.Echo(ctx, hello).Err(); err != nil {
		p.lent.Done()
		_ = c.Close()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.spoke[hello]
	delete(p.spoke, hello)
	return redisLease{p, c, at}, nil
}

func (p *redisPool) Close() error {
	p.lent.Wait()
	return p.Client.Close()
}

type redisLease struct {
	p  *redisPool
	c  *redis.Conn
	at net.Conn
}

func (l redisLease) Conn() net.Conn { return l.at }

func (l redisLease) Release() {
	_ = l.c.Close()
	l.p.lent.Done()
}

// Discard breaks the connection first, which has the pool close it.
func (l redisLease) Discard() {
	_ = l.at.Close()
	_ = l.c.Ping(context.Background()).Err()
	l.Release()
}

func (l redisLease) Echo(ctx context.Context, request []byte) ([]byte, error) {
	reply, err := l.c.Echo(ctx, string(request)).Result()
	return []byte(reply), err
}
