package queuetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// control is the broker beside which the subject is judged: for each queue a slice
// of messages and a list of leases, under a lock.
type control struct {
	visibility time.Duration
	queues     []controlQueue
	closed     chan struct{}
}

type controlQueue struct {
	mu     sync.Mutex
	last   uint64           // number of the last message published
	ready  []controlMessage // by their numbers
	leases []*controlLease  // in the order in which they end
	timer  *time.Timer      // of the first lease
	wake   chan struct{}    // holds something if a message may be ready
}

type controlMessage struct {
	number  uint64
	body    []byte
	attempt int
}

// controlLease is a message that was received.
type controlLease struct {
	of      *controlQueue
	message controlMessage
	until   time.Time
	over    bool
}

var (
	errControlClosed = errors.New("control: the broker is closed")
	errControlLate   = errors.New("control: the lease is over")
)

func openControl(_ testing.TB, cfg Config) Broker {
	b := &control{visibility: cfg.Visibility, queues: make([]controlQueue, cfg.Queues), closed: make(chan struct{})}
	for i := range b.queues {
		q := &b.queues[i]
		q.wake = make(chan struct{}, 1)
		q.timer = time.AfterFunc(time.Hour, q.expire)
	}
	return b
}

func (b *control) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

func (b *control) Publish(ctx context.Context, queue int, body []byte) error {
	if b.isClosed() {
		return errControlClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	q := &b.queues[queue]
	q.mu.Lock()
	q.last++
	q.ready = append(q.ready, controlMessage{number: q.last, body: body})
	q.mu.Unlock()
	q.signal()
	return nil
}

func (q *controlQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (b *control) Receive(ctx context.Context, queue int) (Delivery, error) {
	q := &b.queues[queue]
	for {
		if b.isClosed() {
			return nil, errControlClosed
		}
		if l := q.take(b.visibility); l != nil {
			return l, nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.closed:
		}
	}
}

// take leases the first message that is ready, or returns nil.
func (q *controlQueue) take(visibility time.Duration) *controlLease {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ready) == 0 {
		return nil
	}
	l := &controlLease{of: q, message: q.ready[0], until: time.Now().Add(visibility)}
	q.ready[0] = controlMessage{}
	q.ready = q.ready[1:]
	l.message.attempt++
	if q.leases = append(q.leases, l); len(q.leases) == 1 {
		q.timer.Reset(visibility)
	}
	if len(q.ready) > 0 {
		q.signal() // for the next who waits
	}
	return l
}

// expire gives back what was leased for too long.
func (q *controlQueue) expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.leases) > 0 {
		l := q.leases[0]
		left := time.Until(l.until)
		if !l.over && left > 0 {
			q.timer.Reset(left)
			return
		}
		q.leases[0] = nil
		q.leases = q.leases[1:]
		if !l.over {
			l.back()
		}
	}
}

// back ends a lease whose message is to be received again, in its place.
func (l *controlLease) back() {
	l.over = true
	at, _ := slices.BinarySearchFunc(l.of.ready, l.message.number, func(m controlMessage, n uint64) int {
		return int(m.number) - int(n)
	})
	l.of.ready = slices.Insert(l.of.ready, at, l.message)
	l.of.signal()
}

func (l *controlLease) Body() []byte { return l.message.body }
func (l *controlLease) Attempt() int { return l.message.attempt }

func (l *controlLease) Ack(context.Context) error { return l.end(func() { l.over = true }) }
func (l *controlLease) Nack() error               { return l.end(l.back) }

func (l *controlLease) end(how func()) error {
	q := l.of
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.over {
		return errControlLate
	}
	how()
	for len(q.leases) > 0 && q.leases[0].over {
		q.leases[0] = nil
		q.leases = q.leases[1:]
	}
	return nil
}

func (b *control) Close() error {
	if b.isClosed() {
		return errControlClosed
	}
	close(b.closed)
	for i := range b.queues {
		b.queues[i].timer.Stop()
	}
	return nil
}
