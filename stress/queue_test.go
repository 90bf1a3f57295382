package stress_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tensile/queue"
	"tensile/queue/wal"
	"tensile/stress/queuetest"
)

func TestStressQueue(t *testing.T) { queuetest.TestBroker(t, openBroker) }

func BenchmarkQueue(b *testing.B) { queuetest.BenchmarkBroker(b, openBroker) }

// subjectBroker is package queue behind the interface of the kit.
type subjectBroker struct {
	*queue.Broker
	queues, dead []*queue.Queue
}

func openBroker(tb testing.TB, cfg queuetest.Config) queuetest.Broker {
	return openBrokerOn(tb, cfg, nil)
}

// openBrokerOn opens a broker whose files are those of disk; nil for the operating
// system's.
func openBrokerOn(tb testing.TB, cfg queuetest.Config, disk wal.FS) subjectBroker {
	size := int64(1 << 20) // small: so that there are many segments under load
	if cfg.SegmentSize > 0 {
		size = max(int64(cfg.SegmentSize), wal.MinSegmentSize)
	}
	b, err := queue.Open(queue.Options{Dir: cfg.Dir, SegmentSize: size, FS: disk})
	if err != nil {
		tb.Fatal(err)
	}
	s := subjectBroker{Broker: b}
	declare := func(name string, c queue.Config) *queue.Queue {
		q, err := b.Declare(name, c)
		if err != nil {
			tb.Fatal(err)
		}
		return q
	}
	for i := range cfg.Queues {
		own := queue.Config{Visibility: cfg.Visibility, MaxLen: cfg.MaxLen}
		if cfg.Reject {
			own.Overflow = queue.Reject
		}
		if cfg.MaxAttempts > 0 {
			own.MaxAttempts, own.DeadLetter = cfg.MaxAttempts, fmt.Sprintf("dead-%d", i)
			s.dead = append(s.dead, declare(own.DeadLetter, queue.Config{Visibility: cfg.Visibility}))
		}
		s.queues = append(s.queues, declare(fmt.Sprintf("queue-%d", i), own))
	}
	return s
}

func (s subjectBroker) Publish(ctx context.Context, i int, body []byte) error {
	_, err := s.queues[i].Publish(ctx, body)
	return err
}

func (s subjectBroker) Receive(ctx context.Context, i int) (queuetest.Delivery, error) {
	return receiveFrom(ctx, s.queues[i])
}

func (s subjectBroker) ReceiveDead(ctx context.Context, i int) (queuetest.Delivery, error) {
	return receiveFrom(ctx, s.dead[i])
}

func receiveFrom(ctx context.Context, q *queue.Queue) (queuetest.Delivery, error) {
	d, err := q.Receive(ctx)
	if err != nil {
		return nil, err
	}
	return subjectDelivery{d}, nil
}

func (s subjectBroker) PublishBatch(ctx context.Context, i int, bodies [][]byte) error {
	_, err := s.queues[i].PublishBatch(ctx, bodies)
	return err
}

func (s subjectBroker) ReceiveBatch(ctx context.Context, i, most int) ([]queuetest.Delivery, error) {
	got := make([]queue.Delivery, most)
	n, err := s.queues[i].ReceiveBatch(ctx, got)
	all := make([]queuetest.Delivery, n)
	for j := range all {
		all[j] = subjectDelivery{got[j]}
	}
	return all, err
}

func (s subjectBroker) AckBatch(ctx context.Context, i int, all []queuetest.Delivery) error {
	own := make([]queue.Delivery, len(all))
	for j, d := range all {
		own[j] = d.(subjectDelivery).Delivery
	}
	_, err := s.queues[i].AckBatch(ctx, own)
	return err
}

func (subjectBroker) Full() error { return queue.ErrFull }
func (subjectBroker) Durable()    {}

func (s subjectBroker) Recovered() (torn, damaged []queuetest.Gap) {
	gaps := func(from []wal.Gap) (to []queuetest.Gap) {
		for _, g := range from {
			to = append(to, queuetest.Gap{File: g.File, Offset: g.Offset})
		}
		return to
	}
	found := s.Recovery()
	return gaps(found.Torn), gaps(found.Damage)
}

type subjectDelivery struct{ queue.Delivery }

func (d subjectDelivery) Body() []byte { return d.Delivery.Body }
func (d subjectDelivery) Attempt() int { return d.Delivery.Attempt }
func (d subjectDelivery) Nack() error  { return d.Delivery.Nack(0) }

func (d subjectDelivery) NackAfter(delay time.Duration) error { return d.Delivery.Nack(delay) }
