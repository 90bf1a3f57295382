package queue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tensile/queue"
	"tensile/queue/wal"
)

const (
	benchQueues   = 100
	benchInFlight = 1000 // delivered and not acknowledged, of each queue
	benchWorkers  = 8
)

// BenchmarkInMemory takes messages from publish to acknowledgement over 100
// queues, with 100,000 delivered and not acknowledged all the while: by the
// broker, and by a buffered channel for each queue with the same bookkeeping.
func BenchmarkInMemory(b *testing.B) {
	body := make([]byte, 64)
	ctx := context.Background()
	declareAll := func(b *testing.B) (*queue.Broker, []*queue.Queue) {
		broker := open(b, queue.Options{})
		queues := make([]*queue.Queue, benchQueues)
		for i := range queues {
			queues[i] = declare(b, broker, fmt.Sprintf("queue-%d", i), queue.Config{})
		}
		return broker, queues
	}
	finish := func(b *testing.B, broker *queue.Broker, queues []*queue.Queue) {
		for _, q := range queues {
			require.Equal(b, benchInFlight, q.Stats().InFlight)
		}
		require.ErrorIs(b, broker.Close(), queue.ErrDiscarded)
	}
	b.Run("broker", func(b *testing.B) {
		broker, queues := declareAll(b)
		overQueues(b, func(i int) func() {
			q := queues[i]
			return cycle(
				func() { _, _ = q.Publish(ctx, body) },
				func() queue.Delivery { d, _ := q.Receive(ctx); return d },
				func(d queue.Delivery) { _ = d.Ack(ctx) },
			)
		})
		finish(b, broker, queues)
	})
	b.Run("channels", func(b *testing.B) {
		overQueues(b, func(int) func() {
			q := &channelQueue{ready: make(chan channelMessage, benchInFlight), leased: make(map[uint64]channelMessage)}
			return cycle(func() { q.publish(ctx, body) }, func() channelMessage { return q.receive(ctx) },
				func(m channelMessage) { q.ack(m) })
		})
	})
}

// cycle returns a function that takes one message from publish to
// acknowledgement, while benchInFlight others are held.
func cycle[D any](publish func(), receive func() D, ack func(D)) func() {
	held := make([]D, benchInFlight)
	for i := range held {
		publish()
		held[i] = receive()
	}
	at := 0
	return func() {
		publish()
		d := receive()
		ack(held[at])
		held[at] = d
		at = (at + 1) % len(held)
	}
}

// overQueues has workers go through the queues, with the same number of
// messages in each.
func overQueues(b *testing.B, start func(queue int) func()) {
	cycles := make([]func(), benchQueues)
	for i := range cycles {
		cycles[i] = start(i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var all sync.WaitGroup
	for range benchWorkers {
		all.Go(func() {
			for i := next.Add(1) - 1; i < benchQueues; i = next.Add(1) - 1 {
				for range (b.N + benchQueues - 1) / benchQueues {
					cycles[i]()
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// channelQueue is what a buffered channel needs to be a queue: IDs, leases and
// attempts.
type channelQueue struct {
	ready chan channelMessage

	mu           sync.Mutex
	last, leases uint64
	leased       map[uint64]channelMessage
}

type channelMessage struct {
	body      []byte
	id, lease uint64
	attempt   int
	due       time.Time
}

func (q *channelQueue) publish(ctx context.Context, body []byte) {
	q.mu.Lock()
	q.last++
	m := channelMessage{body: body, id: q.last}
	q.mu.Unlock()
	select {
	case q.ready <- m:
	case <-ctx.Done():
	}
}

func (q *channelQueue) receive(ctx context.Context) (m channelMessage) {
	select {
	case m = <-q.ready:
	case <-ctx.Done():
		return m
	}
	m.attempt++
	m.due = time.Now().Add(queue.DefaultVisibility)
	q.mu.Lock()
	q.leases++
	m.lease = q.leases
	q.leased[m.id] = m
	q.mu.Unlock()
	return m
}

func (q *channelQueue) ack(m channelMessage) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.leased[m.id].lease != m.lease {
		return false
	}
	delete(q.leased, m.id)
	return true
}

// BenchmarkDurable has 1,000 publishers wait for the disk, over 100 queues; and
// as many take a message from publish to acknowledgement. The time of the disk
// itself for one fdatasync is beside it.
func BenchmarkDurable(b *testing.B) {
	const publishers = 1000
	ctx := context.Background()
	body := make([]byte, 64)
	run := func(b *testing.B, each func(q *queue.Queue) error) {
		disk := datasync(b)
		broker := open(b, queue.Options{Dir: filepath.Join(b.TempDir(), "queues")})
		b.ResetTimer()
		var all sync.WaitGroup
		for p := range publishers {
			q := declare(b, broker, fmt.Sprintf("queue-%d", p%benchQueues), queue.Config{})
			all.Go(func() {
				for i := p; i < b.N; i += publishers {
					if err := each(q); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		b.StopTimer()
		s := broker.LogStats()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		b.ReportMetric(float64(s.Records)/float64(s.Commits), "records/sync")
		b.ReportMetric(float64(disk)/float64(time.Microsecond), "µs-disk/sync")
		require.NoError(b, broker.Close())
	}
	b.Run("publish", func(b *testing.B) {
		run(b, func(q *queue.Queue) error { _, err := q.Publish(ctx, body); return err })
	})
	b.Run("publish-receive-ack", func(b *testing.B) {
		run(b, func(q *queue.Queue) error {
			if _, err := q.Publish(ctx, body); err != nil {
				return err
			}
			d, err := q.Receive(ctx)
			if err != nil {
				return err
			}
			return d.Ack(ctx)
		})
	})
}

// datasync is the median time of an fdatasync of 4 KB.
func datasync(b *testing.B) time.Duration {
	f, err := wal.System{}.Create(filepath.Join(b.TempDir(), "file"))
	require.NoError(b, err)
	require.NoError(b, f.Allocate(1<<20))
	var took [101]time.Duration
	for i := range took {
		began := time.Now()
		_, err := f.WriteAt(make([]byte, 4096), int64(i)*4096)
		require.NoError(b, err)
		require.NoError(b, f.Datasync())
		took[i] = time.Since(began)
	}
	require.NoError(b, f.Close())
	slices.Sort(took[:])
	return took[len(took)/2]
}
