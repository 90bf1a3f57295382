package queuetest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tensile/stress/queuetest"
)

// memoryBroker holds queues in memory. It has no dead letters, no bounds and no disk,
// which is "not offered" in the report.
type memoryBroker []*messages

var errClosed, errLate = errors.New("the broker is closed"), errors.New("the message is another receiver's")

// messages are one queue.
type messages struct {
	visibility time.Duration

	mu     sync.Mutex
	more   sync.Cond   // something is ready, or the queue is closed
	ready  []*message  // in the order in which they were published
	leases []*lease    // in the order in which they end
	alarm  *time.Timer // when the first of them does
	last   int
	closed bool
}

// message is in a queue until it is acknowledged.
type message struct {
	number, attempt int
	body            []byte
	lease           *lease // nil while it is ready
}

func (b memoryBroker) Publish(_ context.Context, queue int, body []byte) error {
	q := b[queue]
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.last++
	q.ready = append(q.ready, &message{number: q.last, body: body})
	q.more.Signal()
	return nil
}

func (b memoryBroker) Receive(ctx context.Context, queue int) (queuetest.Delivery, error) {
	q := b[queue]
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.more.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && len(q.ready) == 0 && ctx.Err() == nil {
		q.more.Wait()
	}
	switch {
	case q.closed:
		return nil, errClosed
	case len(q.ready) > 0:
		return q.lend(), nil
	}
	return nil, ctx.Err()
}

func (q *messages) lend() *lease {
	m := q.ready[0]
	q.ready[0] = nil
	q.ready = q.ready[1:]
	m.attempt++
	m.lease = &lease{queue: q, message: m, attempt: m.attempt, until: time.Now().Add(q.visibility)}
	if q.leases = append(q.leases, m.lease); len(q.leases) == 1 {
		q.alarm.Reset(q.visibility)
	}
	return m.lease
}

// expire puts back the messages whose leases have ended.
func (q *messages) expire() {
	for ; len(q.leases) > 0; q.leases = q.leases[1:] {
		l := q.leases[0]
		if l.message.lease != l {
			continue // the message is not this receiver's any more
		}
		if left := time.Until(l.until); left > 0 {
			q.alarm.Reset(left)
			return
		}
		q.again(l.message)
	}
}

func (b memoryBroker) Close() error {
	for _, q := range b {
		q.mu.Lock()
		q.closed, q.ready, q.leases = true, nil, nil
		q.alarm.Stop()
		q.more.Broadcast()
		q.mu.Unlock()
	}
	return nil
}

// lease is a message that was received, and the receiver's until the lease ends.
type lease struct {
	queue   *messages
	message *message
	attempt int
	until   time.Time
}

func (l *lease) Body() []byte              { return l.message.body }
func (l *lease) Attempt() int              { return l.attempt }
func (l *lease) Ack(context.Context) error { return l.finish(func(m *message) { m.lease = nil }) }
func (l *lease) Nack() error               { return l.finish(l.queue.again) }

func (l *lease) finish(with func(*message)) error {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	l.queue.expire()
	if l.message.lease != l {
		return errLate
	}
	with(l.message)
	return nil
}

// again puts a message back in its place.
func (q *messages) again(m *message) {
	m.lease = nil
	at, _ := slices.BinarySearchFunc(q.ready, m, func(a, b *message) int { return cmp.Compare(a.number, b.number) })
	q.ready = slices.Insert(q.ready, at, m)
	q.more.Signal()
}

func open(_ testing.TB, cfg queuetest.Config) queuetest.Broker {
	b := make(memoryBroker, cfg.Queues)
	for i := range b {
		q := &messages{visibility: cfg.Visibility}
		q.more.L = &q.mu
		q.alarm = time.AfterFunc(q.visibility, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.expire()
		})
		b[i] = q
	}
	return b
}

// In a file of tests, this is the function TestStressQueue.
func testStressQueue(t *testing.T) { queuetest.TestBroker(t, open) }

// A broker in memory, and the test that takes it through the scenario. The kit calls open and the
// broker as here, with many publishers and consumers at once.
func Example() {
	_ = testStressQueue
	ctx := context.Background()
	b := open(nil, queuetest.Config{Queues: 1, Visibility: time.Minute})
	fmt.Println("published:", b.Publish(ctx, 0, []byte("hello")))
	for range 2 {
		d, err := b.Receive(ctx, 0)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("received: %s, attempt %d\n", d.Body(), d.Attempt())
		if d.Attempt() == 1 {
			fmt.Println("refused:", d.Nack())
		} else {
			fmt.Println("acknowledged:", d.Ack(ctx))
		}
	}
	fmt.Println("closed:", b.Close())
	// Output:
	// published: <nil>
	// received: hello, attempt 1
	// refused: <nil>
	// received: hello, attempt 2
	// acknowledged: <nil>
	// closed: <nil>
}
