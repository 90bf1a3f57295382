package queuetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tensile/stress/internal/payload"
)

// begin notes that a caller calls.
func (m *model) begin(c *caller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick++
	m.moves++
	c.asked, c.since, c.late = m.tick, time.Now(), m.closed
	for _, s := range c.sends {
		s.from = m.tick
	}
}

// publish calls Publish, or PublishBatch, and judges what it returns. It reports
// whether the messages were taken.
func (m *model) publish(c *caller) bool {
	m.begin(c)
	var err error
	if len(c.sends) == 1 {
		err = m.broker.Publish(c.ctx, c.at.queue, c.sends[0].body)
	} else {
		bodies := make([][]byte, len(c.sends))
		for i, s := range c.sends {
			bodies[i] = s.body
		}
		err = m.batch.PublishBatch(c.ctx, c.at.queue, bodies)
	}
	over := c.ctx.Err() != nil
	m.mu.Lock()
	m.tick++
	m.moves++
	c.returned, c.err = m.tick, err
	for _, s := range c.sends {
		switch {
		case err != nil && s.latest == nil:
			s.doubtful = true
		case s.latest == nil:
			s.ready = m.tick
		}
	}
	closing, waited, most := m.closing, c.waited, m.possible(c)
	m.mu.Unlock()
	switch {
	case err == nil && c.late:
		m.Violate("close", "Publish of %s returned nil after Close had returned", c.sent())
	case err == nil:
		if waited {
			m.Event(letIn)
		}
	case closing:
		m.Tried("close")
	case over:
		if waited {
			m.Event(publisherLeaves)
		}
		m.Tried("deadline")
	case m.full != nil && m.cfg.Reject && errors.Is(err, m.full):
		m.Event(refused)
		m.Tried("bounded")
		if most+len(c.sends) <= m.cfg.MaxLen {
			m.Violate("bounded", "%s was refused with %q by %v, which held at most %d messages: it must hold %d",
				c.sent(), err, c.at, most, m.cfg.MaxLen)
		}
	case m.full != nil:
		m.Violate("bounded", "Publish of %s returned %q: it must wait for room, and its context has not ended",
			c.sent(), err)
	default:
		m.Violate("lost", "Publish of %s returned %q, though its context had not ended and the broker was open",
			c.sent(), err)
	}
	return err == nil
}

// possible is how many messages of others its queue may have held while a publisher
// called. The lock is held.
func (m *model) possible(c *caller) (n int) {
	for _, s := range m.messages {
		switch {
		case s.by == c, s.by.at.queue != c.at.queue, s.by.asked == 0, s.absent,
			s.acked && s.gone < c.asked, s.buried && s.buriedAt < c.asked:
		default:
			n++
		}
	}
	return n
}

// receive calls Receive, ReceiveDead or ReceiveBatch, and judges what it returns. It
// reports whether a message came.
func (m *model) receive(c *caller) bool {
	m.begin(c)
	var all []Delivery
	var one Delivery
	var err error
	switch {
	case c.at.dead:
		one, err = m.dead.ReceiveDead(c.ctx, c.at.queue)
	case c.most > 0:
		all, err = m.batch.ReceiveBatch(c.ctx, c.at.queue, c.most)
	default:
		one, err = m.broker.Receive(c.ctx, c.at.queue)
	}
	if c.most == 0 && err == nil {
		if one == nil {
			m.Violate("lost", "Receive of %s returned neither a message nor an error", c.name)
		}
		all = []Delivery{one}
	}
	over := c.ctx.Err() != nil
	m.mu.Lock()
	m.tick++
	m.moves++
	c.returned, c.err = m.tick, err
	closing := m.closing
	if err != nil {
		m.left[c.at]++
		m.leftNow[c.at] = true
	}
	m.mu.Unlock()
	switch {
	case err == nil && len(all) == 0:
		m.Violate("lost", "ReceiveBatch of %s returned neither messages nor an error", c.name)
	case err == nil && c.most > 0 && len(all) > c.most:
		m.Violate("exclusive", "ReceiveBatch of %s returned %d messages: it was asked for %d", c.name, len(all), c.most)
	case err == nil && c.late:
		m.Violate("close", "Receive of %s returned a message after Close had returned", c.name)
	case err == nil:
		for _, d := range all {
			m.arrives(c, d)
		}
		return true
	case over:
		m.Event(consumerLeaves)
		m.Tried("deadline")
	case closing:
		m.Tried("close")
	default:
		m.Violate("lost", "Receive of %s returned %q, though its context had not ended and the broker was open",
			c.name, err)
	}
	return false
}

