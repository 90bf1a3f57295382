// Package links carries the traffic between nodes. Every node reaches every other through
// a link of its own on the loopback interface, which the harness cuts (in one direction or
// both), delays and breaks. A link delivers everything that TCP has accepted: a cut holds
// bytes back, and no part of a connection is missing afterwards.
package links

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Links are the links between nodes, which are numbered from 0. They are safe for
// concurrent use.
type Links struct {
	n       int
	links   []*link // from*n + to; nil from a node to itself
	ways    []*way  // of the traffic from one node to another
	running sync.WaitGroup
}

// New makes links between n nodes. They lead nowhere until Target is called.
func New(n int) (*Links, error) {
	l := &Links{n: n, links: make([]*link, n*n), ways: make([]*way, n*n)}
	for i := range l.ways {
		l.ways[i] = &way{changed: make(chan struct{})}
	}
	for from := range n {
		for to := range n {
			if from == to {
				continue
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return nil, errors.Join(err, l.Close())
			}
			k := &link{addr: listener.Addr().String(), listener: listener, forth: l.way(from, to), back: l.way(to, from),
				open: make(map[net.Conn]bool)}
			l.links[from*n+to] = k
			l.running.Go(func() { k.accept(listener, &l.running) })
		}
	}
	return l, nil
}

func (l *Links) way(from, to int) *way { return l.ways[from*l.n+to] }

// Addr returns the address at which one node reaches another.
func (l *Links) Addr(from, to int) string { return l.links[from*l.n+to].addr }

// Target makes connections to a node lead to addr from now on.
func (l *Links) Target(to int, addr string) {
	for from := range l.n {
		if k := l.links[from*l.n+to]; k != nil {
			k.mu.Lock()
			k.target = addr
			k.mu.Unlock()
		}
	}
}

// Cut holds back everything that one node sends to another, or releases it.
func (l *Links) Cut(from, to int, cut bool) { l.way(from, to).change(func(w *way) { w.cut = cut }) }

// Delay delays everything that one node sends to another.
func (l *Links) Delay(from, to int, d time.Duration) {
	l.way(from, to).change(func(w *way) { w.delay = d })
}

// Break resets the connections between two nodes and returns their number.
func (l *Links) Break(a, b int) int { return l.links[a*l.n+b].reset() + l.links[b*l.n+a].reset() }

// Open is how many connections one node has to another that it has dialled.
func (l *Links) Open(from, to int) int {
	k := l.links[from*l.n+to]
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.open) / 2
}

// Ended is how many connections between two nodes have ended so far.
func (l *Links) Ended(a, b int) int64 {
	return l.links[a*l.n+b].ended.Load() + l.links[b*l.n+a].ended.Load()
}

// Refuse has nobody listen where others reach a node, as is so once its process has
// ended, or has somebody listen there again.
func (l *Links) Refuse(to int, refuse bool) error {
	var errs []error
	for from := range l.n {
		k := l.links[from*l.n+to]
		switch {
		case k == nil:
		case refuse:
			k.mu.Lock()
			errs = append(errs, k.listener.Close())
			k.mu.Unlock()
		default:
			listener, err := net.Listen("tcp", k.addr)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			k.mu.Lock()
			k.listener = listener
			k.mu.Unlock()
			l.running.Go(func() { k.accept(listener, &l.running) })
		}
	}
	return errors.Join(errs...)
}

// Heal undoes all cuts and delays.
func (l *Links) Heal() {
	for _, w := range l.ways {
		w.change(func(w *way) { w.cut, w.delay = false, 0 })
	}
}

// Close ends all links, and returns when nothing is left of them.
func (l *Links) Close() error {
	var errs []error
	for _, k := range l.links {
		if k != nil {
			errs = append(errs, k.close())
		}
	}
	l.Heal() // nothing is held back any more
	l.running.Wait()
	return errors.Join(errs...)
}

// way holds the faults of the traffic from one node to another.
type way struct {
	mu      sync.Mutex
	cut     bool
	delay   time.Duration
	changed chan struct{}
}

func (w *way) change(f func(*way)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *way) now() (cut bool, delay time.Duration, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut, w.delay, w.changed
}

// pass waits until what was sent at an instant may arrive, or until closed.
func (w *way) pass(sent time.Time, closed <-chan struct{}) {
	for {
		cut, delay, changed := w.now()
		late := time.Until(sent.Add(delay))
		if !cut && late <= 0 {
			return
		}
		var due <-chan time.Time
		if !cut {
			clock := time.NewTimer(late)
			defer clock.Stop()
			due = clock.C
		}
		select {
		case <-due:
		case <-changed:
		case <-closed:
			return
		}
	}
}

// link is where one node dials another.
type link struct {
	addr        string
	forth, back *way
	ended       atomic.Int64 // connections

	mu       sync.Mutex
	listener net.Listener
	target   string
	open     map[net.Conn]bool
	closed   bool
}

func (k *link) accept(listener net.Listener, running *sync.WaitGroup) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		running.Go(func() { k.carry(from) })
	}
}

// dial connects to the target. If the target refuses, it resets the connection.
func (k *link) dial(from net.Conn, closed <-chan struct{}) net.Conn {
	began := time.Now()
	k.forth.pass(began, closed) // a connection needs both directions
	k.back.pass(began, closed)
	k.mu.Lock()
	target := k.target
	k.mu.Unlock()
	to, err := net.DialTimeout("tcp", target, time.Second)
	if err != nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || !k.open[from] {
		_ = to.Close()
		return nil
	}
	k.open[to] = true
	return to
}

func (k *link) carry(from net.Conn) {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		_ = from.Close()
		return
	}
	k.open[from] = true
	k.mu.Unlock()
	ended := make(chan struct{})
	end := sync.OnceFunc(func() { k.ended.Add(1); close(ended) })
	to := k.dial(from, ended)
	if to == nil {
		k.drop(from)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pump(to, from, k.forth, ended); end(); k.drop(from); k.drop(to) })
	both.Go(func() { pump(from, to, k.back, ended); end(); k.drop(from); k.drop(to) })
	both.Wait()
}

// drop ends one side with a reset, because the link broke.
func (k *link) drop(c net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open[c] {
		delete(k.open, c)
		abort(c)
	}
}

func abort(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // it may be gone already
	_ = c.Close()
}

func (k *link) reset() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n = len(k.open) / 2
	for c := range k.open {
		abort(c)
	}
	clear(k.open)
	return n
}

func (k *link) close() error {
	k.mu.Lock()
	k.closed = true
	listener := k.listener
	k.mu.Unlock()
	err := listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil // of a node that is refused
	}
	k.reset()
	return err
}

// piece holds the bytes of one read, and when they were read.
type piece struct {
	data []byte
	sent time.Time
}

// pump carries one direction until either side ends.
func pump(to, from net.Conn, w *way, ended <-chan struct{}) {
	pieces := make(chan piece, 64)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(pieces)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if n > 0 {
				select {
				case pieces <- piece{buf[:n], time.Now()}:
				case <-stop:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range pieces {
		w.pass(p.sent, ended)
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	close(stop)
	_ = from.Close() // the reader may still wait
	reading.Wait()
}
