package queue

import (
	"context"
	"sync"

	"tensile/queue/wal"
)

// waiter is a caller that waits: a receiver for messages, or a publisher for
// room.
type waiter struct {
	next, prev *waiter
	listed     bool
	bodies     [][]byte      // what a publisher wants to publish
	buf        []Delivery    // where a receiver wants its deliveries
	served     chan struct{} // holds one token, sent exactly once if ever shifted

	// The outcome.
	first  uint64 // ID of the first body
	n      int    // deliveries in buf
	commit wal.Commit
	err    error
}

// waitList is a line of waiters that any of them can leave in constant time.
// The lock of the queue guards it.
type waitList struct {
	first, last *waiter
	len         int
	spare       sync.Pool // of *waiter that ended with their channel empty
}

func (l *waitList) enqueue() *waiter {
	w, _ := l.spare.Get().(*waiter)
	if w == nil {
		w = &waiter{served: make(chan struct{}, 1)}
	}
	w.listed, w.prev, w.next = true, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.len++
	return w
}

// shift takes the first waiter out, or returns nil.
func (l *waitList) shift() *waiter {
	w := l.first
	if w != nil {
		l.remove(w)
	}
	return w
}

// remove takes w out and tells whether it was still in.
func (l *waitList) remove(w *waiter) bool {
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

// release keeps w for the next who waits.
func (l *waitList) release(w *waiter) {
	*w = waiter{served: w.served}
	l.spare.Put(w)
}

// woken are waiters that have been served, chained by next. They are woken when
// the lock is released: that takes longer than all the rest, and nobody need
// wait for it.
type woken struct{ first *waiter }

func (l *woken) add(w *waiter) { w.next, l.first = l.first, w }

func (l woken) wake() {
	for w := l.first; w != nil; {
		next := w.next
		w.next = nil
		w.served <- struct{}{}
		w = next
	}
}

// await waits until w is served. Where ctx ends first, and w was not served in
// the same instant, it calls leave, which takes w out of line, and returns the
// error of ctx.
func (q *Queue) await(ctx context.Context, l *waitList, w *waiter) error {
	// A receive costs half of a select.
	if gone := ctx.Done(); gone == nil {
		<-w.served
		return nil
	} else {
		select {
		case <-w.served:
			return nil
		case <-gone:
		}
	}
	q.mu.Lock()
	left := l.remove(w)
	woken := q.settle() // one that needs less room may be behind
	q.mu.Unlock()
	woken.wake()
	if !left {
		<-w.served
		return nil
	}
	l.release(w)
	return ctx.Err()
}
