package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/puddle/v2"

	"tensile/pool"
	"tensile/stress/internal/echo"
	"tensile/stress/load"
)

// The shape of the pooling scenario.
const (
	pools        = 128
	connsPerPool = 8
	callers      = 64
)

func pooling() []comparison {
	checkout := func(work string, goroutines, n int, why string) comparison {
		c := comparison{scenario: "pooling", work: work, unit: "ns/op", lower: true, n: n, why: why}
		for _, p := range checkouts {
			c.contestants = append(c.contestants, contestant{name: p.name, bound: p.bound, lacks: p.lacks,
				sample: func(n int) (float64, error) {
					loop, end, err := p.open(connsPerPool)
					if err != nil {
						return 0, err
					}
					ns, err := perOp(n, func() error {
						return together(goroutines, n, func(_, n int) error { return loop(n) })
					})
					return ns, errors.Join(err, end())
				}})
		}
		return c
	}
	return []comparison{
		checkout("acquire and release, one goroutine", 1, 2_000_000,
			"A profile shows that tensile/pool spends two fifths of its time in its mutex, as the plain list does. The rest is "+
				"what the "+
				"list lacks: the check of the context, the numbers that make a lease end once, and the totals of Stats."),
		checkout(fmt.Sprintf("acquire and release, %d goroutines on %d", callers, connsPerPool), callers, 5_000_000,
			"If waiters are served in order, a connection goes to a goroutine that must first be scheduled. Once there are "+
				"more callers "+
				"than connections, each operation costs a switch of goroutines. A profile shows that most of the time is the "+
				"scheduler, "+
				"waking goroutines, and the mutex, on which holders are parked too. A channel does not park a goroutine that "+
				"returns a "+
				"connection, so it reaches that state later: once goroutines are preempted while they hold a connection, which "+
				"takes runs "+
				"ten times as long."),
		echoes(),
	}
}

// checkouts are the pools without connections behind them. Each is opened with
// a size and gives a loop of n times acquire and release; the loop is written
// out for each, since a call through an interface would be a good part of what
// is measured.
var checkouts = []struct {
	name  string
	bound bool
	lacks string
	open  func(size int) (loop func(n int) error, end func() error, err error)
}{
	{name: "tensile/pool", open: func(size int) (func(int) error, func() error, error) {
		p, err := pool.New(pool.Config[*int]{MaxSize: size,
			Dial: func(context.Context) (*int, error) { return new(int), nil }, Close: func(*int) error { return nil }})
		if err != nil {
			return nil, nil, err
		}
		return func(n int) error {
			ctx := context.Background()
			for range n {
				l, err := p.Acquire(ctx)
				if err != nil {
					return err
				}
				l.Release()
			}
			return nil
		}, p.Close, nil
	}},
	{name: "puddle v2", open: func(size int) (func(int) error, func() error, error) {
		p, err := puddle.NewPool(&puddle.Config[*int]{MaxSize: int32(size),
			Constructor: func(context.Context) (*int, error) { return new(int), nil }, Destructor: func(*int) {}})
		if err != nil {
			return nil, nil, err
		}
		return func(n int) error {
			ctx := context.Background()
			for range n {
				r, err := p.Acquire(ctx)
				if err != nil {
					return err
				}
				r.Release()
			}
			return nil
		}, func() error { p.Close(); return nil }, nil
	}},
	{name: "database/sql", open: func(size int) (func(int) error, func() error, error) {
		db := openDB(func(context.Context) (net.Conn, error) { return nil, nil }, size)
		return func(n int) error {
			ctx := context.Background()
			for range n {
				c, err := db.Conn(ctx)
				if err != nil {
					return err
				}
				if err := c.Close(); err != nil {
					return err
				}
			}
			return nil
		}, db.Close, nil
	}},
	{name: "buffered channel", lacks: "errors, deadlines, limits, replacement",
		open: func(size int) (func(int) error, func() error, error) {
			free := make(chan *int, size)
			for range size {
				free <- new(int)
			}
			return func(n int) error {
				for range n {
					free <- <-free
				}
				return nil
			}, nothing, nil
		}},
	{name: "mutex and list of waiters", lacks: "errors, deadlines, limits, replacement",
		open: func(size int) (func(int) error, func() error, error) {
			p := newPlain(size)
			return func(n int) error {
				for range n {
					p.put(p.get())
				}
				return nil
			}, nothing, nil
		}},
	{name: "sync.Pool", bound: true, lacks: "a bound, so nobody ever waits",
		open: func(int) (func(int) error, func() error, error) {
			p := sync.Pool{New: func() any { return new(int) }}
			return func(n int) error {
				for range n {
					p.Put(p.Get())
				}
				return nil
			}, nothing, nil
		}},
}

func nothing() error { return nil }

// plain is the least that serves waiters in order.
type plain struct {
	mu      sync.Mutex
	free    []*int
	waiters []chan *int
}

func newPlain(size int) *plain {
	p := &plain{}
	for range size {
		p.free = append(p.free, new(int))
	}
	return p
}

func (p *plain) get() *int {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		x := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return x
	}
	served := make(chan *int, 1)
	p.waiters = append(p.waiters, served)
	p.mu.Unlock()
	return <-served
}

func (p *plain) put(x *int) {
	p.mu.Lock()
	if len(p.waiters) > 0 {
		first := p.waiters[0]
		p.waiters = p.waiters[1:]
		p.mu.Unlock()
		first <- x
		return
	}
	p.free = append(p.free, x)
	p.mu.Unlock()
}

// dialler is the least that database/sql takes for a driver: its connections
// are net.Conn and do nothing else.
type dialler func(context.Context) (net.Conn, error)

type sqlConn struct{ net.Conn }

