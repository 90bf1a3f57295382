package queue

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"tensile/queue/wal"
)

// Queue is one queue of a broker. All of its methods are safe for concurrent
// use.
type Queue struct {
	b    *Broker
	name string
	last atomic.Uint64 // ID of the newest message; written under the lock

	mu         sync.Mutex
	cfg        Config
	declared   bool
	deadLetter *Queue   // taken under the lock of the queue whose dead letters go there
	buriers    int      // queues whose dead letters go here; the lock of the broker guards it
	at         int      // place among the queues of the broker; its lock guards it
	turnedAway []*Queue // those whose dead letters wait for room here
	err        error    // why every call is refused: ErrClosed, ErrDeleted or ErrFailed
	draining   bool     // Publish is refused

	ready    list    // in order of their IDs
	returned ordered // by ID; each lower than all in ready
	leased   list    // with the queue's own time-out, so in the order in which it ends
	timed    ordered // by due: delayed, and leases with a time-out of their own
	parked   list    // dead letters that the dead-letter queue or the log has no room for
	held     int     // in all five
	leases   uint64  // number of the newest lease
	buryAt   int64   // when dead letters are offered to the log again, or never

	receivers  waitList
	publishers waitList
	spare      list // of messages
	spares     int
	timer      *time.Timer
	wakeAt     int64         // when the timer goes off, never if it does not
	empty      chan struct{} // closed when nothing is held, for Drain
	scratch    []byte
	count      Stats // figures that cannot be derived
}

const never = math.MaxInt64

func newQueue(b *Broker, name string) *Queue {
	return &Queue{b: b, name: name, wakeAt: never, buryAt: never,
		returned: ordered{before: byID}, timed: ordered{before: byDue}}
}

// Name is the name under which the queue was declared.
func (q *Queue) Name() string { return q.name }

func (q *Queue) fault(err error) error { return &queueError{err, q.name} }

// Publish puts a message at the end of the queue and returns its ID, which is
// higher than all before. The queue keeps body, so the caller must not change it
// afterwards. If the error is nil, the message will be delivered; with a durable
// broker, it is on the disk.
//
// The errors are ErrFull, ErrTooLarge, ErrNoSpace, ErrClosed, ErrDeleted, and that of
// ctx if it ends while Publish waits for room. The message is then not in the queue.
// After ErrFailed, or if ctx ends while Publish waits for the disk, it may or may not
// be in the queue.
func (q *Queue) Publish(ctx context.Context, body []byte) (id uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(body) > MaxBody {
		return 0, q.tooLarge(body)
	}
	if err := q.lockWithRoom(ctx); err != nil {
		return 0, err
	}
	wait, err := q.full(1)
	if wait || err != nil {
		return q.publishLater(ctx, [][]byte{body}, err)
	}
	id, commit, err := q.accept(body)
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	if err == nil {
		err = q.confirmed(ctx, commit)
	}
	return id, err
}

// PublishBatch publishes consecutive messages: all of them, or none if there is no
// room. It returns the ID of the first; the others follow in steps of one. If the
// process dies during the call, or the disk becomes full, some of the messages may be
// in the queue. Otherwise it is like Publish.
func (q *Queue) PublishBatch(ctx context.Context, bodies [][]byte) (first uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(bodies) == 0 || len(bodies) > MaxBatch {
		return 0, invalid("number of bodies", len(bodies), fmt.Sprintf("1 to %d", MaxBatch))
	}
	for _, body := range bodies {
		if len(body) > MaxBody {
			return 0, q.tooLarge(body)
		}
	}
	if err := q.lockWithRoom(ctx); err != nil {
		return 0, err
	}
	wait, err := q.full(len(bodies))
	if wait || err != nil {
		return q.publishLater(ctx, bodies, err)
	}
	first, commit, err := q.acceptAll(bodies)
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	if err == nil {
		err = q.confirmed(ctx, commit)
	}
	return first, err
}

func (q *Queue) tooLarge(body []byte) error {
	return q.fault(fmt.Errorf("%w: %d bytes, must be up to %d", ErrTooLarge, len(body), MaxBody))
}

// lockWithRoom takes the lock when the disk is not far behind. It does not hold the
// lock while it waits for that.
func (q *Queue) lockWithRoom(ctx context.Context) error {
	for q.b.log != nil {
		if err := q.b.log.Room(ctx); err != nil {
			return err
		}
		q.mu.Lock()
		if !q.b.log.Behind() {
			return nil
		}
		q.mu.Unlock()
	}
	q.mu.Lock()
	return nil
}

