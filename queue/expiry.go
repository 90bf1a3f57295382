package queue

import (
	"slices"
	"time"

	"tensile/queue/wal"
)

// now is the time since the broker was opened, in ns.
func (b *Broker) now() int64 { return int64(time.Since(b.epoch)) }

// later is an instant in the future, or never.
func later(now int64, wait time.Duration) int64 {
	if int64(wait) > never-now {
		return never
	}
	return now + int64(wait)
}

// arm has the timer go off when the first lease or delay ends. It goes off for
// nothing where that has ended otherwise meanwhile: once in a time-out.
func (q *Queue) arm(now int64) {
	at := q.buryAt
	if m := q.leased.first; m != nil {
		at = min(at, m.due)
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
		q.comeBack(m, now)
	}
	for m := q.timed.first(); m != nil && m.due <= now; m = q.timed.first() {
		if m.lease != 0 {
			q.unlease(m)
			q.count.Expired++
		} else {
			q.timed.remove(m)
			q.count.Delayed--
		}
		q.comeBack(m, now)
	}
	q.buryAt = never
	for m := q.parked.first; m != nil && q.bury(m, now); m = q.parked.first {
		q.parked.remove(m)
		q.count.Parked--
		q.buried(m)
	}
	q.wakeAt = never
	q.arm(now)
}

// exhausted tells whether a message has had all of its attempts.
func (q *Queue) exhausted(m *message) bool {
	return q.cfg.MaxAttempts > 0 && int(m.attempts) >= q.cfg.MaxAttempts
}

// comeBack makes a message ready again, or a dead letter. Dead letters go in the
// order in which they became such.
func (q *Queue) comeBack(m *message, now int64) {
	switch {
	case !q.exhausted(m):
		q.returned.add(m)
	case q.parked.first == nil && q.bury(m, now):
		q.buried(m)
	default:
		q.parked.push(m)
		q.count.Parked++
	}
}

// buryRetry is how long a queue waits before it asks the log again to take a dead
// letter that it had no room for.
const buryRetry = time.Second

// bury gives a message to the dead-letter queue. It returns false if that, or
// the log, has no room: then it has seen to it that somebody tries again.
func (q *Queue) bury(m *message, now int64) bool {
	t := q.deadLetter
	// Queues are declared after those that they bury in, so that locks are
	// taken in one order.
	t.mu.Lock()
	if t.fullOfDead() {
		if !slices.Contains(t.turnedAway, q) {
			t.turnedAway = append(t.turnedAway, q)
		}
		t.mu.Unlock()
		return false
	}
	id := t.last.Load() + 1
	var commit wal.Commit
	if q.b.log != nil {
		var err error
		if commit, err = q.logBury(m, t.name, id); err != nil {
			t.mu.Unlock()
			q.buryAt = later(now, buryRetry)
			q.arm(now)
			return false
		}
	}
	t.last.Store(id)
	t.add(id, m.body, commit.Segment)
	t.count.Published++
	woken := t.settle()
	t.mu.Unlock()
	woken.wake()
	return true
}

// fullOfDead tells whether no dead letter gets in.
func (q *Queue) fullOfDead() bool {
	return q.cfg.MaxLen > 0 && q.held >= q.cfg.MaxLen && q.err == nil
}

// buried forgets a message that the dead-letter queue has.
func (q *Queue) buried(m *message) {
	q.drop(m)
	q.count.DeadLettered++
}
