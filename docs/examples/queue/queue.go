// Package queue is an in-memory message queue. A message that was received and not
// acknowledged in time is delivered again.
package queue

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Errors of a Queue.
var (
	ErrClosed = errors.New("queue: closed")
	ErrLate   = errors.New("queue: the message is not the receiver's any more")
)

// Queue is safe for concurrent use.
type Queue struct {
	visibility time.Duration
	attempts   int    // deliveries of a message before it goes to dead
	dead       *Queue // nil for none: then there is no limit

	mu     sync.Mutex
	more   sync.Cond // something may be ready, or the queue is closed
	ready  []*entry  // in the order in which they were published
	leases []*Message
	alarm  *time.Timer // when the first lease ends
	last   uint64
	closed bool
}

type entry struct {
	number  uint64
	body    []byte
	attempt int
	lease   *Message // nil while it is ready
}

// New returns a queue that delivers a message again if it was not acknowledged within a
// time. After a number of attempts the message goes to dead, unless that is nil.
func New(visibility time.Duration, attempts int, dead *Queue) *Queue {
	q := &Queue{visibility: visibility, attempts: attempts, dead: dead}
	q.more.L = &q.mu
	q.alarm = time.AfterFunc(visibility, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.expire()
	})
	return q
}

// Message was received.
type Message struct {
	Body    []byte
	Attempt int // deliveries so far, including this one

	queue *Queue
	entry *entry
	until time.Time
}

// Publish puts a message at the end of the queue.
func (q *Queue) Publish(body []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.last++
	q.ready = append(q.ready, &entry{number: q.last, body: body})
	q.more.Signal()
	return nil
}

// Receive leases the first message, and waits if there is none.
func (q *Queue) Receive(ctx context.Context) (*Message, error) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.more.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.closed:
			return nil, ErrClosed
		case len(q.ready) > 0: // before the next case: a caller that was woken for a message takes it
			return q.lend(), nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		q.more.Wait()
	}
}

func (q *Queue) lend() *Message {
	e := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	e.attempt++
	e.lease = &Message{Body: e.body, Attempt: e.attempt, queue: q, entry: e, until: time.Now().Add(q.visibility)}
	if q.leases = append(q.leases, e.lease); len(q.leases) == 1 {
		q.alarm.Reset(q.visibility)
	}
	return e.lease
}

// expire takes back messages that were not acknowledged in time. All leases have the same
// length, so the first one ends first.
func (q *Queue) expire() {
	for len(q.leases) > 0 {
		m := q.leases[0]
		if m.entry.lease == m {
			if left := time.Until(m.until); left > 0 {
				q.alarm.Reset(left)
				return
			}
			q.again(m.entry)
		}
		q.leases[0] = nil
		q.leases = q.leases[1:]
	}
}

// again puts a message back in its place, or into the dead-letter queue.
func (q *Queue) again(e *entry) {
	e.lease = nil
	if q.dead != nil && e.attempt >= q.attempts {
		_ = q.dead.Publish(e.body) // refused only once it is closed
		return
	}
	at, _ := slices.BinarySearchFunc(q.ready, e.number, func(e *entry, number uint64) int {
		return cmp.Compare(e.number, number)
	})
	q.ready = slices.Insert(q.ready, at, e)
	q.more.Signal()
}

// Ack ends the message. If it returns ErrLate, the message is or was delivered again.
func (m *Message) Ack() error {
	return m.end(func() { m.entry.lease = nil })
}

// Nack refuses the message, so that it is delivered again.
func (m *Message) Nack() error {
	return m.end(func() { m.queue.again(m.entry) })
}

func (m *Message) end(how func()) error {
	m.queue.mu.Lock()
	defer m.queue.mu.Unlock()
	m.queue.expire()
	if m.entry.lease != m {
		return ErrLate
	}
	how()
	return nil
}

// Close refuses callers that wait, and drops the remaining messages.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.ready, q.leases = true, nil, nil
	q.alarm.Stop()
	q.more.Broadcast()
}