// arrives judges a message that a caller has received.
func (m *model) arrives(c *caller, given Delivery) {
	read, intact := payload.ReadBody(given.Body())
	attempt := given.Attempt()
	if !intact {
		m.Violate("corrupted", "%s received %d bytes from %v that nobody has published", c.name, len(given.Body()), c.at)
	}
	m.mu.Lock()
	if read.ID == 0 || read.ID > uint64(len(m.messages)) || m.messages[read.ID-1].by.asked == 0 {
		m.mu.Unlock()
		m.Violate("phantom", "%s received message %d from %v, which was never published", c.name, read.ID, c.at)
	}
	s := m.messages[read.ID-1]
	now := time.Now()
	d := &delivery{Delivery: given, m: s, by: c, at: c.at, attempt: attempt, returned: c.returned, from: s.from,
		ready: s.ready}
	// A lease begins when its message is handed over: to who waited, in this stage,
	// or as the time before it ran out.
	start := c.since
	if m.began.After(start) {
		start = m.began.Add(-restFor)
	}
	d.until = start.Add(m.cfg.Visibility)
	before, acked, buried, seen := s.latest, s.acked, s.buried, s.attempts
	slack := m.left[place{queue: c.at.queue}]
	var holder *delivery
	if before != nil && before.holds(now) {
		holder = before
	}
	s.latest, s.doubtful, s.absent, s.ready, s.from = d, false, false, 0, 0
	s.due = now.Add(lateness * m.cfg.Visibility)
	if !c.at.dead {
		s.attempts++
		s.mayDie = 0
	} else if !s.buried {
		s.buried, s.buriedAt = true, m.tick
	}
	c.got = append(c.got, d)
	m.deliveries = append(m.deliveries, d)
	m.fresh = append(m.fresh, d)
	m.mu.Unlock()
	m.meets(before, now)
	m.Tried("exclusive")
	switch {
	case s.by.at.queue != c.at.queue:
		m.Violate("misrouted", "%s received message %d from %v, which was published to queue %d",
			c.name, s.number, c.at, s.by.at.queue)
	case acked:
		m.Violate("duplicated", "%s received message %d, which had been acknowledged", c.name, s.number)
	case holder != nil:
		m.Violate("exclusive", "%s received message %d while %s held it: its lease of %v ends in %v",
			c.name, s.number, holder.by.name, m.cfg.Visibility, holder.until.Sub(now))
	case before != nil && before.notBefore.After(now) && !c.at.dead:
		m.Violate("redelivery", "%s received message %d again %v before the delay with which %s had refused it had passed",
			c.name, s.number, before.notBefore.Sub(now), before.by.name)
	case buried && !c.at.dead:
		m.Violate("dead_letter", "%s received message %d from %v after it had come as a dead letter",
			c.name, s.number, c.at)
	case c.at.dead && seen+slack < m.cfg.MaxAttempts:
		m.Violate("dead_letter", "message %d came as a dead letter after %d attempts of %d",
			s.number, seen, m.cfg.MaxAttempts)
	case c.at.dead:
		m.Event(dies)
		m.Tried("dead_letter")
	case m.dead != nil && seen >= m.cfg.MaxAttempts:
		m.Violate("dead_letter", "%s received message %d again from %v: it has had %d attempts of %d",
			c.name, s.number, c.at, seen, m.cfg.MaxAttempts)
	case attempt <= seen || attempt > seen+1+slack:
		m.Violate("redelivery", "%s received message %d as attempt %d: it was delivered %d times before",
			c.name, s.number, attempt, seen)
	case seen > 0:
		m.Tried("redelivery")
	}
}

// meets notes how a message has come back.
func (m *model) meets(before *delivery, now time.Time) {
	switch {
	case before == nil:
	case before.nacked && !before.notBefore.IsZero():
		m.Event(delayEnds)
	case before.nacked:
		m.Event(comesBack)
	case !now.Before(before.until):
		m.Event(leaseEnds)
	}
}

