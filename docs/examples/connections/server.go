// Package connections is a server with a goroutine for each connection.
package connections

import (
	"io"
	"net"
	"sync"
)

// Server answers requests of a fixed size.
type Server[State any] struct {
	size   int
	answer func(*State, []byte)

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]struct{}
	closed   bool
	serving  sync.WaitGroup
}

// New returns a server whose requests have size bytes. answer turns a request into its
// reply, with the state of the connection.
func New[State any](size int, answer func(*State, []byte)) *Server[State] {
	return &Server[State]{size: size, answer: answer, open: make(map[net.Conn]struct{})}
}

// Serve accepts connections until Close.
func (s *Server[State]) Serve(l net.Listener) error {
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
			_ = conn.Close() // it came after Close
		} else {
			s.open[conn] = struct{}{}
			s.serving.Go(func() { s.serve(conn) })
		}
		s.mu.Unlock()
	}
}

func (s *Server[State]) serve(conn net.Conn) {
	var state State
	frame := make([]byte, s.size)
	for {
		if _, err := io.ReadFull(conn, frame); err != nil {
			break
		}
		s.answer(&state, frame)
		if _, err := conn.Write(frame); err != nil {
			break
		}
	}
	_ = conn.Close() // the other end has gone, or this one has closed it
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, conn)
}

// Close ends Serve and every connection, and waits for their goroutines.
func (s *Server[State]) Close() error {
	s.mu.Lock()
	s.closed = true
	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	for conn := range s.open {
		_ = conn.Close() // which ends its goroutine
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}
