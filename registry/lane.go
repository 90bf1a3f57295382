package registry

import (
	"sync"
	"time"
)

// lane is a line of mailboxes that have messages, and the goroutines that
// deliver them. There is no goroutine while the line is empty, one while the
// handlers return promptly, and more only while all of them are stuck in
// handlers: a handler that blocks must hold up its own name and no other.
type lane[M any] struct {
	mu          sync.Mutex
	first, last *mailbox[M]
	len         int
	workers     int    // goroutines started and not yet ended
	busy        int    // workers inside a handler
	taken       uint64 // mailboxes ever taken from the line
	seen        uint64 // what taken was at the last look of watch
	_           [64]byte
}

// push puts m at the end of the line.
func (l *lane[M]) push(r *Registry[M], m *mailbox[M]) {
	l.mu.Lock()
	if l.last == nil {
		l.first = m
	} else {
		l.last.next = m
	}
	l.last = m
	l.len++
	start := l.workers == 0
	if start {
		l.workers++
		r.goroutines.Add(1)
	}
	l.mu.Unlock()
	if start {
		go l.work(r)
		r.watch()
	}
}

// work delivers until the line is empty.
func (l *lane[M]) work(r *Registry[M]) {
	delivering := false
	defer func() {
		if delivering {
			// A handler called runtime.Goexit: another takes this place.
			l.mu.Lock()
			l.busy--
			l.mu.Unlock()
			go l.work(r)
			return
		}
		r.goroutines.Done()
	}()
	l.mu.Lock()
	for l.first != nil {
		m := l.first
		l.first, m.next = m.next, nil
		if l.first == nil {
			l.last = nil
		}
		l.len--
		l.taken++
		l.busy++
		l.mu.Unlock()

		delivering = true
		m.deliver(r, l)
		delivering = false

		l.mu.Lock()
		l.busy--
	}
	l.workers--
	l.mu.Unlock()
}

// stuckAfter is how long all workers of a lane may stay inside handlers before
// others take over the rest of the line. It bounds what a blocking handler
// costs the other names of its lane.
const stuckAfter = time.Millisecond

// watch makes sure that somebody looks after the lanes while they work.
func (r *Registry[M]) watch() {
	if r.watching.CompareAndSwap(false, true) {
		r.goroutines.Go(r.relieve)
	}
}

// relieve looks at every lane once in stuckAfter until none has work.
func (r *Registry[M]) relieve() {
	clock := time.NewTicker(stuckAfter)
	defer clock.Stop()
	for {
		<-clock.C
		if r.relieveLanes() {
			continue
		}
		// A lane may have started since: then whoever of it and this
		// goroutine sets watching goes on watching.
		r.watching.Store(false)
		if !r.relieveLanes() || !r.watching.CompareAndSwap(false, true) {
			return
		}
	}
}

// relieveLanes tells whether any lane has workers, and gives as many again to
// those whose workers are all stuck: doubling, so that thousands of blocked
// handlers are got round within a dozen looks.
func (r *Registry[M]) relieveLanes() (working bool) {
	for i := range r.lanes {
		l := &r.lanes[i]
		l.mu.Lock()
		working = working || l.workers > 0
		more := 0
		if l.taken == l.seen && l.busy == l.workers {
			more = min(l.workers, l.len)
		}
		l.seen = l.taken
		l.workers += more
		r.goroutines.Add(more)
		l.mu.Unlock()
		for range more {
			go l.work(r)
		}
	}
	return working
}
