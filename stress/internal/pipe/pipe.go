package pipe

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// buffered is how many bytes an end takes by default before writers of the other wait.
const buffered = 4096

// pair is a connection: two ends under one lock. Whoever waits, at either end,
// waits for changed.
type pair struct {
	mu      sync.Mutex
	changed sync.Cond
	ends    [2]Conn
}

// Conn is one end. All its methods are safe for concurrent use.
type Conn struct {
	pair   *pair
	in     []byte // came in, and was not read yet
	ready  func()
	limits *limits // nil unless a deadline was ever set
	closed bool
	second bool   // which of the two ends it is
	looked bool   // since the other end wrote last
	room   uint16 // bytes that in takes before writers of the other end wait
}

// New makes a connection and returns its ends.
func New() (a, b *Conn) { return NewSize(buffered, buffered) }

// NewSize is New with ends that take so many bytes, from 1 to 65,535, before writers
// of the other end wait.
func NewSize(ofA, ofB uint16) (a, b *Conn) {
	p := new(pair)
	p.ends[0].room, p.ends[1].room = ofA, ofB
	p.changed.L = &p.mu
	p.ends[0].pair, p.ends[1].pair = p, p
	p.ends[1].second = true
	return &p.ends[0], &p.ends[1]
}

func (c *Conn) peer() *Conn {
	if c.second {
		return &c.pair.ends[0]
	}
	return &c.pair.ends[1]
}

// OnReadable has ready called whenever bytes or the end of the stream come in,
// and at once if they have: on the goroutine that brings them, so it must not
// block, and may be called again before it returns. It replaces an earlier one.
func (c *Conn) OnReadable(ready func()) {
	c.pair.mu.Lock()
	c.ready = ready
	now := len(c.in) > 0 || c.peer().closed
	c.pair.mu.Unlock()
	if now && ready != nil {
		ready()
	}
}

// Readable is the number of bytes that can be read without waiting, and whether
// the other end is closed, so that none will follow.
func (c *Conn) Readable() (n int, ended bool) {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	c.looked = true
	return len(c.in), c.peer().closed
}

// Noticed tells whether the other end has looked at what was written last: read
// some of it, or asked how much there is.
func (c *Conn) Noticed() bool {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	return c.peer().looked
}

func (c *Conn) Read(b []byte) (int, error) {
	p := c.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, io.ErrClosedPipe
		case c.limits.passed(reading):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(c.in) > 0:
			c.looked = true
			full := len(c.in) == int(c.room)
			n := copy(b, c.in)
			if c.in = c.in[n:]; len(c.in) == 0 {
				c.in = nil
			}
			if full {
				p.changed.Broadcast()
			}
			return n, nil
		case c.peer().closed:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

func (c *Conn) Write(b []byte) (n int, err error) {
	p, to := c.pair, c.peer()
	p.mu.Lock()
	for {
		switch {
		case c.closed || to.closed:
			err = io.ErrClosedPipe
		case c.limits.passed(writing):
			err = os.ErrDeadlineExceeded
		}
		if err != nil || len(b) == 0 {
			p.mu.Unlock()
			return n, err
		}
		if room := min(int(to.room)-len(to.in), len(b)); room > 0 {
			to.in, to.looked = append(to.in, b[:room]...), false
			n, b = n+room, b[room:]
			p.changed.Broadcast()
			if ready := to.ready; ready != nil {
				p.mu.Unlock()
				ready()
				p.mu.Lock()
			}
			continue
		}
		p.changed.Wait()
	}
}

// Close ends both directions. What the other end has not read yet it can still
// read.
func (c *Conn) Close() error {
	p := c.pair
	p.mu.Lock()
	if c.closed {
		p.mu.Unlock()
		return nil
	}
	c.closed, c.in, c.ready = true, nil, nil
	c.limits.stop()
	ready := c.peer().ready
	p.changed.Broadcast()
	p.mu.Unlock()
	if ready != nil {
		ready()
	}
	return nil
}

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }

// LocalAddr and RemoteAddr are the same for all connections.
func (c *Conn) LocalAddr() net.Addr  { return address{} }
func (c *Conn) RemoteAddr() net.Addr { return address{} }

// limits are the deadlines of one end, for each direction.
type limits struct {
	at    [2]time.Time
	timer [2]*time.Timer
}

const (
	reading = iota
	writing
)

func (l *limits) passed(direction int) bool {
	return l != nil && !l.at[direction].IsZero() && !time.Now().Before(l.at[direction])
}

func (l *limits) stop() {
	if l == nil {
		return
	}
	for _, t := range l.timer {
		if t != nil {
			t.Stop()
		}
	}
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.limit(t, reading, writing) }

// SetReadDeadline sets the deadline of Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.limit(t, reading) }

// SetWriteDeadline sets the deadline of Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.limit(t, writing) }

func (c *Conn) limit(t time.Time, directions ...int) error {
	p := c.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.closed {
		return io.ErrClosedPipe
	}
	if c.limits == nil {
		c.limits = new(limits)
	}
	for _, d := range directions {
		l := c.limits
		l.at[d] = t
		if l.timer[d] != nil {
			l.timer[d].Stop()
			l.timer[d] = nil
		}
		if left := time.Until(t); !t.IsZero() && left > 0 {
			l.timer[d] = time.AfterFunc(left, p.wake)
		}
	}
	p.changed.Broadcast()
	return nil
}

// wake has those that wait look at their deadlines.
func (p *pair) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed.Broadcast()
}
