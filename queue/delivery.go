package queue

import (
	"context"
	"fmt"
	"time"

	"tensile/queue/wal"
)

// Delivery is a message that is leased to a consumer. It is a small value; a
// copy of it is the same delivery. Its methods are safe for concurrent use.
type Delivery struct {
	// Body is the message as it was published. It must not be changed.
	Body []byte
	// ID numbers the messages of a queue in the order of their publishing.
	ID uint64
	// Attempt is the number of times that the message was delivered, this one
	// included.
	Attempt int

	queue   *Queue
	message *message
	lease   uint64
}

// holding returns the message that d holds, if it still does.
func (q *Queue) holding(d Delivery) (*message, error) {
	if q.err != nil {
		return nil, q.err
	}
	if m := d.message; d.queue == q && m.lease == d.lease {
		return m, nil
	}
	return nil, ErrLeaseEnded
}

// unlease removes a leased message from its list.
func (q *Queue) unlease(m *message) {
	if m.at == notInHeap {
		q.leased.remove(m)
	} else {
		q.timed.remove(m)
	}
	m.lease = 0
	q.count.InFlight--
}

// Ack ends the lease and the message. If Ack of a durable broker returns nil, this is on
// the disk, and the message never comes back.
//
// The errors are ErrLeaseEnded, ErrNoSpace, ErrClosed and ErrDeleted. After ErrFailed, or
// if ctx ends while Ack waits for the disk, the message may come back after a restart,
// with its attempts.
func (d Delivery) Ack(ctx context.Context) error {
	q := d.queue
	if q == nil {
		return ErrLeaseEnded
	}
	q.mu.Lock()
	m, err := q.holding(d)
	var commit wal.Commit
	if err == nil && q.b.log != nil {
		commit, err = q.logAck(d.ID)
	}
	if err != nil {
		q.mu.Unlock()
		return q.fault(err)
	}
	q.ack(m)
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	return q.confirmed(ctx, commit)
}

func (q *Queue) ack(m *message) {
	q.unlease(m)
	q.drop(m)
	q.count.Acked++
}

// AckBatch acknowledges deliveries of this queue. It returns how many leases it ended. If
// that is not all of them, the error is ErrLeaseEnded. Otherwise it is like Delivery.Ack.
func (q *Queue) AckBatch(ctx context.Context, deliveries []Delivery) (n int, err error) {
	if len(deliveries) > MaxBatch {
		return 0, invalid("number of deliveries", len(deliveries), fmt.Sprintf("up to %d", MaxBatch))
	}
	q.mu.Lock()
	n, stale, commit, err := q.ackAll(deliveries)
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	switch {
	case err != nil:
		return 0, q.fault(err)
	case n > 0:
		err = q.confirmed(ctx, commit)
	}
	if err == nil && n < len(deliveries) {
		err = q.fault(fmt.Errorf("%w: of %d of %d messages, the first is %d",
			ErrLeaseEnded, len(deliveries)-n, len(deliveries), stale))
	}
	return n, err
}

// ackAll ends the leases that still exist: all of them, or none if it returns an error. It
// returns their number, and the ID of the first that no longer exists.
func (q *Queue) ackAll(deliveries []Delivery) (n int, stale uint64, commit wal.Commit, err error) {
	if q.err != nil {
		return 0, 0, commit, q.err
	}
	var logged []Delivery
	q.scratch = q.ackRecord()
	for _, d := range deliveries {
		m, err := q.holding(d)
		switch {
		case err != nil:
			if stale == 0 {
				stale = d.ID
			}
			continue
		case q.b.log == nil:
			q.ack(m)
		default:
			m.lease = 0 // it may be there twice
			logged = append(logged, d)
			q.scratch = appendID(q.scratch, d.ID)
		}
		n++
	}
	if len(logged) > 0 {
		commit, err = q.b.log.AppendReserved(q.scratch, nil)
	}
	for _, d := range logged {
		d.message.lease = d.lease
		if err == nil {
			q.ack(d.message)
		}
	}
	return n, stale, commit, err
}

// Nack refuses the message. It comes back to its place in the queue after the delay, or
// goes to the dead-letter queue at once if this was its last attempt. The errors are
// ErrLeaseEnded, ErrClosed, ErrDeleted, ErrFailed, and ErrInvalid for a negative delay.
func (d Delivery) Nack(delay time.Duration) error {
	if delay < 0 {
		return invalid("delay", delay, "0 or more")
	}
	q := d.queue
	if q == nil {
		return ErrLeaseEnded
	}
	q.mu.Lock()
	m, err := q.holding(d)
	if err != nil {
		q.mu.Unlock()
		return q.fault(err)
	}
	q.unlease(m)
	q.count.Nacked++
	now := q.b.now()
	if delay > 0 && !q.exhausted(m) {
		m.due = later(now, delay)
		q.timed.add(m)
		q.count.Delayed++
		q.arm(now)
	} else {
		q.comeBack(m, now)
	}
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	return nil
}

// Extend makes the lease end that long from now, whatever its end was before. The errors
// are ErrLeaseEnded, ErrClosed, ErrDeleted, ErrFailed, and ErrInvalid for a visibility
// that is not above 0.
func (d Delivery) Extend(visibility time.Duration) error {
	if visibility <= 0 {
		return invalid("visibility", visibility, "more than 0")
	}
	q := d.queue
	if q == nil {
		return ErrLeaseEnded
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.holding(d)
	if err != nil {
		return q.fault(err)
	}
	now := q.b.now()
	if m.at == notInHeap {
		q.leased.remove(m)
	} else {
		q.timed.remove(m)
	}
	m.due = later(now, visibility)
	q.timed.add(m)
	q.arm(now)
	return nil
}
