package queue_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue"
)

// inBubble runs f with a queue whose visibility time-out is 10 s, on a clock
// that moves only while everybody waits.
func inBubble(t *testing.T, cfg queue.Config, f func(t *testing.T, b *queue.Broker, q *queue.Queue)) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, queue.Options{})
		cfg.Visibility = 10 * time.Second
		if cfg.DeadLetter != "" {
			declare(t, b, cfg.DeadLetter, queue.Config{})
		}
		f(t, b, declare(t, b, "q", cfg))
		if err := b.Close(); err != nil {
			assert.ErrorIs(t, err, queue.ErrDiscarded)
		}
	})
}

func TestVisibilityTimeout(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, _ *queue.Broker, q *queue.Queue) {
		publish(t, q, "a", "b")
		began := time.Now()
		stale := expect(t, q, "a")[0]
		expect(t, q, "b")
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		assert.Zero(t, q.Stats().Ready, "not yet")
		d := receive(t, q) // waits, and the timer wakes it
		assert.Equal(t, 10*time.Second, time.Since(began))
		assert.Equal(t, "a", string(d.Body))
		assert.Equal(t, 2, d.Attempt)
		assert.ErrorIs(t, stale.Ack(t.Context()), queue.ErrLeaseEnded)
		assert.NoError(t, d.Ack(t.Context()))
		assert.Equal(t, uint64(2), q.Stats().Expired)
		expect(t, q, "b")
	})
}

func TestLateAckIsAcceptedWhileNobodyElseHasTheMessage(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, _ *queue.Broker, q *queue.Queue) {
		publish(t, q, "a")
		d := receive(t, q)
		time.Sleep(9 * time.Second)
		assert.NoError(t, d.Ack(t.Context()))
		time.Sleep(time.Minute)
		assert.Zero(t, q.Stats().Len())
	})
}

func TestExtend(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, _ *queue.Broker, q *queue.Queue) {
		publish(t, q, "a", "b", "c")
		held := expect(t, q, "a", "b", "c")
		require.NoError(t, held[0].Extend(time.Minute))
		require.NoError(t, held[1].Extend(time.Second))
		require.NoError(t, held[0].Extend(time.Hour))
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, q, "b") // shortened
		time.Sleep(9 * time.Second)
		synctest.Wait()
		expect(t, q, "c")
		time.Sleep(30 * time.Minute)
		require.NoError(t, held[0].Ack(t.Context()), "still held")
	})
}

func TestNackWithDelay(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, _ *queue.Broker, q *queue.Queue) {
		publish(t, q, "a", "b", "c")
		held := expect(t, q, "a", "b", "c")
		require.NoError(t, held[0].Nack(3*time.Second))
		require.NoError(t, held[1].Nack(2*time.Second))
		assert.Equal(t, 2, q.Stats().Delayed)
		began := time.Now()
		d := receive(t, q)
		assert.Equal(t, "b", string(d.Body))
		assert.Equal(t, 2, d.Attempt)
		assert.Equal(t, 2*time.Second, time.Since(began))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, queue.Stats{Ready: 1, InFlight: 2, Published: 3, Delivered: 4, Redelivered: 1, Nacked: 2}, q.Stats())
		publish(t, q, "d")
		expect(t, q, "a", "d")
	})
}

// A message whose last lease ends reaches a consumer that waits at the
// dead-letter queue, though nobody touches the queue it comes from.
func TestDeadLetterByTimeout(t *testing.T) {
	inBubble(t, queue.Config{MaxAttempts: 2, DeadLetter: "dead"}, func(t *testing.T, b *queue.Broker, q *queue.Queue) {
		dead, err := b.Queue("dead")
		require.NoError(t, err)
		publish(t, q, "a")
		began := time.Now()
		receive(t, q)
		receive(t, q)
		assert.Equal(t, 10*time.Second, time.Since(began))
		d := receive(t, dead)
		assert.Equal(t, 20*time.Second, time.Since(began))
		assert.Equal(t, "a", string(d.Body))
		assert.Zero(t, q.Stats().Len())
	})
}

func TestReceiversAreServedInOrder(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, _ *queue.Broker, q *queue.Queue) {
		var served []int
		gaveUp, cancel := context.WithCancel(t.Context())
		for i := range 5 {
			ctx := context.Background()
			if i == 2 {
				ctx = gaveUp
			}
			go func() {
				d, err := q.Receive(ctx)
				if i == 2 {
					assert.ErrorIs(t, err, context.Canceled)
					return
				}
				assert.NoError(t, err)
				assert.Equal(t, "abcd"[len(served):len(served)+1], string(d.Body))
				served = append(served, i)
			}()
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		assert.Equal(t, 4, q.Stats().Receivers)
		for _, body := range []string{"a", "b", "c", "d"} {
			publish(t, q, body)
			synctest.Wait()
		}
		assert.Equal(t, []int{0, 1, 3, 4}, served)
		assert.Zero(t, q.Stats().Receivers)
	})
}

func TestBatchReceiverTakesWhatIsThere(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, _ *queue.Broker, q *queue.Queue) {
		got := make(chan int)
		go func() {
			n, err := q.ReceiveBatch(context.Background(), make([]queue.Delivery, 3))
			assert.NoError(t, err)
			got <- n
		}()
		synctest.Wait()
		_, err := q.PublishBatch(t.Context(), make([][]byte, 5))
		require.NoError(t, err)
		assert.Equal(t, 3, <-got)
		assert.Equal(t, 2, q.Stats().Ready)
	})
}

