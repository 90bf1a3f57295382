package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/puzpuzpuz/xsync/v4"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"tensile/queue"
)

// The shape of the queueing scenario.
const (
	queues     = 100
	held       = 100 // delivered and not acknowledged, of each queue
	workers    = 8
	publishers = 1000
	bodySize   = 64
)

func queueing() []comparison {
	memory := comparison{scenario: "queueing", unit: "msgs/s", n: 2_000_000,
		work: fmt.Sprintf("publish, receive and acknowledge in memory, %d queues with %d messages held in each",
			queues, held)}
	for _, m := range memories {
		memory.contestants = append(memory.contestants, contestant{name: m.name, bound: m.bound, lacks: m.lacks,
			sample: func(n int) (float64, error) { return m.rate(n) }})
	}
	memory.contestants = append(memory.contestants, contestant{name: "JetStream, memory store, in this process", fewer: 20,
		lacks: "100 queues: it is one stream", sample: func(n int) (float64, error) { return jetStreamCycles(n) }})

	durable := comparison{scenario: "queueing", unit: "msgs/s", n: 20_000,
		work: fmt.Sprintf("publish and have it on the disk, %d publishers", publishers)}
	for _, d := range disks {
		durable.contestants = append(durable.contestants,
			contestant{name: d.name, bound: d.bound, lacks: d.lacks, fewer: d.fewer,
				sample: func(n int) (float64, error) {
					dir, remove, err := tempDir()
					if err != nil {
						return 0, err
					}
					defer remove()
					publish, end, err := d.open(dir)
					if err != nil {
						return 0, err
					}
					x, err := perSecond(n, func() error {
						return together(publishers, n, func(p, n int) error {
							body := make([]byte, bodySize)
							return repeat(n, func(i int) error {
								binary.BigEndian.PutUint64(body, uint64(p)<<32|uint64(i))
								return publish(body)
							})
						})
					})
					return x, errors.Join(err, end())
				}})
	}
	durable.contestants = append(durable.contestants, contestant{name: "write and fdatasync of 1,000 records at a time",
		bound: true, lacks: "everything but the disk", sample: bareDisk})
	return []comparison{memory, durable}
}

// memoryPeer opens one queue and gives a function that takes one message from
// publish to acknowledgement while held others are held.
type memoryPeer struct {
	name  string
	bound bool
	lacks string
	open  func() (cycle func() error, end func() error, err error)
}

// rate has workers go through the queues, with the same number of messages in
// each.
func (m memoryPeer) rate(n int) (float64, error) {
	cycles, ends := make([]func() error, queues), make([]func() error, queues)
	for i := range cycles {
		var err error
		if cycles[i], ends[i], err = m.open(); err != nil {
			return 0, err
		}
	}
	var next atomic.Int64
	x, err := perSecond(n, func() error {
		return together(workers, workers, func(int, int) error {
			for i := next.Add(1) - 1; i < queues; i = next.Add(1) - 1 {
				if err := repeat(n/queues, func(int) error { return cycles[i]() }); err != nil {
					return err
				}
			}
			return nil
		})
	})
	for _, end := range ends {
		err = errors.Join(err, end())
	}
	return x, err
}

// holding returns a function that publishes one message, receives one, and
// acknowledges the one received longest ago of those held. It checks that they
// come in order.
func holding[D any](
	publish func(body []byte) error, receive func() (D, []byte, error), ack func(D) error,
) func() error {
	type delivery struct{ d D }
	ring := make([]delivery, 0, held)
	at, sent, received := 0, uint64(0), uint64(0)
	return func() error {
		body := make([]byte, bodySize)
		sent++
		binary.BigEndian.PutUint64(body, sent)
		if err := publish(body); err != nil {
			return err
		}
		d, body, err := receive()
		if err != nil {
			return err
		}
		received++
		if got := binary.BigEndian.Uint64(body); got != received {
			return fmt.Errorf("message %d came where message %d is due", got, received)
		}
		if len(ring) < held {
			ring = append(ring, delivery{d})
			return nil
		}
		err = ack(ring[at].d)
		ring[at].d = d
		at = (at + 1) % held
		return err
	}
}

