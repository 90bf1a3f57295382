package queue

import (
	"time"

	"tensile/queue/wal"
)

// now is the time since the broker was opened, in ns.
func (b *Broker) now() int64 { return int64(time.Since(b.epoch)) }

// arm has the timer go off when the first lease or delay ends. It goes off for
// nothing where that has ended otherwise meanwhile: once in a time-out.
func (q *Queue) arm(now int64) {
	at := int64(never)
	if m := q.leased.first; m != nil {
		at = m.due
	}
	if m := q.timed.first(); m != nil {
		at = min(at, m.due)
	}
	if at >= q.wakeAt {
		return
	}
	q.wakeAt = at
	if wait := time.Duration(at - now); q.timer == nil {
		q.timer = time.AfterFunc(wait, q.tick)
	} else {
		q.timer.Reset(wait)
	}
}

// tick brings back what is due.
func (q *Queue) tick() {
	q.mu.Lock()
	if q.err != nil {
		q.mu.Unlock()
		return
	}
	q.expire(q.b.now())
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
}

// expire ends the leases and delays that are due, and sets the timer for the
// next.
func (q *Queue) expire(now int64) {
	for m := q.leased.first; m != nil && m.due <= now; m = q.leased.first {
		q.unlease(m)
		q.count.Expired++
		q.comeBack(m)
	}
	for m := q.timed.first(); m != nil && m.due <= now; m = q.timed.first() {
		if m.lease != 0 {
			q.unlease(m)
			q.count.Expired++
		} else {
			q.timed.remove(m)
			q.count.Delayed--
		}
		q.comeBack(m)
	}
	q.wakeAt = never
	q.arm(now)
}

// exhausted tells whether a message has had all of its attempts.
func (q *Queue) exhausted(m *message) bool {
	return q.cfg.MaxAttempts > 0 && int(m.attempts) >= q.cfg.MaxAttempts
}

// comeBack makes a message ready again, or a dead letter.
func (q *Queue) comeBack(m *message) {
	if !q.exhausted(m) || !q.bury(m) {
		q.returned.add(m)
	}
}

// bury gives a message to the dead-letter queue. It returns false where the log
// does not take that any more.
func (q *Queue) bury(m *message) bool {
	t := q.deadLetter
	// Queues are declared after those that they bury in, so that locks are
	// taken in one order.
	t.mu.Lock()
	id := t.last.Load() + 1
	var commit wal.Commit
	if q.b.log != nil {
		var err error
		if commit, err = q.logBury(m, t.name, id); err != nil {
			t.mu.Unlock()
			return false
		}
	}
	t.last.Store(id)
	t.add(id, m.body, commit.Segment)
	t.count.Published++
	woken := t.settle()
	t.mu.Unlock()
	woken.wake()
	q.drop(m)
	q.count.DeadLettered++
	return true
}
