package conntest

import (
	"fmt"
	"net"
	"time"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/programs"
)

// model is a server of the subject for one program, with the connections that lead to
// it, and what must hold of them.
type model struct {
	*programs.Program
	via seam

	mu      programs.Lock // of what follows
	peers   []*peer
	moves   int    // counts what was seen to happen
	acting  int    // acts that were drawn and have not returned
	working int    // of them, those that let time pass
	excused string // why the server may have stopped accepting; "" for no reason
	serves  bool   // Serve has not returned
	closing bool   // Close was called
	closed  bool   // and has returned
}

// seam is what connections lead through: memory in virtual time, or TCP in real time.
type seam interface {
	// dial connects a peer, or notes that nobody takes it.
	dial(c *peer)
	// pause lets the server see what was sent.
	pause()
	// fill is how many requests a peer sends whose replies find no room, and, for both,
	// which find none themselves then.
	fill(c *peer, both bool) int
	// leave ends a connection from the peer's side.
	leave(c *peer, how way)
	// shut has Close called, and returns what is wrong with that.
	shut() *wrong
	// rest waits until nothing goes on any more, and returns what does not hold then.
	rest() *wrong
}

// way is how a peer has left.
type way int

const (
	stays way = iota
	hangsUp
	resets
	closesHalf // and reads on until the server ends the other
)

func (w way) String() string {
	return [...]string{"stays", "hung up", "reset it", "has closed its half"}[w]
}

// peer is the calling end of one connection.
type peer struct {
	m      *model
	name   string
	number uint64
	conn   net.Conn
	wire   *wire
	room   int // bytes of replies that the connection takes

	offered int    // requests, with the one of which some bytes are out
	whole   int    // requests that are out as a whole
	part    int    // bytes of the next one that are out
	how     string // the last ones were sent
	sending bool   // a call of Write is under way
	claimed bool   // an act of this stage sends, or ends the connection
	leaves  bool   // an act of this stage ends it

	right int            // replies that came
	reply exchange.Frame // the next one
	have  int            // bytes of it
	reads int            // bytes to read yet; endless for all that come
	wake  chan struct{}  // told when reads has changed
	over  bool           // nothing more will come
	left  way
	last  time.Time // when bytes came or went
}

// endless is for a peer that reads whatever comes.
const endless = -1

// rooms are how many bytes of replies a connection takes before the server waits: one
// that is small is full soon, also in the middle of a reply.
var rooms = [...]uint16{128, 100, 512, 64, 200, 7}

// roomOfServer is how many bytes of requests a connection takes.
const roomOfServer = 256

// peer makes one that is not connected yet. Its connection takes so many bytes of
// replies, of which it reads so many.
func (m *model) peer(room uint16, reads int) *peer {
	c := &peer{m: m, room: int(room), reads: reads, wake: make(chan struct{}, 1), last: time.Now()}
	c.wire = &wire{peer: c}
	m.mu.Lock()
	c.number = uint64(len(m.peers) + 1)
	c.name = programs.Letter(len(m.peers))
	m.peers = append(m.peers, c)
	m.moves++
	m.mu.Unlock()
	return c
}

// connects dials, and begins to read.
func (c *peer) connects() {
	c.m.via.dial(c)
	if c.conn != nil {
		go c.read()
	}
}

// is says where a connection stands.
func (c *peer) is() string {
	text := fmt.Sprintf("%d of %d replies", c.right, c.whole)
	switch {
	case c.wire.refused:
		return "was not accepted"
	case c.left == stays && c.wire.closed:
		return text + ", ended by the server"
	case c.conn == nil:
		return "not yet"
	}
	return text
}

// standing is where a connection stands when something is held against the server.
func (c *peer) standing() string {
	switch {
	case c.part > 0:
		return fmt.Sprintf("in the middle of request %d, after %d bytes", c.whole+1, c.part)
	case c.whole == 0:
		return "without a request"
	case c.right < c.whole:
		return "before the reply"
	}
	return "after its replies"
}

// patience is for how long, in virtual time, a server keeps a connection on which
// nothing happens at least; and hesitation one whose peer has stopped in the middle
// of a request, does not read, or has asked nothing yet: a server may end such a
// connection to protect itself.
const (
	patience   = 10 * time.Second
	hesitation = time.Second
)

// mayEnd tells whether the server may end a connection by itself; the lock is held.
func (c *peer) mayEnd() bool {
	m := c.m
	quiet := time.Since(c.last)
	odd := c.part > 0 || c.whole == 0 || c.reads != endless
	return c.left != stays || m.closing || m.excused == listenerClosed || quiet >= patience || odd && quiet >= hesitation
}

// there tells whether a peer has connected, has not left, and its connection has not
// ended.
func (c *peer) there() bool {
	return c.conn != nil && c.left == stays && !c.wire.closed && !c.wire.refused && !c.over
}

// full tells whether the server waits to write, or will soon; the lock is held.
func (c *peer) full() bool { return c.wire.writing > 0 || c.sending && c.reads != endless }

// ends notes that the server has ended a connection, for which it must have a reason.
func (c *peer) ends() {
	m := c.m
	m.mu.Lock()
	early := !c.wire.closed && !c.wire.refused && !c.mayEnd()
	c.wire.closed = true
	at := c.standing()
	m.moves++
	m.mu.Unlock()
	if early {
		m.Violate("survival", "the server has ended the connection of %s %s, though its peer is there", c.name, at)
	}
	m.Tried("survival")
}

// busy does what must have ended before anything is at rest.
func (m *model) busy(f func()) {
	m.mu.Lock()
	m.working++
	m.mu.Unlock()
	f()
	m.mu.Lock()
	m.working--
	m.moves++
	m.mu.Unlock()
}
