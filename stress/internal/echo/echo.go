// Package echo is the server that pooled connections lead to. It runs in a process of
// its own and returns every frame of 64 bytes inverted, so that a reply proves that the
// frame has been there and back. It counts connections and frames, and cuts connections
// when told to.
package echo

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"tensile/stress/internal/proc"
)

// frameSize is the length of a request and of its reply, in bytes.
const frameSize = 64

// Frame is a request or a reply.
type Frame [frameSize]byte

// Request fills f with the request of operation id: the number, and bytes that
// follow from it.
func (f *Frame) Request(id uint64) {
	for at := 0; at < frameSize; at += 8 {
		binary.LittleEndian.PutUint64(f[at:], id*(uint64(at)+1))
	}
}

// Invert turns a request into its reply, and back.
func (f *Frame) Invert() {
	for at := 0; at < frameSize; at += 8 {
		binary.LittleEndian.PutUint64(f[at:], ^binary.LittleEndian.Uint64(f[at:]))
	}
}

// Answers tells which operation f is the reply to; ok is false if it is none.
func (f *Frame) Answers() (id uint64, ok bool) {
	id = ^binary.LittleEndian.Uint64(f[0:])
	for at := 8; at < frameSize; at += 8 {
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

// server is the child's side. Its methods are safe for concurrent use.
type server interface {
	// count is what the server has seen.
	count() Stats
	// connections are the numbers of those that are open, in order.
	connections() []int
	// reset ends one as a crash would, and tells whether it was there.
	reset(id int) bool
}

func serve(link *proc.Link) error {
	s, err := listen()
	if err != nil {
		return err
	}
	return proc.Serve(link, func(r request) (any, error) {
		cut := cut(s, r.Cut, r.Seed)
		stats := s.count()
		stats.Cut = cut
		return stats, nil
	})
}

// cut resets up to n connections.
func cut(s server, n int, seed uint64) (done int) {
	if n == 0 {
		return 0
	}
	ids := s.connections()
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids[:min(n, len(ids))] {
		if s.reset(id) {
			done++
		}
	}
	return done
}

// answer inverts the whole frames in b, and returns their length.
func answer(b []byte) (whole int) {
	for ; whole+frameSize <= len(b); whole += frameSize {
		(*Frame)(b[whole:]).Invert()
	}
	return whole
}
