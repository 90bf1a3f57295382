//go:build !linux

package echo

import (
	"context"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// goroutines is a server with a goroutine for each connection.
type goroutines struct {
	listener net.Listener
	served   atomic.Int64
	mu       sync.Mutex
	next     int
	open     map[int]*net.TCPConn
}

func listen() (server, error) {
	// Keep-alives would cost as much as the rest of a connection.
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &goroutines{listener: listener, open: make(map[int]*net.TCPConn)}
	go s.accept()
	return s, nil
}

func (s *goroutines) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			continue // out of descriptors for a moment: the dialler is told by its time-out
		}
		s.mu.Lock()
		s.next++
		id := s.next
		s.open[id] = conn.(*net.TCPConn)
		s.mu.Unlock()
		go s.echo(id, conn)
	}
}

func (s *goroutines) echo(id int, conn net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, id)
		s.mu.Unlock()
		_ = conn.Close() // the other side has gone or is being sent away
	}()
	var f Frame
	for {
		if _, err := io.ReadFull(conn, f[:]); err != nil {
			return
		}
		answer(f[:])
		if _, err := conn.Write(f[:]); err != nil {
			return
		}
		s.served.Add(1)
	}
}

func (s *goroutines) count() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Addr: s.listener.Addr().String(), Open: len(s.open), Accepted: s.next, Served: s.served.Load()}
}

func (s *goroutines) connections() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.open))
}

func (s *goroutines) reset(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.open[id]
	if conn == nil {
		return false
	}
	_ = conn.SetLinger(0) // a reset, as from a crash; a plain end will do
	_ = conn.Close()
	delete(s.open, id)
	return true
}
