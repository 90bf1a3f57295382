package queue

import (
	"context"
	"fmt"

	"tensile/queue/wal"
)

// Delete removes a queue with all of its messages, declared or not. A nil error
// of a durable broker means that this is on the disk. The name is free at once:
// a queue that is declared under it is a new one, which numbers its messages
// from 1.
//
// Those who wait at the queue, and every later call on it or on a delivery of
// it, get ErrDeleted; consumers keep what they have, and cannot end it. What the
// queue has given to its dead-letter queue stays there.
//
// The errors are ErrUnknownQueue, ErrInUse while queues are declared that give
// their dead letters to this one, ErrNoSpace, ErrClosed, and that of ctx. After
// ErrFailed, or if ctx ends while Delete waits for the disk, the queue is gone
// and may be back after a restart, with any of its messages.
func (b *Broker) Delete(ctx context.Context, name string) error {
	commit, err := b.remove(name)
	if err == nil && b.log != nil {
		err = commit.Wait(ctx)
	}
	if err != nil {
		return &queueError{err, name}
	}
	return nil
}

func (b *Broker) remove(name string) (commit wal.Commit, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[name]
	switch {
	case b.err != nil:
		return commit, b.err
	case q == nil:
		return commit, ErrUnknownQueue
	case q.buriers > 0:
		return commit, fmt.Errorf("%w: it is the dead-letter queue of %d others", ErrInUse, q.buriers)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return commit, q.err
	}
	if b.log != nil {
		// Nothing of the queue can come behind this record, as its lock is held.
		if commit, err = q.logDelete(); err != nil {
			return commit, err
		}
	}
	if q.deadLetter != nil {
		q.deadLetter.buriers--
	}
	delete(b.queues, name)
	b.all.remove(q)
	q.clear()
	return commit, nil
}

// clear forgets all messages, and turns everybody away. The lock is held.
func (q *Queue) clear() {
	if q.timer != nil {
		q.timer.Stop()
	}
	q.err = ErrDeleted
	q.ready, q.leased, q.parked, q.spare = list{}, list{}, list{}, list{}
	q.returned.messages, q.timed.messages = nil, nil
	q.held, q.spares = 0, 0
	q.count.InFlight, q.count.Delayed, q.count.Parked = 0, 0, 0
	q.settle().wake()
}

// queueList is queues in the order in which they were added. Any of them can
// leave, in constant time on the average.
type queueList struct {
	queues []*Queue
	gone   int // of them, nil
}

func (l *queueList) add(q *Queue) {
	q.at = len(l.queues)
	l.queues = append(l.queues, q)
}

func (l *queueList) remove(q *Queue) {
	l.queues[q.at] = nil
	if l.gone++; l.gone <= len(l.queues)/2 {
		return
	}
	left := l.queues[:0]
	for q := range l.each {
		q.at = len(left)
		left = append(left, q)
	}
	clear(l.queues[len(left):])
	l.queues, l.gone = left, 0
}

// each yields the queues there are.
func (l *queueList) each(yield func(*Queue) bool) {
	for _, q := range l.queues {
		if q != nil && !yield(q) {
			return
		}
	}
}