// ack calls Ack, and judges what it returns.
func (m *model) ack(d *delivery, ctx context.Context) {
	m.busy("Ack of "+d.what(), func() {
		m.mu.Lock()
		again := d.acked
		d.acking = true
		m.mu.Unlock()
		err := d.Delivery.Ack(ctx)
		m.acknowledged(d, again, ctx.Err() != nil, err)
	})
}

// ackBatch calls AckBatch for deliveries of one queue.
func (m *model) ackBatch(queue int, all []*delivery) {
	m.busy(fmt.Sprintf("AckBatch of %d messages of queue %d", len(all), queue), func() {
		given := make([]Delivery, len(all))
		m.mu.Lock()
		for i, d := range all {
			d.acking = true
			given[i] = d.Delivery
		}
		m.mu.Unlock()
		err := m.batch.AckBatch(context.Background(), queue, given)
		m.mu.Lock()
		now, held := time.Now(), true
		for _, d := range all {
			held = held && d.m.latest == d && now.Before(d.until)
		}
		m.mu.Unlock()
		for _, d := range all {
			m.acknowledged(d, false, err != nil && !held, err)
		}
	})
}

// acknowledged judges what an Ack has returned. doubtful says that with an error it
// may have taken effect or not.
func (m *model) acknowledged(d *delivery, again, doubtful bool, err error) {
	m.mu.Lock()
	m.tick++
	s, now := d.m, time.Now()
	d.acking = false
	var holder *delivery
	switch {
	case err == nil && !m.closing && s.latest != d && s.latest.holds(now):
		holder = s.latest
	case err == nil:
		d.acked = true
		if !s.acked {
			s.acked, s.gone = true, m.tick
		}
	case doubtful:
		s.doubtful = true
	}
	// A batch that failed in part may have acknowledged it.
	refused := err != nil && !again && !s.doubtful && !m.closing && d.holds(now)
	m.mu.Unlock()
	switch {
	case holder != nil:
		m.Violate("exclusive", "Ack of message %d by %s, whose lease had ended, returned nil while %s held the message",
			s.number, d.by.name, holder.by.name)
	case refused:
		m.Violate("exclusive", "Ack of %s returned %q, though it held the message: its lease ends in %v",
			d.what(), err, d.until.Sub(now))
	}
}

// nack calls Nack, or NackAfter, and judges what it returns.
func (m *model) nack(d *delivery, delay time.Duration) {
	m.busy("Nack of "+d.what(), func() {
		m.mu.Lock()
		m.tick++
		s, began := d.m, time.Now()
		again := d.nacked
		held := d.holds(began)
		d.nacking = true
		if held { // else it may have come back before
			s.from = m.tick
			if !d.at.dead {
				s.mayDie = m.tick
			}
		}
		m.mu.Unlock()
		var err error
		if delay > 0 {
			err = d.Delivery.(DelayedDelivery).NackAfter(delay)
		} else {
			err = d.Delivery.Nack()
		}
		m.mu.Lock()
		m.tick++
		now := time.Now()
		if err == nil && s.latest == d && !s.acked && !again {
			d.nacked = true
			s.due = now.Add(lateness * delay)
			if delay == 0 {
				m.isReady(s)
			} else if held && now.Before(d.until) {
				d.notBefore = began.Add(delay)
			}
		}
		d.nacking = d.nacking && err == nil
		refused := err != nil && held && !m.closing && d.holds(now)
		m.mu.Unlock()
		if refused {
			m.Violate("exclusive", "Nack of %s returned %q, though it held the message: its lease ends in %v",
				d.what(), err, d.until.Sub(now))
		}
	})
}

// what names a delivery.
func (d *delivery) what() string { return fmt.Sprintf("message %d by %s", d.m.number, d.by.name) }

// leave ends the context of a caller.
func (m *model) leave(c *caller) {
	m.mu.Lock()
	c.left = true
	m.mu.Unlock()
	c.cancel()
}

// shut calls Close. That it says what was left is no fault.
func (m *model) shut() {
	m.busy("Close", func() {
		_ = m.broker.Close()
		m.mu.Lock()
		m.closed = true
		m.mu.Unlock()
	})
	m.Tried("close")
}

// busy does what must end by itself.
func (m *model) busy(what string, f func()) {
	m.mu.Lock()
	m.under[what]++
	m.moves++
	m.mu.Unlock()
	f()
	m.mu.Lock()
	if m.under[what]--; m.under[what] == 0 {
		delete(m.under, what)
	}
	m.moves++
	m.mu.Unlock()
}
