package conntest_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"tensile/stress/conntest"
)

// server answers each connection on a goroutine of its own.
type server struct {
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	closed   bool
	serving  sync.WaitGroup
}

func (s *server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		s.mu.Lock()
		if s.closed {
			_ = conn.Close() // it has come too late
		} else {
			s.open[conn] = true
			s.serving.Go(func() { s.answer(conn) })
		}
		s.mu.Unlock()
	}
}

func (s *server) answer(conn net.Conn) {
	var state conntest.State
	var frame [conntest.FrameSize]byte
	for {
		if _, err := io.ReadFull(conn, frame[:]); err != nil {
			break
		}
		state.Answer(&frame)
		if _, err := conn.Write(frame[:]); err != nil {
			break
		}
	}
	_ = conn.Close() // the other end has gone, or Close did it
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

func (s *server) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.listener != nil {
		_ = s.listener.Close() // no more come in
	}
	for conn := range s.open {
		_ = conn.Close() // its goroutine ends by it
	}
	s.mu.Unlock()
	s.serving.Wait()
	return nil
}

func open(_ testing.TB, cfg conntest.Config) conntest.Server {
	if cfg.Idle {
		return nil // every connection has a goroutine
	}
	return &server{open: make(map[net.Conn]bool)}
}

// In a file of tests, this is the function TestStressConnections.
func testStressConnections(t *testing.T) { conntest.TestServer(t, open) }

// A server with a goroutine for each connection, and the test that takes it through
// the scenario. The kit connects to the server as here, very often.
func Example() {
	_ = testStressConnections
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	s := open(nil, conntest.Config{Network: "tcp"})
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	var request, reply [conntest.FrameSize]byte
	_, _ = conn.Write(request[:])
	_, err = io.ReadFull(conn, reply[:])
	new(conntest.State).Answer(&request)
	fmt.Println("replied:", err, "as the state says:", reply == request)
	fmt.Println("closed:", s.Close(), "served:", <-served != nil)
	// Output:
	// replied: <nil> as the state says: true
	// closed: <nil> served: true
}
