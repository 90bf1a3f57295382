package queue_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tensile/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o queue.Options) *queue.Broker {
	t.Helper()
	b, err := queue.Open(o)
	require.NoError(t, err)
	return b
}

func declare(t testing.TB, b *queue.Broker, name string, cfg queue.Config) *queue.Queue {
	t.Helper()
	q, err := b.Declare(name, cfg)
	require.NoError(t, err)
	return q
}

func publish(t testing.TB, q *queue.Queue, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		_, err := q.Publish(context.Background(), []byte(body))
		require.NoError(t, err)
	}
}

func receive(t testing.TB, q *queue.Queue) queue.Delivery {
	t.Helper()
	d, err := q.Receive(context.Background())
	require.NoError(t, err)
	return d
}

// expect receives the bodies given, in order, and returns the deliveries.
func expect(t testing.TB, q *queue.Queue, bodies ...string) []queue.Delivery {
	t.Helper()
	var all []queue.Delivery
	for _, body := range bodies {
		require.NotZero(t, q.Stats().Ready, "%s is not ready", body)
		d := receive(t, q)
		require.Equal(t, body, string(d.Body))
		all = append(all, d)
	}
	return all
}

func TestOptionsAndArgumentsAreChecked(t *testing.T) {
	_, err := queue.Open(queue.Options{Dir: "/x", SegmentSize: 5})
	assert.ErrorIs(t, err, queue.ErrInvalid)
	assert.ErrorContains(t, err, "SegmentSize is 5, must be")

	b := open(t, queue.Options{})
	for name, cfg := range map[string]queue.Config{
		"Visibility":  {Visibility: -1},
		"MaxLen":      {MaxLen: -1},
		"Overflow":    {MaxLen: 1, Overflow: 7},
		"Block":       {Overflow: queue.Reject},
		"MaxAttempts": {MaxAttempts: -1},
		"DeadLetter":  {MaxAttempts: 1},
		"1 or more":   {DeadLetter: "d"},
	} {
		_, err := b.Declare("q", cfg)
		assert.ErrorIs(t, err, queue.ErrInvalid, name)
		assert.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, "must be")
	}
	for _, name := range []string{"", strings.Repeat("x", 256)} {
		_, err := b.Declare(name, queue.Config{})
		assert.ErrorIs(t, err, queue.ErrInvalid)
	}
	_, err = b.Declare("q", queue.Config{MaxAttempts: 1, DeadLetter: "nowhere"})
	assert.ErrorIs(t, err, queue.ErrUnknownQueue)
	assert.ErrorContains(t, err, "nowhere")
	_, err = b.Declare("q", queue.Config{MaxAttempts: 1, DeadLetter: "q"})
	assert.ErrorIs(t, err, queue.ErrUnknownQueue, "a queue is not its own dead-letter queue")
	_, err = b.Queue("q")
	assert.ErrorIs(t, err, queue.ErrUnknownQueue)
	assert.ErrorContains(t, err, `"q"`)

	q := declare(t, b, "q", queue.Config{})
	assert.Same(t, q, declare(t, b, "q", queue.Config{Visibility: queue.DefaultVisibility}))
	_, err = b.Declare("q", queue.Config{MaxLen: 1})
	assert.ErrorIs(t, err, queue.ErrExists)
	found, err := b.Queue("q")
	require.NoError(t, err)
	assert.Same(t, q, found)
	assert.Equal(t, "q", q.Name())

	ctx := t.Context()
	for _, err := range []error{
		second(q.PublishBatch(ctx, nil)),
		second(q.PublishBatch(ctx, make([][]byte, queue.MaxBatch+1))),
		second(q.ReceiveBatch(ctx, nil)),
		second(q.AckBatch(ctx, make([]queue.Delivery, queue.MaxBatch+1))),
	} {
		assert.ErrorIs(t, err, queue.ErrInvalid)
		assert.ErrorContains(t, err, "must be")
	}
	large := make([]byte, queue.MaxBody+1)
	_, err = q.Publish(ctx, large)
	assert.ErrorIs(t, err, queue.ErrTooLarge)
	_, err = q.PublishBatch(ctx, [][]byte{nil, large})
	assert.ErrorIs(t, err, queue.ErrTooLarge)
	assert.Zero(t, q.Stats().Len(), "a batch is taken whole or not at all")

	publish(t, q, "a")
	d := receive(t, q)
	assert.ErrorIs(t, d.Nack(-1), queue.ErrInvalid)
	assert.ErrorIs(t, d.Extend(0), queue.ErrInvalid)
	assert.NoError(t, d.Ack(ctx))
	var none queue.Delivery
	assert.ErrorIs(t, none.Ack(ctx), queue.ErrLeaseEnded)
	assert.ErrorIs(t, none.Nack(0), queue.ErrLeaseEnded)
	assert.ErrorIs(t, none.Extend(1), queue.ErrLeaseEnded)
	assert.NoError(t, b.Close())
	assert.Contains(t, queue.Overflow(9).String(), "9")
}