// full reports whether n messages must wait for room, or why they are refused.
func (q *Queue) full(n int) (wait bool, err error) {
	switch bound := q.cfg.MaxLen; {
	case q.err != nil:
		return false, q.err
	case q.draining:
		return false, ErrClosed
	case bound == 0 || q.held+n <= bound && q.publishers.first == nil:
		return false, nil
	case q.cfg.Overflow == Reject:
		q.count.Refused += uint64(n)
		return false, ErrFull
	case n > bound:
		return false, fmt.Errorf("%w: a batch of %d never fits, must be up to %d", ErrFull, n, bound)
	}
	return true, nil
}

// publishLater waits for room, unless err says why it should not. It is called with
// the lock held and releases it.
func (q *Queue) publishLater(ctx context.Context, bodies [][]byte, err error) (uint64, error) {
	if err != nil {
		q.mu.Unlock()
		return 0, q.fault(err)
	}
	w := q.publishers.enqueue()
	w.bodies = bodies
	q.mu.Unlock()
	if err := q.await(ctx, &q.publishers, w); err != nil {
		return 0, err
	}
	first, commit, err := w.first, w.commit, w.err
	q.publishers.release(w)
	if err != nil {
		return 0, q.fault(err)
	}
	return first, q.confirmed(ctx, commit)
}

// accept accepts a message.
func (q *Queue) accept(body []byte) (id uint64, commit wal.Commit, err error) {
	id = q.last.Load() + 1
	if q.b.log != nil {
		if commit, err = q.b.log.Append(q.publishRecord(id, 0), body); err != nil {
			return 0, commit, q.fault(err)
		}
	}
	q.last.Store(id)
	q.add(id, body, commit.Segment)
	q.count.Published++
	return id, commit, nil
}

func (q *Queue) acceptAll(bodies [][]byte) (first uint64, commit wal.Commit, err error) {
	for i, body := range bodies {
		var id uint64
		if id, commit, err = q.accept(body); err != nil {
			return 0, commit, err
		}
		if i == 0 {
			first = id
		}
	}
	return first, commit, nil
}

// add puts a message at the end of those that are ready.
func (q *Queue) add(id uint64, body []byte, segment uint64) {
	m := q.spare.first
	if m != nil {
		q.spare.remove(m)
		q.spares--
	} else {
		m = new(message)
	}
	m.id, m.body, m.segment = id, body, segment
	q.ready.push(m)
	q.held++
}

// drop forgets a message that is in none of the lists any more.
func (q *Queue) drop(m *message) {
	q.held--
	*m = message{}
	if q.spares < keptMessages {
		q.spare.push(m)
		q.spares++
	}
}

// Receive returns the ready message with the lowest ID, and waits if there is none.
// The caller holds the message until the visibility time-out ends.
//
// The errors are ErrClosed, ErrDeleted, that of ctx once it ends, ErrNoSpace and
// ErrFailed. If ctx ends while Receive waits for the disk, the message that it had
// taken comes back after its time-out.
func (q *Queue) Receive(ctx context.Context) (Delivery, error) {
	if err := ctx.Err(); err != nil {
		return Delivery{}, err
	}
	var one [1]Delivery
	n, commit, err := q.takeNow(one[:])
	switch {
	case err != nil:
		return Delivery{}, q.fault(err)
	case n > 0:
		return one[0], q.confirmed(ctx, commit)
	}
	buf := make([]Delivery, 1)
	_, err = q.receiveLater(ctx, buf)
	return buf[0], err
}

// ReceiveBatch fills buf with the ready messages of the lowest IDs, in order, up to
// MaxBatch, and returns their number. It waits until there is at least one. Otherwise
// it is like Receive.
func (q *Queue) ReceiveBatch(ctx context.Context, buf []Delivery) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(buf) == 0 {
		return 0, invalid("length of buf", 0, "1 or more")
	}
	buf = buf[:min(len(buf), MaxBatch)]
	n, commit, err := q.takeNow(buf)
	switch {
	case err != nil:
		return 0, q.fault(err)
	case n > 0:
		return q.received(ctx, n, commit)
	}
	return q.receiveLater(ctx, buf)
}

// takeNow takes messages that are ready. If there are none, and no error, it returns
// with the lock held, so that the caller can get in line.
func (q *Queue) takeNow(buf []Delivery) (n int, commit wal.Commit, err error) {
	q.mu.Lock()
	if err := q.err; err != nil {
		q.mu.Unlock()
		return 0, commit, err
	}
	now := q.b.now() // under the lock: leases end in the order in which they began
	var out woken
	if q.wakeAt <= now { // the timer is late
		q.expire(now)
		out = q.settle()
	}
	if !q.anyReady() {
		out.wake()
		return 0, commit, nil
	}
	n, commit, err = q.take(buf, now)
	q.mu.Unlock()
	out.wake()
	return n, commit, err
}

