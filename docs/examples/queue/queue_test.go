package queue_test

import (
	"context"
	"testing"

	"example.com/yours/queue"

	"tensile/stress"
	"tensile/stress/queuetest"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressQueue(t *testing.T) { queuetest.TestBroker(t, open) }

func BenchmarkQueue(b *testing.B) { queuetest.BenchmarkBroker(b, open) }

func open(_ testing.TB, cfg queuetest.Config) queuetest.Broker {
	var s subject
	for range cfg.Queues {
		var dead *queue.Queue
		if cfg.MaxAttempts > 0 {
			dead = queue.New(cfg.Visibility, 0, nil)
		}
		s.dead = append(s.dead, dead)
		s.queues = append(s.queues, queue.New(cfg.Visibility, cfg.MaxAttempts, dead))
	}
	return s
}

// subject adapts a number of queues to the kit. It offers dead letters, because it has
// ReceiveDead. It does not offer bounds or a disk, because it has neither Full nor
// Durable.
type subject struct{ queues, dead []*queue.Queue }

func (s subject) Publish(_ context.Context, i int, body []byte) error {
	return s.queues[i].Publish(body)
}

func (s subject) Receive(ctx context.Context, i int) (queuetest.Delivery, error) {
	return receive(ctx, s.queues[i])
}

func (s subject) ReceiveDead(ctx context.Context, i int) (queuetest.Delivery, error) {
	return receive(ctx, s.dead[i])
}

func receive(ctx context.Context, q *queue.Queue) (queuetest.Delivery, error) {
	m, err := q.Receive(ctx)
	if err != nil {
		return nil, err
	}
	return delivery{m}, nil
}

func (s subject) Close() error {
	for i, q := range s.queues {
		q.Close()
		if s.dead[i] != nil {
			s.dead[i].Close()
		}
	}
	return nil
}

type delivery struct{ m *queue.Message }

func (d delivery) Body() []byte              { return d.m.Body }
func (d delivery) Attempt() int              { return d.m.Attempt }
func (d delivery) Ack(context.Context) error { return d.m.Ack() }
func (d delivery) Nack() error               { return d.m.Nack() }
