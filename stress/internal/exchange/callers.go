package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Callers are the asking side of many connections, each with a number. They hold no
// goroutine and no buffer while they are idle. Their methods are not safe for concurrent
// use; each spreads its work over a few goroutines.
type Callers struct {
	first    uint64        // number of the first connection
	patience time.Duration // with one reply
	all      []caller
	next     int          // connection that is used next
	lived    atomic.Int64 // short lives so far, so that no two have a number in common

	mu      sync.Mutex
	account Account
}

// caller is one connection.
type caller struct {
	conn    net.Conn // nil once it has failed
	sent    uint32   // requests
	touched bool     // since Forget
}

// How many connections are in use at once: enough to make progress if each reply waits for
// a processor, and for a trickle so few that their own cost is not noticed.
const (
	tricklers = 32
	workers   = 128
)

// NewCallers returns callers of at most n connections, the first of which has
// the number given. A reply that takes longer than patience is lost.
func NewCallers(first uint64, n int, patience time.Duration) *Callers {
	return &Callers{first: first, patience: patience, all: make([]caller, 0, n)}
}

// Account returns what happened to all requests so far.
func (c *Callers) Account() Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.account
}

// Forget marks all connections as not touched.
func (c *Callers) Forget() {
	for i := range c.all {
		c.all[i].touched = false
	}
	c.account.Touched = 0
}

// Connect opens n more connections and sends one request on each. It stops at the first
// that cannot be opened, and returns why.
func (c *Callers) Connect(ctx context.Context, n int, dial func(ctx context.Context, i int) (net.Conn, error)) error {
	from := len(c.all)
	c.all = c.all[:from+n]
	return c.spread(ctx, workers, from, n, func(ctx context.Context, w *worker, i int) error {
		conn, err := dial(ctx, i)
		if err != nil {
			return fmt.Errorf("connection %d of %d: %w", i, len(c.all), err)
		}
		c.all[i] = caller{conn: conn}
		c.count(func(a *Account) { a.Held++ })
		if c.ask(w, i) {
			c.count(func(a *Account) { a.Connected++ })
		}
		return nil
	})
}

// Touch sends n requests, evenly over the time given, on one connection after
// the other, and checks their replies. If connections are slower, it takes longer. It
// returns early if ctx ends or a reply is lost.
func (c *Callers) Touch(ctx context.Context, n int, over time.Duration) {
	began, done := time.Now(), 0
	for done < n && ctx.Err() == nil {
		// A connection is asked once in a pass, so that its requests never overlap.
		pass := min(n-done, len(c.all))
		if pass == 0 {
			return
		}
		from, before := c.next, done
		err := c.spread(ctx, tricklers, 0, pass, func(ctx context.Context, w *worker, i int) error {
			due := began.Add(time.Duration(float64(over) * float64(before+i) / float64(n)))
			if early := time.Until(due); early > coarse {
				pause(ctx, early)
			}
			if at := (from + i) % len(c.all); c.all[at].conn != nil && !c.ask(w, at) && c.Account().Lost > 0 {
				return errLost
			}
			return nil
		})
		if err != nil {
			return
		}
		c.next, done = (from+pass)%len(c.all), done+pass
	}
}

// coarse is the shortest time that is worth a sleep. Requests that are due within it are
// sent together.
const coarse = 2 * time.Millisecond

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

var errLost = errors.New("a reply was lost")

// Finish expects that the server has ended every connection, counts replies without a
// request, and closes the connections. Over TCP it resets them; otherwise the system would
// remember each for a minute.
func (c *Callers) Finish(ctx context.Context) {
	_ = c.spread(ctx, workers, 0, len(c.all), func(ctx context.Context, w *worker, i int) error {
		conn := c.all[i].conn
		if conn == nil {
			return nil
		}
		w.enter(conn)
		var extra [1]byte
		n, err := conn.Read(extra[:])
		w.leave()
		if n > 0 {
			c.count(func(a *Account) {
				a.note(&a.Duplicated, "connection %d: bytes came in after the last reply, of a second one", c.number(i))
			})
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			c.count(func(a *Account) { a.note(&a.Open, "connection %d did not end when the server was closed", c.number(i)) })
			return errLost // all the others would be waited for too
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // refused by one that has failed
		}
		c.drop(i)
		return nil
	})
	c.Close()
}

// Close closes what is open.
func (c *Callers) Close() {
	for i := range c.all {
		if c.all[i].conn != nil {
			c.drop(i)
		}
	}
}

