package queue_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue"
	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

// A broker whose disk is full is emptied, before and after it was opened again,
// and works again when there is room.
func TestFullDisk(t *testing.T) {
	disk := faultfs.New()
	o := queue.Options{Dir: "/queues", FS: disk, SegmentSize: 16 * wal.MinSegmentSize}
	b := open(t, o)
	dead := declare(t, b, "dead", queue.Config{})
	cfg := queue.Config{MaxAttempts: 1, DeadLetter: "dead"}
	q := declare(t, b, "q", cfg)
	disk.Limit(disk.Used() + 64*wal.MinSegmentSize)
	sent := 0
	for ; ; sent++ {
		if _, err := q.Publish(t.Context(), append(fmt.Appendf(nil, "%d ", sent), make([]byte, 3000)...)); err != nil {
			require.ErrorIs(t, err, queue.ErrNoSpace)
			break
		}
		require.Less(t, sent, 2000)
	}
	assert.Equal(t, sent, q.Stats().Len(), "what was refused is not there")
	d := receive(t, q)
	require.NoError(t, d.Ack(t.Context()))
	require.NoError(t, receive(t, q).Nack(0)) // a dead letter
	require.NoError(t, receive(t, dead).Ack(t.Context()))
	require.NoError(t, b.Close())

	b = open(t, o)
	declare(t, b, "dead", queue.Config{})
	q = declare(t, b, "q", cfg)
	require.Equal(t, sent-2, q.Stats().Len())
	buf := make([]queue.Delivery, 50)
	for q.Stats().Len() > 0 {
		n, err := q.ReceiveBatch(t.Context(), buf)
		require.NoError(t, err)
		_, err = q.AckBatch(t.Context(), buf[:n])
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		_, err := q.Publish(t.Context(), []byte("works again"))
		return err == nil
	}, 10*time.Second, time.Millisecond)
	expect(t, q, "works again")
	require.NoError(t, b.Close())
}

// Where even what is kept for acknowledgements is used up they are refused, and
// nothing has changed: leases go on, attempts are not counted, and what had its
// last attempt is parked until there is room.
func TestReserveIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		b := open(t, onDisk(disk))
		dead := declare(t, b, "dead", queue.Config{})
		q := declare(t, b, "q", queue.Config{MaxAttempts: 1, DeadLetter: "dead", Visibility: time.Hour})
		filler := declare(t, b, "filler", queue.Config{})
		publish(t, q, "a", "b", "c")
		publish(t, filler, "x")
		held := expect(t, q, "a", "b")
		disk.Limit(disk.Used())
		refused := 0
		for range 1000 {
			d, err := filler.Receive(t.Context())
			if err == nil {
				require.NoError(t, d.Nack(0))
				continue
			}
			require.ErrorIs(t, err, queue.ErrNoSpace)
			refused++
		}
		require.NotZero(t, refused)

		before := q.Stats()
		_, err := q.Receive(t.Context())
		assert.ErrorIs(t, err, queue.ErrNoSpace)
		assert.ErrorIs(t, held[0].Ack(t.Context()), queue.ErrNoSpace)
		n, err := q.AckBatch(t.Context(), []queue.Delivery{held[0], held[0]})
		assert.ErrorIs(t, err, queue.ErrNoSpace)
		assert.Zero(t, n)
		assert.ErrorIs(t, b.Delete(t.Context(), "q"), queue.ErrNoSpace)
		_, err = q.Publish(t.Context(), nil)
		assert.ErrorIs(t, err, queue.ErrNoSpace)
		assert.Equal(t, before, q.Stats())
		require.NoError(t, held[1].Nack(0))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, q.Stats().Parked)

		disk.Limit(0)
		_, _ = q.Publish(t.Context(), nil) // has the log try again
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Zero(t, q.Stats().Parked)
		expect(t, dead, "b")
		assert.NoError(t, held[0].Ack(t.Context()), "it is still held")
		assert.Equal(t, []int{1}, attempts(expect(t, q, "c")))
		require.NoError(t, b.Close())
	})
}