func second[A any](_ A, err error) error { return err }

func TestEndedContextTakesNothing(t *testing.T) {
	b := open(t, queue.Options{})
	q := declare(t, b, "q", queue.Config{})
	publish(t, q, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := q.Publish(ctx, nil)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = q.PublishBatch(ctx, [][]byte{nil})
	assert.ErrorIs(t, err, context.Canceled)
	_, err = q.Receive(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = q.ReceiveBatch(ctx, make([]queue.Delivery, 1))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, q.Stats().Ready)
	assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
}

func TestFirstInFirstOut(t *testing.T) {
	b := open(t, queue.Options{})
	q := declare(t, b, "q", queue.Config{})
	publish(t, q, "a", "b")
	first, err := q.PublishBatch(t.Context(), [][]byte{[]byte("c"), []byte("d")})
	require.NoError(t, err)
	assert.Equal(t, uint64(3), first)
	buf := make([]queue.Delivery, 10)
	n, err := q.ReceiveBatch(t.Context(), buf[:3])
	require.NoError(t, err)
	require.Equal(t, 3, n)
	for i, body := range []string{"a", "b", "c"} {
		assert.Equal(t, body, string(buf[i].Body))
		assert.Equal(t, uint64(i+1), buf[i].ID)
		assert.Equal(t, 1, buf[i].Attempt)
	}
	n, err = q.AckBatch(t.Context(), buf[:3])
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	n, err = q.AckBatch(t.Context(), buf[:3])
	assert.ErrorIs(t, err, queue.ErrLeaseEnded)
	assert.Zero(t, n)
	n, err = q.ReceiveBatch(t.Context(), buf)
	require.NoError(t, err)
	require.Equal(t, 1, n, "what is there, and no waiting for more")
	n, err = q.AckBatch(t.Context(), []queue.Delivery{buf[0], buf[1]})
	assert.Equal(t, 1, n)
	assert.ErrorIs(t, err, queue.ErrLeaseEnded)
	assert.ErrorContains(t, err, "1 of 2")
	assert.NoError(t, b.Close())
}

// What comes back is delivered before what was published later, and among
// itself in its old order.
func TestRedeliveryOrder(t *testing.T) {
	b := open(t, queue.Options{})
	q := declare(t, b, "q", queue.Config{})
	publish(t, q, "a", "b", "c", "d", "e")
	held := expect(t, q, "a", "b", "c", "d")
	require.NoError(t, held[2].Nack(0))
	require.NoError(t, held[0].Nack(0))
	require.NoError(t, held[3].Ack(t.Context()))
	again := expect(t, q, "a", "c", "e")
	assert.Equal(t, 2, again[0].Attempt)
	assert.Equal(t, 2, again[1].Attempt)
	assert.Equal(t, 1, again[2].Attempt)
	for _, stale := range []queue.Delivery{held[0], held[2], held[3]} {
		assert.ErrorIs(t, stale.Ack(t.Context()), queue.ErrLeaseEnded)
		assert.ErrorIs(t, stale.Nack(0), queue.ErrLeaseEnded)
		assert.ErrorIs(t, stale.Extend(time.Second), queue.ErrLeaseEnded)
	}
	s := q.Stats()
	assert.Equal(t, 4, s.InFlight)
	assert.Equal(t, queue.Stats{InFlight: 4, Published: 5, Delivered: 7, Redelivered: 2, Acked: 1, Nacked: 2}, s)
	assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
}

func TestDeadLetter(t *testing.T) {
	b := open(t, queue.Options{})
	dead := declare(t, b, "dead", queue.Config{MaxLen: 1, Overflow: queue.Reject})
	q := declare(t, b, "q", queue.Config{MaxAttempts: 2, DeadLetter: "dead", Visibility: time.Hour})
	publish(t, dead, "already there")
	publish(t, q, "a", "b")
	require.NoError(t, expect(t, q, "a")[0].Nack(0))
	require.NoError(t, expect(t, q, "a")[0].Nack(time.Hour), "the last attempt: there is nothing to wait for")
	expect(t, q, "b")
	assert.Equal(t, queue.Stats{InFlight: 1, Parked: 1, Published: 2, Delivered: 3, Redelivered: 1, Nacked: 2}, q.Stats())
	assert.Equal(t, 1, dead.Stats().Len(), "its bound holds for dead letters too")
	require.NoError(t, expect(t, dead, "already there")[0].Ack(t.Context()))
	require.Eventually(t, func() bool { return dead.Stats().Ready == 1 }, 10*time.Second, time.Millisecond)
	d := receive(t, dead)
	assert.Equal(t, "a", string(d.Body))
	assert.Equal(t, uint64(2), d.ID)
	assert.Equal(t, 1, d.Attempt)
	assert.Equal(t, uint64(1), q.Stats().DeadLettered)
	assert.Zero(t, q.Stats().Parked)
	assert.ErrorIs(t, second(dead.Publish(t.Context(), nil)), queue.ErrFull)
	assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
}

func TestFullQueueRefuses(t *testing.T) {
	b := open(t, queue.Options{})
	q := declare(t, b, "q", queue.Config{MaxLen: 2, Overflow: queue.Reject})
	publish(t, q, "a")
	_, err := q.PublishBatch(t.Context(), make([][]byte, 2))
	assert.ErrorIs(t, err, queue.ErrFull)
	assert.ErrorContains(t, err, `"q"`)
	publish(t, q, "b")
	held := expect(t, q, "a", "b")
	_, err = q.Publish(t.Context(), nil)
	assert.ErrorIs(t, err, queue.ErrFull, "what is in flight is held too")
	require.NoError(t, held[0].Nack(time.Hour))
	_, err = q.Publish(t.Context(), nil)
	assert.ErrorIs(t, err, queue.ErrFull, "what is delayed is held too")
	require.NoError(t, held[1].Ack(t.Context()))
	publish(t, q, "c")
	assert.Equal(t, uint64(4), q.Stats().Refused)
	assert.Equal(t, 2, q.Stats().Len())
	assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
}

func TestManyPublishersAndConsumers(t *testing.T) {
	const queues, publishers, each = 4, 4, 2000
	b := open(t, queue.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for i := range queues {
		q := declare(t, b, fmt.Sprintf("queue-%d", i), queue.Config{MaxLen: 64})
		var mu sync.Mutex
		acked := make(map[uint64]bool)
		holder := make(map[uint64]bool)
		for range publishers {
			all.Go(func() {
				for k := 0; k < each; {
					n := 1 + k%3
					if _, err := q.PublishBatch(ctx, make([][]byte, n)); !assert.NoError(t, err) {
						return
					}
					k += n
				}
			})
			all.Go(func() {
				buf := make([]queue.Delivery, 5)
				for {
					n, err := q.ReceiveBatch(ctx, buf)
					if err != nil {
						assert.ErrorIs(t, err, queue.ErrClosed)
						return
					}
					mu.Lock()
					for _, d := range buf[:n] {
						assert.False(t, holder[d.ID], "held twice at once")
						assert.False(t, acked[d.ID], "came back")
						holder[d.ID] = true
					}
					mu.Unlock()
					for _, d := range buf[:n] {
						mu.Lock()
						delete(holder, d.ID)
						back := d.Attempt == 1 && d.ID%7 == 0
						acked[d.ID] = !back
						mu.Unlock()
						if back {
							assert.NoError(t, d.Nack(0))
						} else {
							assert.NoError(t, d.Ack(ctx))
						}
					}
				}
			})
		}
	}
	for i := range queues {
		q, err := b.Queue(fmt.Sprintf("queue-%d", i))
		require.NoError(t, err)
		require.Eventually(t, func() bool { s := q.Stats(); return s.Acked >= publishers*each }, time.Minute,
			time.Millisecond)
	}
	require.NoError(t, b.Drain(ctx))
	all.Wait()
	for i := range queues {
		q, err := b.Queue(fmt.Sprintf("queue-%d", i))
		require.NoError(t, err)
		s := q.Stats()
		assert.Equal(t, s.Published, s.Acked)
		assert.Zero(t, s.Len())
	}
	assert.NoError(t, b.Close())
}