var errNoSQL = errors.New("this driver has connections and no SQL")

func (d dialler) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := d(ctx)
	return &sqlConn{c}, err
}
func (d dialler) Driver() driver.Driver            { return d }
func (d dialler) Open(string) (driver.Conn, error) { return d.Connect(context.Background()) }

func (*sqlConn) Prepare(string) (driver.Stmt, error) { return nil, errNoSQL }
func (*sqlConn) Begin() (driver.Tx, error)           { return nil, errNoSQL }
func (c *sqlConn) Close() error {
	if c.Conn == nil {
		return nil
	}
	return c.Conn.Close()
}

func openDB(d dialler, size int) *sql.DB {
	db := sql.OpenDB(d)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db
}

// echoes is the whole scenario: goroutines that each acquire a connection,
// have 64 bytes returned by a server in a process of its own, and release.
func echoes() comparison {
	c := comparison{scenario: "pooling", unit: "echoes/s", n: 100_000,
		work: fmt.Sprintf("a goroutine for each echo, over %d × %d TCP connections", pools, connsPerPool)}
	for _, s := range echoers {
		c.contestants = append(c.contestants, contestant{name: s.name, sample: func(n int) (float64, error) {
			return withServer(func(dial dialler) (float64, error) {
				all := make([]echoer, pools)
				for i := range all {
					e, err := s.open(dial, connsPerPool)
					if err != nil {
						return 0, err
					}
					all[i] = e
				}
				defer func() {
					for _, e := range all {
						e.close()
					}
				}()
				// All connections are open before the clock starts.
				if err := together(pools*connsPerPool*4, pools*connsPerPool*8, func(w, n int) error {
					return repeat(n, func(i int) error { return all[w%pools].echo(w*n + i) })
				}); err != nil {
					return 0, err
				}
				errs := make(chan error, 1)
				out := load.Burst(context.Background(), n, nil, func(i int, _ *load.Gate) {
					if err := all[i%pools].echo(i); err != nil {
						select {
						case errs <- err:
						default:
						}
					}
				})
				select {
				case err := <-errs:
					return 0, err
				default:
				}
				return float64(n) / out.Took.Seconds(), nil
			})
		}})
	}
	c.contestants = append(c.contestants, contestant{name: "a connection for each goroutine", bound: true,
		lacks: fmt.Sprintf("a pool: %d goroutines with a connection of their own", pools*connsPerPool),
		sample: func(n int) (float64, error) {
			return withServer(func(dial dialler) (float64, error) {
				conns := make([]net.Conn, pools*connsPerPool)
				for i := range conns {
					conn, err := dial(context.Background())
					if err != nil {
						return 0, err
					}
					defer func() { _ = conn.Close() }()
					conns[i] = conn
				}
				return perSecond(n, func() error {
					return together(len(conns), n, func(w, n int) error {
						return repeat(n, func(i int) error { return roundTrip(conns[w], w*n+i) })
					})
				})
			})
		}})
	return c
}

func repeat(n int, body func(i int) error) error {
	for i := range n {
		if err := body(i); err != nil {
			return err
		}
	}
	return nil
}

// withServer has body use connections to an echo server in another process.
func withServer(body func(dial dialler) (float64, error)) (float64, error) {
	server, err := echo.Start()
	if err != nil {
		return 0, err
	}
	d := net.Dialer{Timeout: 10 * time.Second}
	x, err := body(func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", server.Addr) })
	return x, errors.Join(err, server.Close())
}

// roundTrip has the frame of operation op returned, and checks it.
func roundTrip(c net.Conn, op int) error {
	var f, reply echo.Frame
	f.Request(uint64(op))
	if _, err := c.Write(f[:]); err != nil {
		return err
	}
	for at := 0; at < len(reply); {
		n, err := c.Read(reply[at:])
		if err != nil {
			return err
		}
		at += n
	}
	if id, ok := reply.Answers(); !ok || id != uint64(op) {
		return fmt.Errorf("operation %d got the reply to %d", op, id)
	}
	return nil
}

// echoer is a pool of real connections.
type echoer struct {
	echo  func(op int) error
	close func()
}

var echoers = []struct {
	name string
	open func(dial dialler, size int) (echoer, error)
}{
	{"tensile/pool", func(dial dialler, size int) (echoer, error) {
		p, err := pool.New(pool.Config[net.Conn]{MaxSize: size, Dial: dial, Close: net.Conn.Close})
		if err != nil {
			return echoer{}, err
		}
		return echoer{func(op int) error {
			l, err := p.Acquire(context.Background())
			if err != nil {
				return err
			}
			defer l.Release()
			return roundTrip(l.Conn(), op)
		}, func() { _ = p.Close() }}, nil
	}},
	{"puddle v2", func(dial dialler, size int) (echoer, error) {
		p, err := puddle.NewPool(&puddle.Config[net.Conn]{MaxSize: int32(size),
			Constructor: puddle.Constructor[net.Conn](dial), Destructor: func(c net.Conn) { _ = c.Close() }})
		if err != nil {
			return echoer{}, err
		}
		return echoer{func(op int) error {
			r, err := p.Acquire(context.Background())
			if err != nil {
				return err
			}
			defer r.Release()
			return roundTrip(r.Value(), op)
		}, p.Close}, nil
	}},
	{"database/sql", func(dial dialler, size int) (echoer, error) {
		db := openDB(dial, size)
		return echoer{func(op int) error {
			c, err := db.Conn(context.Background())
			if err != nil {
				return err
			}
			return errors.Join(c.Raw(func(raw any) error { return roundTrip(raw.(*sqlConn), op) }), c.Close())
		}, func() { _ = db.Close() }}, nil
	}},
}