// Churn opens n more connections, a few at a time, sends one request on each, and closes
// them, while the others stay. It stops at the first that cannot be opened, and returns
// why. Over TCP, every other one is reset.
func (c *Callers) Churn(ctx context.Context, n int, dial func(ctx context.Context, i int) (net.Conn, error)) error {
	for done := 0; done < n && ctx.Err() == nil; done += tricklers {
		few := NewCallers(c.number(len(c.all)+done), tricklers, c.patience)
		err := few.Connect(ctx, min(tricklers, n-done), func(ctx context.Context, i int) (net.Conn, error) {
			return dial(ctx, len(c.all)+i) // where none of ours has its address
		})
		for i := range few.all {
			if tcp, ok := few.all[i].conn.(*net.TCPConn); ok && i%2 == 0 {
				_ = tcp.SetLinger(0) // refused by one that has failed
			}
		}
		few.Close()
		all := few.Account()
		all.Connected, all.Held, all.Touched = 0, 0, 0
		c.count(func(a *Account) { *a = a.Add(all) })
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// HangUp closes the first n connections from this side.
func (c *Callers) HangUp(n int) {
	for i := range n {
		c.drop(i)
	}
}

func (c *Callers) number(i int) uint64 { return c.first + uint64(i) }

// drop closes connection i.
func (c *Callers) drop(i int) {
	_ = c.all[i].conn.Close() // the other end has gone, or failed already
	c.all[i].conn = nil
	c.count(func(a *Account) { a.Held-- })
}

func (c *Callers) count(change func(*Account)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.account)
}

// ask sends the next request on connection i and checks the reply. It returns
// false, and drops the connection, if that did not come.
func (c *Callers) ask(w *worker, i int) bool {
	at := &c.all[i]
	at.sent++
	n, number := uint64(at.sent), c.number(i)
	w.frame.Request(number, n)
	w.enter(at.conn)
	defer w.leave()
	_, err := at.conn.Write(w.frame[:])
	for err == nil {
		if _, err = io.ReadFull(at.conn, w.frame[:]); err != nil {
			break
		}
		verdict := Check(&w.frame, number, n)
		c.mu.Lock()
		a := &c.account
		connection, m, state, answered := Source(&w.frame)
		switch verdict {
		case Duplicated:
			a.note(&a.Duplicated, "connection %d got the reply to request %d again, after it had sent request %d", number, m, n)
		case Misrouted:
			a.note(&a.Misrouted, "connection %d got the reply to request %d of connection %d", number, m, connection)
		case Stale:
			a.note(&a.Stale,
				"connection %d: request %d was answered from the state of connection %d after %d requests: the state was lost, "+
					"mixed up or used twice",
				number, n, state, answered)
		case Corrupted:
			a.note(&a.Corrupted, "connection %d got a reply to request %d that answers nothing", number, n)
		}
		if verdict != Duplicated { // the right one may still come
			a.Sent++
			if verdict == Right {
				a.Answered++
			}
			if !at.touched {
				at.touched = true
				a.Touched++
			}
			c.mu.Unlock()
			return true
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	c.account.Sent++
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.account.note(&c.account.Lost, "connection %d got no reply to request %d within %v", number, n, c.patience)
	} else {
		c.account.Lost++
		c.account.note(&c.account.Broken, "connection %d ended at request %d: %v", number, n, err)
	}
	c.mu.Unlock()
	c.drop(i)
	return false
}

// worker is one goroutine of a method, with what it waits for.
type worker struct {
	frame Frame

	mu     sync.Mutex
	conn   net.Conn // it is waiting for, or nil
	since  time.Time
	roused bool // its wait was ended
}

func (w *worker) enter(conn net.Conn) {
	w.mu.Lock()
	w.conn, w.since = conn, time.Now()
	w.mu.Unlock()
}

func (w *worker) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.roused { // perhaps at the moment when the reply came
		_ = w.conn.SetDeadline(time.Time{}) // refused by one that is closed
	}
	w.conn, w.roused = nil, false
}

// longAgo is a deadline that has passed: a call that waits returns at once.
var longAgo = time.Unix(1, 0)

// rouse ends a wait that began before an instant.
func (w *worker) rouse(before time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil && w.since.Before(before) {
		_ = w.conn.SetDeadline(longAgo) // a connection that is closed returns by itself
		w.roused = true
	}
}

// spread calls do for n connections from one on, over some goroutines at most, and
// returns the first error, after which no new call is made. A wait that lasts
// longer than the patience, or than ctx, is ended.
func (c *Callers) spread(
	ctx context.Context, most, from, n int, do func(ctx context.Context, w *worker, i int) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	workers := make([]worker, min(most, n))
	for k := range workers {
		w := &workers[k]
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, w, from+i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	look := time.NewTicker(max(c.patience/20, time.Millisecond))
	defer look.Stop()
	ended := ctx.Done()
	for {
		select {
		case <-done:
			return context.Cause(ctx)
		case <-ended:
			ended = nil // calls in progress may last for the patience, no longer
		case <-look.C:
			for k := range workers {
				workers[k].rouse(time.Now().Add(-c.patience))
			}
		}
	}
}