func TestFullQueueBlocks(t *testing.T) {
	inBubble(t, queue.Config{MaxLen: 2}, func(t *testing.T, b *queue.Broker, q *queue.Queue) {
		_, err := q.PublishBatch(t.Context(), make([][]byte, 3))
		assert.ErrorIs(t, err, queue.ErrFull, "it would wait for ever")
		publish(t, q, "a", "b")
		ended := make(chan string, 5)
		done := func() (names []string) {
			synctest.Wait()
			for len(ended) > 0 {
				names = append(names, <-ended)
			}
			return names
		}
		start := func(ctx context.Context, want error, bodies ...string) {
			go func() {
				batch := [][]byte{}
				for _, body := range bodies {
					batch = append(batch, []byte(body))
				}
				_, err := q.PublishBatch(ctx, batch)
				assert.ErrorIs(t, err, want)
				ended <- bodies[0]
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start(context.Background(), nil, "c")
		start(ctx, context.DeadlineExceeded, "d", "e")
		start(context.Background(), nil, "f")
		start(context.Background(), queue.ErrClosed, "g") // there is never room
		assert.Equal(t, 4, q.Stats().Publishers)
		held := expect(t, q, "a", "b")
		require.NoError(t, held[0].Ack(t.Context()))
		assert.Equal(t, []string{"c"}, done())
		require.NoError(t, held[1].Ack(t.Context()))
		start(context.Background(), queue.ErrClosed, "h")
		assert.Empty(t, done(), "the batch is first in line and does not fit, and nobody passes it")
		time.Sleep(5 * time.Second)
		assert.ElementsMatch(t, []string{"d", "f"}, done(), "it gave up, and the next one fits")
		expect(t, q, "c", "f")
		assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
		synctest.Wait()
	})
}

func TestDrainWaitsForEveryAck(t *testing.T) {
	inBubble(t, queue.Config{MaxAttempts: 1, DeadLetter: "dead", MaxLen: 2},
		func(t *testing.T, b *queue.Broker, q *queue.Queue) {
			dead, err := b.Queue("dead")
			require.NoError(t, err)
			publish(t, q, "a", "b")
			go func() {
				_, err := q.Publish(context.Background(), []byte("waits for room"))
				assert.ErrorIs(t, err, queue.ErrClosed)
			}()
			synctest.Wait()
			drained := false
			go func() {
				assert.NoError(t, b.Drain(context.Background()))
				drained = true
			}()
			synctest.Wait()
			_, err = q.Publish(t.Context(), nil)
			assert.ErrorIs(t, err, queue.ErrClosed)
			_, err = b.Declare("another", queue.Config{})
			assert.ErrorIs(t, err, queue.ErrClosed)
			held := expect(t, q, "a", "b")
			require.NoError(t, held[0].Ack(t.Context()))
			require.NoError(t, held[1].Nack(0))
			synctest.Wait()
			assert.False(t, drained, "there is a dead letter")
			_, err = q.Receive(t.Context())
			assert.ErrorIs(t, err, queue.ErrClosed, "this one is empty for good")
			require.NoError(t, expect(t, dead, "b")[0].Ack(t.Context()))
			synctest.Wait()
			assert.True(t, drained)
			assert.NoError(t, b.Close())
		})
}

func TestDrainEndsWithItsContextOrClose(t *testing.T) {
	inBubble(t, queue.Config{}, func(t *testing.T, b *queue.Broker, q *queue.Queue) {
		publish(t, q, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, b.Drain(ctx), context.DeadlineExceeded)
		go func() { assert.ErrorIs(t, b.Drain(context.Background()), queue.ErrClosed) }()
		synctest.Wait()
		assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
	})
}

func TestCloseTurnsEverybodyAway(t *testing.T) {
	inBubble(t, queue.Config{MaxLen: 1}, func(t *testing.T, b *queue.Broker, q *queue.Queue) {
		empty := declare(t, b, "empty", queue.Config{})
		publish(t, q, "a")
		d := receive(t, q)
		var turned atomic.Int32
		go func() {
			_, err := q.Publish(context.Background(), nil)
			assert.ErrorIs(t, err, queue.ErrClosed)
			turned.Add(1)
		}()
		go func() {
			_, err := empty.Receive(context.Background())
			assert.ErrorIs(t, err, queue.ErrClosed)
			turned.Add(1)
		}()
		synctest.Wait()
		err := b.Close()
		assert.ErrorIs(t, err, queue.ErrDiscarded)
		assert.ErrorContains(t, err, ": 1")
		synctest.Wait()
		assert.Equal(t, int32(2), turned.Load())
		for _, err := range []error{
			d.Ack(t.Context()), d.Nack(0), d.Extend(1), second(q.Publish(t.Context(), nil)),
			second(q.Receive(t.Context())), second(q.AckBatch(t.Context(), []queue.Delivery{d})),
			second(b.Declare("x", queue.Config{})),
		} {
			assert.ErrorIs(t, err, queue.ErrClosed)
		}
		assert.NoError(t, b.Close())
	})
}
