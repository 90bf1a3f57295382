package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// cut is what the network between a node and others does not let through.
type cut struct {
	on      atomic.Bool // there is anything
	out, in map[string]bool
	changed chan struct{} // closed and replaced with every change
}

// way is the state of a connection whose packets may get lost on the way. As a socket
// does, it keeps what was written until it can be sent, and its end is not noticed at
// the other side before the way is free.
type way struct {
	writing sync.Mutex
	held    []byte      // written, and not sent
	holding atomic.Bool // there is any

	mu        sync.Mutex
	closed    bool
	kept      []byte // read, and not let through
	keptErr   error
	keeping   atomic.Bool // there is any
	readLate  time.Time   // the deadlines
	writeLate time.Time
	changed   chan struct{} // closed and replaced when it is closed, or a deadline set
}

// mostHeld is how many bytes are held before a writer waits, as a socket has it.
const mostHeld = 1 << 20

// dialTimeout is after how long a dial over a way that is cut fails, if its context
// has not ended.
const dialTimeout = 20 * time.Second

// cutOff sets the addresses to which nothing gets from this node, and those from
// which nothing does. None heals what was cut.
func (c *child) cutOff(o Order) (any, error) {
	c.damage.set(o.To, o.From)
	return nil, nil
}

func (d *damager) set(out, in []string) {
	d.mu.Lock()
	d.cut.out, d.cut.in = asSet(out), asSet(in)
	d.cut.on.Store(len(out)+len(in) > 0)
	if d.cut.changed != nil {
		close(d.cut.changed)
		d.cut.changed = nil
	}
	var free []*damaged
	for addr, conns := range d.conns {
		if !d.cut.out[addr] && !d.cut.in[addr] {
			free = append(free, conns...)
		}
	}
	d.mu.Unlock()
	for _, c := range free {
		go c.catchUp()
	}
}

func asSet(names []string) map[string]bool {
	set := make(map[string]bool)
	for _, n := range names {
		set[n] = true
	}
	return set
}

// drop closes what waits for a way to be free, as the node has ended.
func (d *damager) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conns := range d.conns {
		for _, c := range conns {
			if c.isClosed() {
				_ = c.Conn.Close() // nobody is there to be told
			}
		}
	}
}

// changes is closed with the next change of what is cut.
func (d *damager) changes() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut.changed == nil {
		d.cut.changed = make(chan struct{})
	}
	return d.cut.changed
}

func (d *damager) sends(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.cut.out[addr]
}

func (d *damager) hears(addr string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.cut.in[addr]
}

// reach waits until packets get to an address and back, as a dial takes both.
func (d *damager) reach(ctx context.Context, addr string) error {
	if !d.cut.on.Load() {
		return nil
	}
	late := time.NewTimer(dialTimeout)
	defer late.Stop()
	for {
		changed := d.changes()
		if d.sends(addr) && d.hears(addr) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("dial %s: %w", addr, ctx.Err())
		case <-late.C:
			return fmt.Errorf("dial %s: %w", addr, os.ErrDeadlineExceeded)
		}
	}
}

// await waits until a way is free, and returns why not.
func (c *damaged) await(free func(string) bool, deadline *time.Time) error {
	for {
		c.mu.Lock()
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		own, closed, late := c.changed, c.closed, *deadline
		c.mu.Unlock()
		changed := c.damager.changes()
		switch {
		case closed:
			return net.ErrClosed
		case free(c.addr):
			return nil
		case !late.IsZero() && !time.Now().Before(late):
			return os.ErrDeadlineExceeded
		}
		wait := dialTimeout
		if !late.IsZero() {
			wait = time.Until(late)
		}
		timer := time.NewTimer(wait)
		select {
		case <-own:
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// write sends b, or holds it for later.
func (c *damaged) write(b []byte) (int, error) {
	if !c.damager.cut.on.Load() && !c.holding.Load() {
		return c.Conn.Write(b)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.damager.sends(c.addr) {
		if len(c.held)+len(b) <= mostHeld {
			c.held = append(c.held, b...)
			c.holding.Store(true)
			return len(b), nil
		}
		if err := c.await(c.damager.sends, &c.writeLate); err != nil {
			return 0, err
		}
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// flush sends what is held. The lock for writing is held.
func (c *damaged) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	held := c.held
	c.held = nil
	_, err := c.Conn.Write(held)
	c.holding.Store(false)
	return err
}

// catchUp does what was to be done while the way was cut.
func (c *damaged) catchUp() {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if !closed && !c.holding.Load() {
		return
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if closed {
		_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second)) // or the write fails
	}
	_ = c.flush() // who writes next, or reads, is told
	if closed {
		c.damager.forget(c)
		_ = c.Conn.Close() // its owner was told that it is closed
	}
}

// Read withholds what has come while nothing would.
func (c *damaged) Read(b []byte) (int, error) {
	if !c.keeping.Load() {
		n, err := c.Conn.Read(b)
		switch {
		case !c.damager.cut.on.Load() && !c.isClosed():
			return n, err
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			if c.isClosed() {
				err = net.ErrClosed
			}
			return 0, err // which is not news of the other side
		}
		c.mu.Lock()
		c.kept, c.keptErr = bytes.Clone(b[:n]), err
		c.keeping.Store(true)
		c.mu.Unlock()
	}
	if err := c.await(c.damager.hears, &c.readLate); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := copy(b, c.kept)
	if c.kept = c.kept[n:]; len(c.kept) > 0 {
		return n, nil
	}
	err := c.keptErr
	c.keeping.Store(err != nil)
	return n, err
}

func (c *damaged) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close closes the connection, later where the other side cannot notice now.
func (c *damaged) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.wake()
	c.mu.Unlock()
	if c.damager.lingers(c) {
		return nil
	}
	return c.Conn.Close()
}

// lingers tells whether a connection that its owner has closed must stay open until
// the way is free.
func (d *damager) lingers(c *damaged) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut.out[c.addr] || d.cut.in[c.addr] {
		_ = c.Conn.SetDeadline(time.Now()) // who reads or writes is to return
		return true
	}
	d.remove(c)
	return false
}

func (d *damager) forget(c *damaged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(c)
}

// wake has those look again who wait for the way. The lock is held.
func (c *damaged) wake() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *damaged) late(t time.Time, deadlines ...*time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range deadlines {
		*d = t
	}
	c.wake()
}

func (c *damaged) SetDeadline(t time.Time) error {
	c.late(t, &c.readLate, &c.writeLate)
	return c.Conn.SetDeadline(t)
}

func (c *damaged) SetReadDeadline(t time.Time) error {
	c.late(t, &c.readLate)
	return c.Conn.SetReadDeadline(t)
}

func (c *damaged) SetWriteDeadline(t time.Time) error {
	c.late(t, &c.writeLate)
	return c.Conn.SetWriteDeadline(t)
}
