package pool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"tensile/pool"
)

// echo serves what is sent to it, until its listener is closed.
func echo() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener
}

// A pool of TCP connections: acquire one, use it, give it back if it is still
// good and discard it if not.
func Example() {
	server := echo()
	defer server.Close()
	p, err := pool.New(pool.Config[net.Conn]{
		MaxSize: 8,
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", server.Addr().String())
		},
		Close: net.Conn.Close,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	ask := func(ctx context.Context, question string) (string, error) {
		lease, err := p.Acquire(ctx)
		if err != nil {
			return "", err
		}
		if _, err := fmt.Fprintln(lease.Conn(), question); err != nil {
			lease.Discard()
			return "", err
		}
		answer, err := bufio.NewReader(lease.Conn()).ReadString('\n')
		if err != nil {
			lease.Discard()
			return "", err
		}
		lease.Release()
		return answer, nil
	}
	for range 3 {
		answer, err := ask(context.Background(), "hello")
		fmt.Print(answer)
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("connections dialled:", p.Stats().Dialled)
	// Output:
	// hello
	// hello
	// hello
	// connections dialled: 1
}

// numbered is a configuration whose connections are numbers, for the examples
// that need no network.
func numbered(size int) pool.Config[int] {
	next := 0
	return pool.Config[int]{
		MaxSize: size,
		Dial:    func(context.Context) (int, error) { next++; return next, nil },
		Close:   func(c int) error { fmt.Println("closed", c); return nil },
	}
}

// A caller that waits for no longer than it can afford gets the error of its
// context, and its place in line is gone with it.
func ExamplePool_Acquire_deadline() {
	p, _ := pool.New(numbered(1))
	lease, _ := p.Acquire(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := p.Acquire(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))

	lease.Release()
	lease, err = p.Acquire(context.Background())
	fmt.Println(lease.Conn(), err)
	lease.Release()
	_ = p.Close()
	// Output:
	// true
	// 1 <nil>
	// closed 1
}

// A bound on those who wait turns the rest away at once, which keeps an
// overloaded server answering.
func ExampleConfig_maxWaiters() {
	cfg := numbered(1)
	cfg.MaxWaiters = pool.NoWaiters
	p, _ := pool.New(cfg)
	lease, _ := p.Acquire(context.Background())
	_, err := p.Acquire(context.Background())
	fmt.Println(errors.Is(err, pool.ErrOverflow), err)
	lease.Release()
	_ = p.Close()
	// Output:
	// true pool: too many waiters
	// closed 1
}

// A connection that may have broken while nobody used it is checked before it
// is lent; one that fails is closed, and another takes its place.
func ExampleConfig_check() {
	cfg := numbered(4)
	cfg.CheckAfter = time.Millisecond
	cfg.Check = func(_ context.Context, conn int) error {
		return fmt.Errorf("connection %d was reset", conn)
	}
	p, _ := pool.New(cfg)
	lease, _ := p.Acquire(context.Background())
	conn := lease.Conn()
	fmt.Println("lent", conn)
	lease.Release()
	for conn == 1 { // until it has been idle for long enough
		time.Sleep(2 * time.Millisecond)
		lease, _ = p.Acquire(context.Background())
		conn = lease.Conn()
		lease.Release()
	}
	fmt.Println("lent", conn)
	_ = p.Close()
	// Output:
	// lent 1
	// closed 1
	// lent 2
	// closed 2
}

// A broken connection is discarded; the next caller dials its replacement.
func ExampleLease_Discard() {
	p, _ := pool.New(numbered(1))
	lease, _ := p.Acquire(context.Background())
	lease.Discard()
	lease, _ = p.Acquire(context.Background())
	fmt.Println("lent", lease.Conn())
	lease.Release()
	_ = p.Close()
	// Output:
	// closed 1
	// lent 2
	// closed 2
}

// A configuration that makes no sense is refused with what is accepted.
func ExampleNew_error() {
	cfg := numbered(8)
	cfg.MinIdle = 9
	_, err := pool.New(cfg)
	fmt.Println(errors.Is(err, pool.ErrConfig))
	fmt.Println(err)
	// Output:
	// true
	// pool: bad configuration: MinIdle is 9, must be 0 to MaxSize (8)
}
