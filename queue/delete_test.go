package queue_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue"
	"tensile/queue/internal/faultfs"
)

// Everybody who has to do with a queue is told that it is gone.
func TestDelete(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := queue.Options{}
				if durable {
					o = onDisk(faultfs.New())
				}
				b := open(t, o)
				q := declare(t, b, "q", queue.Config{MaxLen: 3, Visibility: time.Minute})
				empty := declare(t, b, "empty", queue.Config{})
				publish(t, q, "a", "b", "c")
				held := expect(t, q, "a", "b")
				require.NoError(t, held[1].Nack(time.Hour))
				told := make(chan error, 2)
				go func() {
					_, err := q.Publish(context.Background(), []byte("d"))
					told <- err
				}()
				go func() {
					_, err := empty.Receive(context.Background())
					told <- err
				}()
				synctest.Wait()
				require.NoError(t, b.Delete(t.Context(), "q"))
				require.NoError(t, b.Delete(t.Context(), "empty"))
				for range 2 {
					assert.ErrorIs(t, <-told, queue.ErrDeleted)
				}
				for _, err := range []error{
					second(q.Publish(t.Context(), nil)), second(q.PublishBatch(t.Context(), make([][]byte, 2))),
					second(q.Receive(t.Context())), held[0].Ack(t.Context()), held[0].Nack(0), held[0].Extend(1),
					second(q.AckBatch(t.Context(), held)),
				} {
					assert.ErrorIs(t, err, queue.ErrDeleted)
				}
				assert.Equal(t, queue.Stats{Published: 3, Delivered: 2, Nacked: 1}, q.Stats())
				assert.ErrorIs(t, b.Delete(t.Context(), "q"), queue.ErrUnknownQueue)
				assert.ErrorIs(t, second(b.Queue("q")), queue.ErrUnknownQueue)

				again := declare(t, b, "q", queue.Config{})
				publish(t, again, "new")
				time.Sleep(2 * time.Hour) // the old one's leases and delays end
				synctest.Wait()
				assert.Equal(t, []uint64{1}, ids(expect(t, again, "new")), "a queue of its own")
				require.NoError(t, b.Delete(t.Context(), "q"))
				assert.NoError(t, b.Close(), "nothing is left")
				assert.ErrorIs(t, b.Delete(t.Context(), "q"), queue.ErrClosed)
			})
		})
	}
}

func TestDeadLetterQueueIsDeletedAfterThoseThatUseIt(t *testing.T) {
	b := open(t, queue.Options{})
	dead := declare(t, b, "dead", queue.Config{})
	q := declare(t, b, "q", queue.Config{MaxAttempts: 1, DeadLetter: "dead"})
	publish(t, q, "a", "b")
	require.NoError(t, receive(t, q).Nack(0))
	err := b.Delete(t.Context(), "dead")
	assert.ErrorIs(t, err, queue.ErrInUse)
	assert.ErrorContains(t, err, `"dead"`)
	require.NoError(t, b.Delete(t.Context(), "q"))
	expect(t, dead, "a")
	require.NoError(t, b.Delete(t.Context(), "dead"))
	assert.NoError(t, b.Close())
}

// A queue that was deleted does not come back, declared or not, whatever becomes
// of the log.
func TestDeleteIsDurable(t *testing.T) {
	disk := faultfs.New()
	b := open(t, onDisk(disk))
	for _, name := range []string{"kept", "gone", "undeclared", "again"} {
		publish(t, declare(t, b, name, queue.Config{}), name+" 1", name+" 2")
	}
	require.NoError(t, b.Close())
	b = open(t, onDisk(disk))
	require.NoError(t, b.Delete(t.Context(), "undeclared"))
	declare(t, b, "gone", queue.Config{})
	require.NoError(t, b.Delete(t.Context(), "gone"))
	require.NoError(t, b.Delete(t.Context(), "again"))
	publish(t, declare(t, b, "again", queue.Config{}), "again 3")
	for range 3 {
		disk = killed(t, b, disk)
		b = open(t, onDisk(disk))
		assert.Equal(t, map[string]int{"kept": 2, "again": 1}, b.Recovery().Queues)
		q := declare(t, b, "again", queue.Config{})
		for range 50 { // through several segments
			publish(t, q, "x")
		}
		require.NoError(t, b.Delete(t.Context(), "again"))
		publish(t, declare(t, b, "again", queue.Config{}), "again 3")
	}
	require.NoError(t, b.Close())
}

// Queues come and go by the thousand, and each costs the same.
func TestManyQueuesComeAndGo(t *testing.T) {
	disk := faultfs.New()
	b := open(t, onDisk(disk))
	name := func(i int) string { return fmt.Sprintf("the queue of customer %06d", i) }
	const queues = 20_000
	took := func(from, to int) uint64 { // bytes allocated: what a machine is busy with does not count
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := from; i < to; i++ {
			declare(t, b, name(i), queue.Config{})
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few := took(0, queues/4)
	took(queues/4, queues*3/4)
	many := took(queues*3/4, queues)
	// Where each costs as much as there are, the last take seven times as long.
	assert.Less(t, many, 3*few, "%d bytes for the first quarter, %d for the last", few, many)
	publish(t, declare(t, b, name(0), queue.Config{}), "a")
	for i := 1; i < queues; i += 100 {
		require.NoError(t, b.Delete(t.Context(), name(i)))
	}
	disk = killed(t, b, disk)
	b = open(t, onDisk(disk))
	assert.Equal(t, map[string]int{name(0): 1}, b.Recovery().Queues)
	require.NoError(t, b.Close())
}
