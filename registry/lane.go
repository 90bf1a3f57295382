package registry

import (
	"runtime/debug"
	"sync"
)

// lane is a line of messages, each with the mailbox it is for, and the workers
// that hand them over. There is no worker while the line is empty and one while
// handlers return promptly. More are there only while all are stuck in
// handlers (see relieve): a handler that blocks must hold up its own name and
// no other.
//
// Senders append to one slice while the workers empty another; the two change
// places when the workers have come to the end of theirs. A message therefore costs two
// writes to memory that is already in the cache, while a buffer in each mailbox would
// cost two cache misses.
type lane[M any] struct {
	in struct {
		mu      sync.Mutex
		line    []entry[M]
		working bool // workers > 0, as far as senders need to know
		closed  bool
	}
	_   [64]byte // senders and workers each have cache lines of their own
	out struct {
		mu      sync.Mutex // taken before in.mu where both are
		line    []entry[M]
		next    int    // line[next:] is still to be handed over
		workers int    // started and not yet ended
		busy    int    // workers that are inside a handler
		taken   uint64 // messages ever taken by workers
		seen    uint64 // what taken was when relieve last looked
	}
	_ [64]byte
}

type entry[M any] struct {
	to      *mailbox[M]
	message M
}

// keptLine is the capacity in messages beyond which a line is left to the
// garbage collector once it is empty, so that a burst does not pin its memory.
const keptLine = 8192

// push puts a message in line. It returns false once the lane is closed.
func (l *lane[M]) push(r *Registry[M], to *mailbox[M], message M) bool {
	l.in.mu.Lock()
	if l.in.closed {
		l.in.mu.Unlock()
		return false
	}
	l.in.line = append(l.in.line, entry[M]{to, message})
	start := !l.in.working
	if start {
		l.in.working = true
		r.goroutines.Add(1)
	}
	l.in.mu.Unlock()
	if start {
		l.out.mu.Lock()
		l.out.workers++
		l.out.mu.Unlock()
		r.watch() // first: Close waits for it only while a worker is counted
		go l.work(r, nil)
	}
	return true
}

// close refuses what comes from now on.
func (l *lane[M]) close() {
	l.in.mu.Lock()
	l.in.closed = true
	l.in.mu.Unlock()
}

// work hands messages over until there is none. It starts as if it had just
// handled one for done, if that is not nil.
func (l *lane[M]) work(r *Registry[M], done *mailbox[M]) {
	ended := false
	defer func() {
		if ended {
			r.goroutines.Done()
		} else {
			// A handler ended this goroutine with runtime.Goexit, as
			// testing.T.FailNow does: another takes its place.
			go l.work(r, done)
		}
	}()
	for !ended {
		ended = l.serve(r, &done)
	}
}

// serve hands messages over until there is none, or until a handler panics.
// current is the mailbox whose message was handled last.
func (l *lane[M]) serve(r *Registry[M], current **mailbox[M]) (ended bool) {
	defer func() {
		if !ended {
			value := recover() // nil after runtime.Goexit, which goes on regardless
			r.cfg.OnPanic((*current).name, value, debug.Stack())
		}
	}()
	for {
		to, message := l.take(*current)
		if to == nil {
			return true
		}
		*current = to
		to.handle(message)
	}
}

// take ends a worker's stay with done, if that is not nil, and says what the
// worker does next: nothing, if to is nil, and then the worker counts no more.
func (l *lane[M]) take(done *mailbox[M]) (to *mailbox[M], message M) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if done != nil {
		l.out.busy--
		done.pending.Add(-1)
		if message, ok := done.postponed(); ok {
			l.out.busy++
			l.out.taken++
			return done, message
		}
		done.busy = false
	}
	for l.refill() {
		e := l.out.line[l.out.next]
		l.out.next++
		l.out.taken++
		if !e.to.busy {
			e.to.busy = true
			l.out.busy++
			return e.to, e.message
		}
		e.to.postpone(e.message)
	}
	return nil, message
}

// refill makes sure that there is a message in the outgoing line. Where there
// is none at all, it returns false and one worker less is counted.
func (l *lane[M]) refill() bool {
	if l.out.next < len(l.out.line) {
		return true
	}
	empty := l.out.line[:0]
	if cap(empty) > keptLine {
		empty = nil
	}
	clear(l.out.line)
	l.out.next = 0

	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	l.out.line, l.in.line = l.in.line, empty
	if len(l.out.line) > 0 {
		return true
	}
	l.out.workers--
	l.in.working = l.out.workers > 0
	return false
}
