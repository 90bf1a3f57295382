package fleet

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

const (
	user     = "fleet"
	password = "only for this test"
	escaped  = "only%20for%20this%20test" // in a URL
)

// natsServer starts a server that asks for a password, and lets so little through
// in one message that samples come in several pieces.
func natsServer(t *testing.T) *server.Server {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, Username: user,
		Password: password, AuthTimeout: 30, MaxPayload: 8 << 10, MaxPending: 1 << 20, NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}

// address is the URL of a server for one who knows the password.
func address(s *server.Server) string {
	return fmt.Sprintf("nats://%s:%s@%s", user, escaped, s.Addr())
}

// subject is a service on TCP that counts every operation it is asked for.
type subject struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu    sync.Mutex
	times map[uint64]int // each operation was asked for
	after int            // operations in all, before the last is answered,
	then  func()         // is called
	open  map[net.Conn]bool
}

func newSubject(t *testing.T) *subject {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &subject{listener: l, times: make(map[uint64]int), open: make(map[net.Conn]bool)}
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[c] = true
			s.mu.Unlock()
			s.serving.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for c := range s.open {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.serving.Wait()
	})
	return s
}

// serve counts the number that a client sends, and sends it back.
func (s *subject) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for b := make([]byte, 8); ; {
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		s.mu.Lock()
		s.times[binary.BigEndian.Uint64(b)]++
		if len(s.times) == s.after && s.then != nil {
			s.then()
			s.then = nil
		}
		s.mu.Unlock()
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// on has something done in the middle of a load, and waits for that.
func (s *subject) on(after int, then func()) {
	done := make(chan struct{})
	s.mu.Lock()
	s.after, s.then = after, func() { then(); close(done) }
	s.mu.Unlock()
	<-done
}

// counted is how many operations from first on, of count, were asked for, and how
// many of them more than once.
func (s *subject) counted(first, count int) (asked, again int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range count {
		switch n := s.times[uint64(first+i)]; {
		case n == 1:
			asked++
		case n > 1:
			asked++
			again++
		}
	}
	return asked, again
}

// client has a few connections to a subject.
type client struct{ idle chan net.Conn }

func dial(addr string, connections int) (*client, error) {
	c := &client{make(chan net.Conn, connections)}
	for range connections {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, errors.Join(err, c.close(len(c.idle)))
		}
		c.idle <- conn
	}
	return c, nil
}

func (c *client) close(n int) error {
	var errs []error
	for range n {
		errs = append(errs, (<-c.idle).Close())
	}
	return errors.Join(errs...)
}

// do asks for operation i.
func (c *client) do(ctx context.Context, i int) error {
	var conn net.Conn
	select {
	case conn = <-c.idle:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { c.idle <- conn }()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(i))
	if _, err := conn.Write(b[:]); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, b[:])
	return err
}
