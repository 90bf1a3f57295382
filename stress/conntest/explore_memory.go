package conntest

import (
	"net"
	"testing"
	"time"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/pipe"
	"tensile/stress/internal/programs"
)

// memory is the seam of a server whose connections are in memory.
type memory struct {
	m      *model
	server Server
	line   *line
}

// newModel opens a server and has it serve.
func newModel(p *programs.Program, tb testing.TB, open func(testing.TB, Config) Server, cfg Config) *model {
	m := &model{Program: p, serves: true}
	s := &memory{m: m, server: open(tb, cfg), line: newLine(m)}
	m.via = s
	if s.server == nil {
		tb.Fatalf("open returned no server for %+v, though it did before", cfg)
	}
	m.Step("Serve")
	go s.serve(s.line)
	<-s.line.began // Close is called of a server that serves
	return m
}

// serve calls Serve, which returns when Close was called, or there is a reason.
func (s *memory) serve(l net.Listener) {
	err := s.server.Serve(l)
	m := s.m
	m.mu.Lock()
	m.serves = false
	m.moves++
	early := !m.closing && m.excused == ""
	m.mu.Unlock()
	if early {
		m.Violate("survival", "Serve returned %v, though nobody has called Close and Accept has not failed", err)
	}
}

func (s *memory) dial(c *peer) {
	a, b := pipe.NewSize(uint16(c.room), roomOfServer)
	s.m.mu.Lock()
	c.conn, c.wire.Conn = a, b
	s.m.mu.Unlock()
	s.line.offer(c.wire)
}

func (s *memory) pause() { time.Sleep(betweenPieces) }

func (s *memory) fill(c *peer, both bool) int {
	n := c.room/exchange.Size + 2
	if both {
		n += roomOfServer / exchange.Size
	}
	return n
}

// leave is for a connection of which either end closes both halves.
func (s *memory) leave(c *peer, _ way) { _ = c.conn.Close() } // never fails

// shut calls Close. The listener is closed after it, as the server need not.
func (s *memory) shut() *wrong {
	s.line.stop()
	err := s.server.Close()
	_ = s.line.Close() // never fails
	if err != nil {
		return violation("close", "Close returned %q", err)
	}
	return nil
}

const (
	// restFor is more than time may pass ahead of the last instant at which nothing
	// could run. Where nothing has moved for so long, all that came before has got
	// as far as it can.
	restFor = 60 * time.Millisecond
	// A subject may look only now and then whether something is to be done: what
	// is wrong must be so for long, in virtual time.
	restTimes = 9
	// betweenPieces is longer than time passes ahead of what can run.
	betweenPieces = restFor
)

func (s *memory) rest() *wrong {
	pause := restFor
	for try := 0; ; try++ {
		programs.Settle(pause, s.m.seen)
		if w := s.m.wrong(); w == nil || try == restTimes {
			return w
		}
		pause *= 2
	}
}
