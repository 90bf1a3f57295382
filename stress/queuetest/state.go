package queuetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// waiters: each of several consumers that wait gets one of as many messages,
// also after a while in which nothing happened, and none of another queue; bodies
// of any size come as they were.
func (k *kit) waiters(ctx context.Context, t *testing.T) {
	const waiting, rounds = 8, 3
	idle := wait.Pause // nothing is waited for: this is the idleness
	if testing.Short() {
		idle /= 5
	}
	b := k.start(t, Config{Queues: 2})
	defer func() { k.close(b) }()
	for round := range rounds {
		got := make(chan error, waiting)
		for range waiting {
			wait.UntilParked(ctx, new(sync.WaitGroup), func() {
				defer k.Recovered("waiters")
				receive, cancel := context.WithTimeout(ctx, scenario.Settle)
				defer cancel()
				d, err := b.Receive(receive, 0)
				if err == nil && d == nil {
					err = errors.New("neither a message nor an error")
				} else if err == nil {
					err = d.Ack(ctx)
				}
				got <- err
			})
		}
		if round == rounds-1 {
			time.Sleep(idle)
		}
		for i := range uint64(waiting) {
			if !k.must(b.Publish(ctx, 0, payload.Body(i)), "Publish") {
				return
			}
		}
		for range waiting {
			if err := <-got; err != nil {
				k.Violate("lost", "%d consumers waited and as many messages were published, and one consumer got %v", waiting, err)
				return
			}
		}
	}
	time.Sleep(idle)
	for _, size := range []int{1, 100, 4096, 1 << 16} {
		body := bytes.Repeat([]byte{byte(size), 1, 2, 3}, (size+3)/4)[:size]
		if !k.must(b.Publish(ctx, 1, slices.Clone(body)), "Publish of %d bytes", size) {
			return
		}
		receive, cancel := context.WithTimeout(ctx, scenario.Settle)
		d, err := b.Receive(receive, 1)
		cancel()
		switch {
		case err != nil:
			k.Violate("lost", "a message of %d bytes, published after a pause, did not come: %v", size, err)
			return
		case !bytes.Equal(d.Body(), body):
			k.Violate("corrupted", "a message of %d bytes came with %d bytes that are not the same", size, len(d.Body()))
		}
		if !k.must(d.Ack(ctx), "Ack") {
			return
		}
	}
}

// How much of what is over may be left in memory.
const keptPerBody = 16 // bytes

// kept: what is over is forgotten.
func (k *kit) kept(ctx context.Context, t *testing.T) { k.Unrecorded(func() { k.forgets(ctx, t) }) }

// forgets has very many messages, consumers and publishers come to their end, in every way.
func (k *kit) forgets(ctx context.Context, t *testing.T) {
	const each, most = 20_000, 4
	b := k.start(t, Config{Queues: 2, MaxLen: most, Reject: true})
	defer func() { k.close(b) }()
	body := payload.Body(0)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	receive := func() Delivery {
		d, err := b.Receive(ctx, 0)
		k.must(err, "Receive")
		return d
	}
	kinds := []scenario.Work{
		scenario.Each("message that was acknowledged", each, keptPerBody, func(int, int) bool {
			if !k.must(b.Publish(ctx, 0, body), "Publish") {
				return false
			}
			d := receive()
			return d != nil && k.must(d.Ack(ctx), "Ack")
		}),
		scenario.Each("message that was returned, and then acknowledged", each, keptPerBody, func(int, int) bool {
			if !k.must(b.Publish(ctx, 0, body), "Publish") {
				return false
			}
			d := receive()
			if d == nil || !k.must(d.Nack(), "Nack") {
				return false
			}
			d = receive()
			return d != nil && k.must(d.Ack(ctx), "Ack")
		}),
		scenario.Each("consumer that gave up", each, keptPerBody, func(int, int) bool {
			d, err := b.Receive(ended, 0)
			if err == nil {
				k.Violate("deadline", "a consumer whose context had ended got %v from an empty queue and no error", d)
			}
			return err != nil
		}),
	}
	if bounded, ok := b.(Bounded); ok {
		for range most {
			if !k.must(b.Publish(ctx, 1, body), "Publish") {
				return
			}
		}
		kinds = append(kinds, scenario.Each("message that was refused", each, keptPerBody, func(int, int) bool {
			err := b.Publish(ctx, 1, body)
			if !errors.Is(err, bounded.Full()) {
				k.Violate("bounded", "Publish to a queue that is full returned %v, which is not Full", err)
			}
			return errors.Is(err, bounded.Full())
		}))
	}
	k.Forgets(ctx, kinds...)
}