// receiveLater waits for messages. It is called with the lock held and releases
// it.
func (q *Queue) receiveLater(ctx context.Context, buf []Delivery) (int, error) {
	w := q.receivers.enqueue()
	w.buf = buf
	q.mu.Unlock()
	if err := q.await(ctx, &q.receivers, w); err != nil {
		return 0, err
	}
	n, commit, err := w.n, w.commit, w.err
	q.receivers.release(w)
	if err != nil {
		return 0, q.fault(err)
	}
	return q.received(ctx, n, commit)
}

func (q *Queue) received(ctx context.Context, n int, commit wal.Commit) (int, error) {
	if err := q.confirmed(ctx, commit); err != nil {
		return 0, err
	}
	return n, nil
}

func (q *Queue) anyReady() bool { return q.ready.first != nil || q.returned.Len() > 0 }

// take leases as many ready messages as there are, up to the length of buf.
func (q *Queue) take(buf []Delivery, now int64) (n int, commit wal.Commit, err error) {
	redelivered := uint64(0)
	for ; n < len(buf); n++ {
		m := q.returned.first()
		if m != nil {
			q.returned.remove(m)
		} else if m = q.ready.first; m != nil {
			q.ready.remove(m)
		} else {
			break
		}
		q.leases++
		m.attempts++
		m.lease, m.due = q.leases, later(now, q.cfg.Visibility)
		q.leased.push(m)
		if m.attempts > 1 {
			redelivered++
		}
		buf[n] = Delivery{Body: m.body, ID: m.id, Attempt: int(m.attempts), queue: q, message: m, lease: m.lease}
	}
	if q.b.log != nil {
		if commit, err = q.logDeliver(buf[:n]); err != nil {
			q.untake(buf[:n])
			return 0, commit, err
		}
	}
	q.count.InFlight += n
	q.count.Delivered += uint64(n)
	q.count.Redelivered += redelivered
	q.arm(now)
	return n, commit, nil
}

// untake puts back messages that were taken, if the log refuses the record of that.
func (q *Queue) untake(deliveries []Delivery) {
	for i, d := range deliveries {
		q.leased.remove(d.message)
		d.message.lease = 0
		d.message.attempts--
		q.returned.add(d.message)
		deliveries[i] = Delivery{}
	}
}

// settle lets publishers in for which there is room now, gives ready messages to
// receivers, and tells Drain if nothing is left. The caller wakes those that were
// served once it has released the lock.
func (q *Queue) settle() (out woken) {
	for w := q.publishers.first; w != nil && q.fits(w); w = q.publishers.first {
		q.publishers.remove(w)
		if w.err = q.err; w.err == nil {
			w.first, w.commit, w.err = q.acceptAll(w.bodies)
		}
		out.add(w)
	}
	if q.receivers.first != nil {
		now := q.b.now()
		for q.receivers.first != nil && (q.err != nil || q.anyReady()) {
			w := q.receivers.shift()
			if w.err = q.err; w.err == nil {
				w.n, w.commit, w.err = q.take(w.buf, now)
			}
			out.add(w)
		}
	}
	if len(q.turnedAway) > 0 && !q.fullOfDead() {
		for _, from := range q.turnedAway {
			go from.tick() // its lock comes before this one
		}
		q.turnedAway = nil
	}
	if (q.held == 0 || q.err != nil) && q.empty != nil {
		close(q.empty)
		q.empty = nil
	}
	return out
}

// fits reports whether a publisher need not wait any more.
func (q *Queue) fits(w *waiter) bool { return q.err != nil || q.held+len(w.bodies) <= q.cfg.MaxLen }

// confirmed waits until a record is on the disk.
func (q *Queue) confirmed(ctx context.Context, commit wal.Commit) error {
	if q.b.log == nil {
		return nil
	}
	if err := commit.Wait(ctx); err != nil {
		return q.fault(err)
	}
	return nil
}

// end refuses everything from now on with err, and wakes the callers that wait. It
// returns how many messages are held.
func (q *Queue) end(err error) (held int) {
	q.mu.Lock()
	if q.err == nil || err == ErrClosed && q.err != ErrDeleted {
		q.err = err
	}
	if q.timer != nil {
		q.timer.Stop()
	}
	held = q.held
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	return held
}
