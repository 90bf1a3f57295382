package pool

import (
	"context"
	"sync"
)

// waiter is one caller waiting in Acquire.
type waiter[C any] struct {
	next, prev *waiter[C]
	listed     bool
	slot       *slot[C]      // what it is served; nil says that the pool closed
	served     chan struct{} // holds one token, sent exactly once if ever shifted
}

// waitList is a queue of waiters that any of them can leave in constant time.
// The lock of the pool guards it.
type waitList[C any] struct {
	first, last *waiter[C]
	len         int
	spare       sync.Pool // of *waiter[C] that ended with their channel empty
}

func (l *waitList[C]) push(w *waiter[C]) {
	w.listed, w.prev, w.next = true, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.len++
}

// shift takes the first waiter out, or returns nil.
func (l *waitList[C]) shift() *waiter[C] {
	w := l.first
	if w != nil {
		l.remove(w)
	}
	return w
}

// remove takes w out and tells whether it was still in.
func (l *waitList[C]) remove(w *waiter[C]) bool {
	if !w.listed {
		return false
	}
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.listed, w.prev, w.next = false, nil, nil
	l.len--
	return true
}

// enqueue puts the caller in line, unless the line is full. It is called with
// the lock held.
func (p *Pool[C]) enqueue() (*waiter[C], error) {
	if bound := p.cfg.MaxWaiters; bound != 0 && p.waiters.len >= max(bound, 0) {
		p.count.Overflowed++
		return nil, ErrOverflow
	}
	w, _ := p.waiters.spare.Get().(*waiter[C])
	if w == nil {
		w = &waiter[C]{served: make(chan struct{}, 1)}
	}
	p.waiters.push(w)
	p.count.Waited++
	return w, nil
}

// await waits until w is served or ctx ends.
func (p *Pool[C]) await(ctx context.Context, w *waiter[C]) (*slot[C], error) {
	// A receive costs half of a select, and most contexts in a queue that
	// moves this fast have no Done.
	if gone := ctx.Done(); gone == nil {
		<-w.served
	} else {
		select {
		case <-w.served:
		case <-gone:
			p.giveUp(w)
			return nil, ctx.Err()
		}
	}
	s := p.collect(w)
	if s == nil {
		return nil, ErrClosed
	}
	return s, nil
}

// giveUp takes w out of line. Where it was served in the same instant, what it
// got goes to the next.
func (p *Pool[C]) giveUp(w *waiter[C]) {
	p.mu.Lock()
	p.count.Cancelled++
	if p.waiters.remove(w) {
		p.mu.Unlock()
		p.waiters.spare.Put(w)
		return
	}
	p.mu.Unlock()
	<-w.served
	if s := p.collect(w); s != nil {
		p.mu.Lock()
		p.count.Acquired--
		p.give(s)
	}
}

// collect takes what w was served and keeps w for the next who waits.
func (p *Pool[C]) collect(w *waiter[C]) *slot[C] {
	s := w.slot
	w.slot = nil
	p.waiters.spare.Put(w)
	return s
}
