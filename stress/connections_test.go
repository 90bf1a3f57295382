package stress_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"tensile/stress/conntest"
)

func TestStressConnections(t *testing.T) { conntest.TestServer(t, openConnections) }

func BenchmarkConnections(b *testing.B) { conntest.BenchmarkServer(b, openConnections) }

func openConnections(tb testing.TB, cfg conntest.Config) conntest.Server {
	switch {
	case !cfg.Idle:
		return &goroutineEach{}
	case cfg.Network == "memory":
		return newEventDriven()
	case openIdleTCP != nil:
		return openIdleTCP()
	}
	return nil
}

// openIdleTCP opens a server of TCP connections without a goroutine each, on
// systems for which there is one.
var openIdleTCP func() conntest.Server

// goroutineEach is a server with a goroutine for each connection.
type goroutineEach struct {
	mu       sync.Mutex
	listener net.Listener
	open     heldConn // ring of all
	closed   bool
	done     sync.WaitGroup
}

// heldConn is a connection with its state, in a ring: a map would take more.
type heldConn struct {
	net.Conn
	session    conntest.State
	prev, next *heldConn
}

func (s *goroutineEach) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	s.open.prev, s.open.next = &s.open, &s.open
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		c := &heldConn{Conn: conn}
		if !s.add(c) {
			_ = conn.Close() // it has come too late
			return net.ErrClosed
		}
		go s.answer(c)
	}
}

func (s *goroutineEach) add(c *heldConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.done.Add(1)
	c.prev, c.next = s.open.prev, &s.open
	c.prev.next, c.next.prev = c, c
	return true
}

func (s *goroutineEach) answer(c *heldConn) {
	defer s.done.Done()
	defer func() {
		_ = c.Close() // the other end has gone, or Close did it
		s.mu.Lock()
		c.prev.next, c.next.prev = c.next, c.prev
		s.mu.Unlock()
	}()
	var frame [conntest.FrameSize]byte
	for {
		if _, err := io.ReadFull(c.Conn, frame[:]); err != nil {
			return
		}
		c.session.Answer(&frame)
		if _, err := c.Conn.Write(frame[:]); err != nil {
			return
		}
	}
}

func (s *goroutineEach) Close() error {
	s.mu.Lock()
	s.closed = true
	_ = s.listener.Close() // no more come in
	for c := s.open.next; c != &s.open; c = c.next {
		_ = c.Conn.Close() // its goroutine ends by it
	}
	s.mu.Unlock()
	s.done.Wait()
	return nil
}

// eventDriven is a server of in-memory connections that has a goroutine for one only
// while there are requests on it.
type eventDriven struct {
	mu       sync.Mutex
	listener net.Listener
	open     eventConn // ring of all
	closed   bool
	done     sync.WaitGroup
}

type eventConn struct {
	conntest.EventConn
	session    conntest.State
	server     *eventDriven
	prev, next *eventConn // in the ring
	served     bool       // by a goroutine, which will look again
	again      bool       // something came in meanwhile
}

func newEventDriven() *eventDriven {
	s := &eventDriven{}
	s.open.prev, s.open.next = &s.open, &s.open
	return s
}

func (s *eventDriven) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		c := &eventConn{EventConn: conn.(conntest.EventConn), server: s}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close() // it has come too late
			return net.ErrClosed
		}
		c.prev, c.next = s.open.prev, &s.open
		c.prev.next, c.next.prev = c, c
		s.mu.Unlock()
		c.OnReadable(c.ready)
	}
}

// ready has a goroutine answer, or look again.
func (c *eventConn) ready() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.again = true; s.closed || c.served {
		return
	}
	c.served = true
	s.done.Go(c.serve)
}

func (c *eventConn) serve() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for c.again {
		c.again = false
		s.mu.Unlock()
		ended := c.answer()
		s.mu.Lock()
		if ended {
			c.prev.next, c.next.prev = c.next, c.prev
			_ = c.Close() // the other end has gone
			return
		}
	}
	c.served = false
}

// answer answers what is complete, and says whether the connection has ended.
func (c *eventConn) answer() (ended bool) {
	var frame [conntest.FrameSize]byte
	for {
		n, last := c.Readable()
		if n < len(frame) {
			return last
		}
		if _, err := io.ReadFull(c.EventConn, frame[:]); err != nil {
			return true
		}
		c.session.Answer(&frame)
		if _, err := c.Write(frame[:]); err != nil {
			return true
		}
	}
}

func (s *eventDriven) Close() error {
	s.mu.Lock()
	s.closed = true
	_ = s.listener.Close() // no more come in
	for c := s.open.next; c != &s.open; c = c.next {
		_ = c.EventConn.Close() // its goroutine, if it has one, ends by it
	}
	s.mu.Unlock()
	s.done.Wait()
	return nil
}