// Times that mean "never".
func TestForever(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	for what, end := range map[string]func(d queue.Delivery) error{
		"visibility": func(queue.Delivery) error { return nil },
		"extend":     func(d queue.Delivery) error { return d.Extend(forever) },
		"nack":       func(d queue.Delivery) error { return d.Nack(forever) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, queue.Options{})
				time.Sleep(time.Nanosecond)
				q := declare(t, b, "q", queue.Config{Visibility: forever})
				publish(t, q, "a")
				require.NoError(t, end(receive(t, q)))
				ctx, cancel := context.WithTimeout(t.Context(), 50*365*24*time.Hour)
				defer cancel()
				_, err := q.Receive(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorIs(t, b.Close(), queue.ErrDiscarded)
			})
		})
	}
}

// While the disk does not answer every call ends with its context, and those that
// have none at once.
func TestContextsWhileTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		b := open(t, queue.Options{Dir: "/queues", FS: disk})
		q := declare(t, b, "q", queue.Config{})
		other := declare(t, b, "other", queue.Config{})
		publish(t, other, "a", "b")
		held := expect(t, other, "a")
		var hung atomic.Bool
		release := make(chan struct{})
		disk.Fail(func(op faultfs.Op, _ string) error {
			if op == faultfs.Datasync && hung.Load() {
				<-release
			}
			return nil
		})
		hung.Store(true)
		ended := make(chan error, 100)
		calls := 0
		during := func(call func(ctx context.Context) error) {
			calls++
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				began := time.Now()
				assert.ErrorIs(t, call(ctx), context.DeadlineExceeded)
				assert.Equal(t, time.Second, time.Since(began))
				ended <- nil
			}()
		}
		for range 12 { // MB, of which some must wait for room
			during(func(ctx context.Context) error { _, err := q.Publish(ctx, make([]byte, 1<<20)); return err })
		}
		synctest.Wait()
		assert.Less(t, q.Stats().Published, uint64(12), "some wait before they have the lock")
		during(func(ctx context.Context) error { _, err := q.Receive(ctx); return err })
		during(func(ctx context.Context) error { _, err := q.ReceiveBatch(ctx, make([]queue.Delivery, 5)); return err })
		during(func(ctx context.Context) error { _, err := other.Receive(ctx); return err })
		during(func(ctx context.Context) error { return held[0].Ack(ctx) })
		during(func(ctx context.Context) error { _, err := other.PublishBatch(ctx, make([][]byte, 2)); return err })
		during(func(ctx context.Context) error {
			declare(t, b, "third", queue.Config{})
			return b.Delete(ctx, "third")
		})
		for range calls {
			<-ended
		}
		hung.Store(false)
		close(release)
		require.NoError(t, b.Close())
	})
}

// slowDisk is one whose syncs take time, so that the clock of a bubble moves while
// a log is written.
type slowDisk struct{ *faultfs.FS }

func (d slowDisk) Create(path string) (wal.File, error) {
	f, err := d.FS.Create(path)
	return slowFile{f}, err
}

type slowFile struct{ wal.File }

func (f slowFile) Datasync() error {
	time.Sleep(200 * time.Microsecond)
	return f.File.Datasync()
}

// The log of a broker that nobody calls comes to rest, whatever the number and
// the names of its queues, and then the broker can be closed.
func TestIdleLogIsQuiet(t *testing.T) {
	for _, queues := range []int{1, 10, 60, 150, 400} {
		synctest.Test(t, func(t *testing.T) {
			b := open(t, queue.Options{Dir: "/queues", FS: slowDisk{faultfs.New()}, SegmentSize: wal.MinSegmentSize})
			var all []*queue.Queue
			for i := range queues {
				all = append(all, declare(t, b, fmt.Sprintf("the queue of customer %06d", i), queue.Config{}))
			}
			random := rand.New(rand.NewPCG(uint64(queues), 0))
			for range 200 { // of which most stay
				q := all[random.IntN(queues)]
				publish(t, q, string(make([]byte, random.IntN(200))))
				if random.IntN(4) == 0 {
					require.NoError(t, receive(t, q).Ack(t.Context()))
				}
			}
			time.Sleep(time.Second)
			before := b.LogStats()
			time.Sleep(10 * time.Second)
			assert.Equal(t, before, b.LogStats(), "%d queues: it is written over and over", queues)
			require.NoError(t, b.Close())
		})
	}
}