var memories = []memoryPeer{
	{name: "tensile/queue", open: func() (func() error, func() error, error) {
		ctx := context.Background()
		b, err := queue.Open(queue.Options{})
		if err != nil {
			return nil, nil, err
		}
		q, err := b.Declare("q", queue.Config{})
		return holding(func(body []byte) error { _, err := q.Publish(ctx, body); return err },
				func() (queue.Delivery, []byte, error) { d, err := q.Receive(ctx); return d, d.Body, err },
				func(d queue.Delivery) error { return d.Ack(ctx) }), func() error {
				if err := b.Close(); !errors.Is(err, queue.ErrDiscarded) {
					return fmt.Errorf("%d messages were held and Close returned %v", held, err)
				}
				return nil
			}, err
	}},
	{name: "channel and map of leases", lacks: "time-outs, redelivery, dead letters",
		open: func() (func() error, func() error, error) {
			ready := make(chan []byte, held)
			l := newLeases()
			return holding(func(body []byte) error { ready <- body; return nil },
				func() (uint64, []byte, error) { body := <-ready; return l.lease(body), body, nil }, l.ack), nothing, nil
		}},
	{name: "xsync.MPMCQueue and map of leases", lacks: "time-outs, redelivery, dead letters",
		open: func() (func() error, func() error, error) {
			ready := xsync.NewMPMCQueue[[]byte](held)
			l := newLeases()
			return holding(func(body []byte) error {
				if !ready.TryEnqueue(body) {
					return errors.New("queue is full")
				}
				return nil
			}, func() (uint64, []byte, error) {
				body, ok := ready.TryDequeue()
				if !ok {
					return 0, nil, errors.New("queue is empty")
				}
				return l.lease(body), body, nil
			}, l.ack), nothing, nil
		}},
	{name: "channel alone", bound: true, lacks: "acknowledgement: what is received is gone",
		open: func() (func() error, func() error, error) {
			ready := make(chan []byte, held)
			return holding(func(body []byte) error { ready <- body; return nil },
				func() (struct{}, []byte, error) { return struct{}{}, <-ready, nil },
				func(struct{}) error { return nil }), nothing, nil
		}},
}

// leases is what a channel needs to have messages acknowledged.
type leases struct {
	mu   sync.Mutex
	last uint64
	held map[uint64]lease
}

type lease struct {
	body []byte
	due  time.Time
}

func newLeases() *leases { return &leases{held: make(map[uint64]lease)} }

func (l *leases) lease(body []byte) uint64 {
	due := time.Now().Add(time.Minute)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	l.held[l.last] = lease{body, due}
	return l.last
}

func (l *leases) ack(id uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.held[id]; !held {
		return errors.New("lease ended")
	}
	delete(l.held, id)
	return nil
}

// disks confirm a message once it is on the disk.
var disks = []struct {
	name  string
	bound bool
	lacks string
	fewer int
	open  func(dir string) (publish func(body []byte) error, end func() error, err error)
}{
	{name: "tensile/queue", open: func(dir string) (func([]byte) error, func() error, error) {
		b, err := queue.Open(queue.Options{Dir: filepath.Join(dir, "queue")})
		if err != nil {
			return nil, nil, err
		}
		q, err := b.Declare("q", queue.Config{})
		return func(body []byte) error {
			_, err := q.Publish(context.Background(), append([]byte(nil), body...))
			return err
		}, b.Close, err
	}},
	{name: "bbolt, Batch", lacks: "queues: it is a map", open: func(dir string) (func([]byte) error, func() error, error) {
		db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, nil)
		if err != nil {
			return nil, nil, err
		}
		bucket := []byte("q")
		err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucket); return err })
		return func(body []byte) error {
			return db.Batch(func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucket)
				id, err := b.NextSequence()
				if err != nil {
					return err
				}
				return b.Put(binary.BigEndian.AppendUint64(nil, id), body)
			})
		}, db.Close, err
	}},
	{name: "pebble, Sync", lacks: "queues: it is a map", open: func(dir string) (func([]byte) error, func() error, error) {
		db, err := pebble.Open(filepath.Join(dir, "pebble"), &pebble.Options{Logger: silent{}})
		if err != nil {
			return nil, nil, err
		}
		var last atomic.Uint64
		return func(body []byte) error {
			return db.Set(binary.BigEndian.AppendUint64(nil, last.Add(1)), body, pebble.Sync)
		}, db.Close, nil
	}},
	{name: "JetStream, file store, sync always",
		fewer: 20, open: func(dir string) (func([]byte) error, func() error, error) {
			nc, end, err := natsServer(dir, true)
			if err != nil {
				return nil, nil, err
			}
			js, err := jetstream.New(nc)
			if err != nil {
				return nil, nil, err
			}
			_, err = js.CreateStream(context.Background(),
				jetstream.StreamConfig{Name: "q", Subjects: []string{"q"}, Storage: jetstream.FileStorage})
			return func(body []byte) error {
				_, err := js.PublishMsg(context.Background(), &nats.Msg{Subject: "q", Data: body})
				return err
			}, end, err
		}},
}

// silent drops what pebble logs.
type silent struct{}

func (silent) Infof(string, ...any)         {}
func (silent) Errorf(string, ...any)        {}
func (silent) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

// bareDisk writes records as one who collects those of all publishers would,
// each followed by fdatasync.
func bareDisk(n int) (float64, error) {
	file, err := os.CreateTemp("", "peers")
	if err != nil {
		return 0, err
	}
	defer func() { _ = errors.Join(file.Close(), os.Remove(file.Name())) }()
	batch := make([]byte, publishers*bodySize)
	return perSecond(n, func() error {
		return repeat((n+publishers-1)/publishers, func(int) error {
			if _, err := file.Write(batch); err != nil {
				return err
			}
			return unix.Fdatasync(int(file.Fd()))
		})
	})
}

// tempDir makes a folder and the way to remove it.
func tempDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "peers")
	return dir, func() { _ = os.RemoveAll(dir) }, err
}
