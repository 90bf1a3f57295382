// Package echo is the server that pooled connections lead to: a process of its
// own that returns every frame of 64 bytes inverted, so that a reply proves to
// have been there and back. It counts what it sees and cuts connections when
// told to.
package echo

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"tensile/stress/internal/proc"
)

// FrameSize is the length of a request and of its reply, in bytes.
const FrameSize = 64

// Frame is a request or a reply.
type Frame [FrameSize]byte

// Request fills f with the request of operation id: the number, and bytes that
// follow from it.
func (f *Frame) Request(id uint64) {
	for at := 0; at < FrameSize; at += 8 {
		binary.LittleEndian.PutUint64(f[at:], id*(uint64(at)+1))
	}
}

// Invert turns a request into its reply, and back.
func (f *Frame) Invert() {
	for at := 0; at < FrameSize; at += 8 {
		binary.LittleEndian.PutUint64(f[at:], ^binary.LittleEndian.Uint64(f[at:]))
	}
}

// Answers tells which operation f is the reply to; ok is false if it is none.
func (f *Frame) Answers() (id uint64, ok bool) {
	id = ^binary.LittleEndian.Uint64(f[0:])
	for at := 8; at < FrameSize; at += 8 {
		if ^binary.LittleEndian.Uint64(f[at:]) != id*(uint64(at)+1) {
			return 0, false
		}
	}
	return id, true
}

const role = "echo"

func init() { proc.Handle(role, serve) }

// request is what the parent asks: to cut that many connections, chosen by
// the seed, and then for the numbers.
type request struct {
	Cut  int
	Seed uint64
}

// Stats are the numbers of a server.
type Stats struct {
	Addr     string // where it listens
	Open     int    // connections now
	Accepted int    // connections ever
	Served   int64  // frames answered
	Cut      int    // connections cut by this request
}

// Server is the child process, seen from its parent.
type Server struct {
	process *proc.Process
	Addr    string
}

// Start starts a server on a free port of the loopback.
func Start() (*Server, error) {
	p, err := proc.Start(role, nil)
	if err != nil {
		return nil, err
	}
	s := &Server{process: p}
	stats, err := s.Stats()
	if err != nil {
		_ = p.Close() // the first error says it
		return nil, err
	}
	s.Addr = stats.Addr
	return s, nil
}

// Stats asks for the numbers of this instant.
func (s *Server) Stats() (Stats, error) {
	var stats Stats
	err := s.process.Ask(context.Background(), request{}, &stats)
	return stats, err
}

// Cut resets n connections, chosen by seed, and returns how many there were.
func (s *Server) Cut(n int, seed uint64) (int, error) {
	var stats Stats
	err := s.process.Ask(context.Background(), request{Cut: n, Seed: seed}, &stats)
	return stats.Cut, err
}

// Close ends the server.
func (s *Server) Close() error { return s.process.Close() }

// Kill ends the server with SIGKILL.
func (s *Server) Kill() { s.process.Kill() }

// server is the child's side.
type server struct {
	listener net.Listener
	served   atomic.Int64
	mu       sync.Mutex
	next     int
	open     map[int]*net.TCPConn
}

func serve(link *proc.Link) error {
	// Keep-alives would cost as much as the rest of a connection.
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &server{listener: listener, open: make(map[int]*net.TCPConn)}
	go s.accept()
	return link.Serve(func(body json.RawMessage) (any, error) {
		var r request
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, err
		}
		cut := s.cut(r.Cut, r.Seed)
		s.mu.Lock()
		defer s.mu.Unlock()
		return Stats{listener.Addr().String(), len(s.open), s.next, s.served.Load(), cut}, nil
	})
}

func (s *server) accept() {
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

func (s *server) echo(id int, conn net.Conn) {
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
		f.Invert()
		if _, err := conn.Write(f[:]); err != nil {
			return
		}
		s.served.Add(1)
	}
}

// cut resets up to n connections.
func (s *server) cut(n int, seed uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int, 0, len(s.open))
	for id := range s.open {
		ids = append(ids, id)
	}
	slices.Sort(ids) // a map has no order of its own, and the seed is to decide
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(n, len(ids))]
	for _, id := range ids {
		_ = s.open[id].SetLinger(0) // a reset, as from a crash; a plain end will do
		_ = s.open[id].Close()
		delete(s.open, id)
	}
	return len(ids)
}
