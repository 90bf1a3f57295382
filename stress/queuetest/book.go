package queuetest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/load"
	"tensile/stress/measure"
)

// messageBook is the account of messages that must each be held by one consumer
// at a time, and never come back once they are acknowledged.
type messageBook struct {
	*kit
	phase  string
	ledger *measure.Ledger
	states []atomic.Uint32 // of each message
	flight load.InFlight   // delivered and not acknowledged
	acked  atomic.Int64
	sent   atomic.Int64
	told   atomic.Bool // that a call has failed: once is enough
}

// The states of a message.
const (
	stateNew = iota
	stateHeld
	stateRefused // it must come back
	stateAcked
)

func (k *kit) newBook(phase string, n, perSender, queues int) *messageBook {
	return &messageBook{
		kit: k, phase: phase, ledger: measure.NewLedger(n, perSender, queues), states: make([]atomic.Uint32, n),
	}
}

// marker is the ID of the message that ends a queue: behind it nothing comes.
func (b *messageBook) marker(queue int) uint64 { return uint64(len(b.states) + queue) }

// errSettled ends a load of which all is acknowledged.
var errSettled = errors.New("everything was acknowledged")

// steps is how many calls have done what they should: as long as it grows,
// nothing hangs.
func (b *messageBook) steps() int {
	return int(b.sent.Load()) + b.flight.Now() + b.flight.Ended()
}

// callFailed tells of a call that failed, if it is the first. Where the time for
// the load has ended, finished tells.
func (b *messageBook) callFailed(ctx context.Context, call string, queue int, err error) {
	cause := context.Cause(ctx)
	if cause == errSettled || cause == context.DeadlineExceeded || b.told.Swap(true) {
		return
	}
	if cause != nil {
		err = cause
	}
	b.Fault("%s: %s of queue %d returned %v", b.phase, call, queue, err)
}

// finished tells whether a load has come to its end, and fails the scenario if
// not. returned says that every call has returned.
func (b *messageBook) finished(ctx context.Context, began time.Time, returned bool) bool {
	n, cause := len(b.states), context.Cause(ctx)
	left := n - int(b.acked.Load())
	switch {
	case left > 0 && cause == context.DeadlineExceeded:
		return !b.Unfinished("throughput", left, n, time.Since(began), cause)
	case !returned:
		return !b.Unfinished("lost", max(left, 1), n, time.Since(began), cause)
	}
	return true
}

// publish publishes message id.
func (b *messageBook) publish(ctx context.Context, to Broker, id uint64, queue int, body []byte) bool {
	b.ledger.Send(id, queue)
	if err := to.Publish(ctx, queue, body); err != nil {
		b.ledger.Refused(id)
		b.callFailed(ctx, "Publish", queue, err)
		return false
	}
	b.sent.Add(1)
	return true
}

// end publishes the message that ends a queue.
func (b *messageBook) end(ctx context.Context, to Broker, queue int) bool {
	if err := to.Publish(ctx, queue, payload.Body(b.marker(queue))); err != nil {
		b.callFailed(ctx, "Publish", queue, err)
		return false
	}
	return true
}

// receive takes a delivery in. ended says that it is the end of its queue.
func (b *messageBook) receive(ctx context.Context, from Broker, queue int) (d Delivery, id uint64, ended, ok bool) {
	d, err := from.Receive(ctx, queue)
	if err != nil {
		b.callFailed(ctx, "Receive", queue, err)
		return nil, 0, false, false
	}
	m, intact := payload.ReadBody(d.Body())
	if intact && m.ID == b.marker(queue) {
		return d, m.ID, true, true
	}
	if !intact || m.ID >= uint64(len(b.states)) {
		b.ledger.Arrive(m.ID, queue, intact)
		return d, m.ID, false, true
	}
	attempt := 1
	switch b.states[m.ID].Swap(stateHeld) {
	case stateHeld:
		b.Violate("exclusive", "message %d of queue %d was given to a second consumer while one held it", m.ID, queue)
		attempt = d.Attempt()
	case stateAcked:
		b.Violate("duplicated", "message %d of queue %d came back after its acknowledgement", m.ID, queue)
		attempt = d.Attempt()
	case stateRefused:
		attempt = 2
		b.flight.Start()
	default:
		b.flight.Start()
	}
	if attempt != 2 {
		b.ledger.Arrive(m.ID, queue, intact)
	}
	if d.Attempt() != attempt {
		b.Violate("redelivery", "delivery %d of message %d of queue %d says that it is attempt %d",
			attempt, m.ID, queue, d.Attempt())
	}
	return d, m.ID, false, true
}

// ack acknowledges what receive returned.
func (b *messageBook) ack(ctx context.Context, d Delivery, id uint64, queue int) bool {
	// Before the call: once it has taken effect nobody may get the message.
	own := id < uint64(len(b.states))
	if own && b.states[id].Swap(stateAcked) == stateHeld {
		b.flight.End()
	}
	if err := d.Ack(ctx); err != nil {
		b.callFailed(ctx, "Ack", queue, err)
		return false
	}
	if own {
		b.acked.Add(1)
	}
	return true
}

// nack refuses what receive returned.
func (b *messageBook) nack(ctx context.Context, d Delivery, id uint64, queue int) bool {
	if id < uint64(len(b.states)) && b.states[id].Swap(stateRefused) == stateHeld {
		b.flight.End()
	}
	if err := d.Nack(); err != nil {
		b.callFailed(ctx, "Nack", queue, err)
		return false
	}
	return true
}
