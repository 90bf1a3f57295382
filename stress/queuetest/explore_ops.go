package queuetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// Events that operations of a broker can meet.
const (
	leaseEnds       = "lease ends"
	delayEnds       = "delay ends"
	comesBack       = "refused message comes back"
	dies            = "message dies"
	consumerLeaves  = "consumer leaves"
	publisherLeaves = "publisher leaves"
	letIn           = "publisher is let in"
	refused         = "publisher is refused"
)

// vocabulary is what programs for a broker are made of.
func vocabulary(open func(testing.TB, Config) Broker, o offers) *programs.Vocabulary[*model] {
	ops := []programs.Op[*model]{
		{Name: "Publish", Weight: 6, Always: true, Begin: (*model).beginPublish},
		{Name: "Receive", Weight: 6, Always: true, Begin: (*model).beginReceive},
		{Name: "Ack", Weight: 4, Always: true, Begin: (*model).beginAck},
		{Name: "Nack", Weight: 4, Begin: (*model).beginNack},
		{Name: "late Ack", Weight: 3, Begin: (*model).beginLateAck},
		{Name: "late Nack", Weight: 3, Begin: (*model).beginLateNack},
		{Name: "Publish, may leave", Weight: 3, Begin: (*model).beginPublishLeaving},
		{Name: "Receive, may leave", Weight: 6, Begin: (*model).beginReceiveLeaving},
		{Name: "Receive within", Weight: 2, Begin: (*model).beginReceiveWithin},
		{Name: "Receive and Ack", Weight: 3, Begin: (*model).beginVisit},
		{Name: "Receive and Nack", Weight: 3, Begin: (*model).beginRefuse},
		{Name: "Ack and Receive", Weight: 3, Begin: (*model).beginAgain},
		{Name: "several Publish", Weight: 3, Begin: (*model).beginSeveral},
		{Name: "ping-pong", Weight: 2, Begin: (*model).beginPingPong},
		{Name: "leave", Weight: 5, Begin: (*model).beginLeave},
		{Name: "time passes", Weight: 4, Begin: (*model).beginTime},
		{Name: "Close", Weight: 1, Begin: (*model).beginClose},
	}
	events := []string{leaseEnds, comesBack, consumerLeaves}
	if o.dead {
		ops = append(ops, programs.Op[*model]{Name: "ReceiveDead", Weight: 3, Begin: (*model).beginReceiveDead})
		events = append(events, dies)
	}
	if o.bounded {
		events = append(events, publisherLeaves, letIn, refused)
	}
	if o.delays {
		ops = append(ops, programs.Op[*model]{Name: "Nack after a delay", Weight: 2, Begin: (*model).beginNackAfter})
		events = append(events, delayEnds)
	}
	if o.batches {
		ops = append(ops,
			programs.Op[*model]{Name: "PublishBatch", Weight: 2, Begin: (*model).beginPublishBatch},
			programs.Op[*model]{Name: "ReceiveBatch", Weight: 2, Begin: (*model).beginReceiveBatch},
			programs.Op[*model]{Name: "AckBatch", Weight: 2, Begin: (*model).beginAckBatch})
	}
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model { return newModel(p, tb, open, o) },
		Ops: ops, Events: events, Apart: []programs.Pair{{"Close", "Close"}},
	}
}

// rarely is one choice in four, independent of the lowest bits.
func rarely(choice int) bool { return choice/16 == 3 }

// timed has an act be done, by one choice in four, in the instant in which the next
// lease ends.
func (m *model) timed(choice int, act *programs.Act) *programs.Act {
	if act == nil || !rarely(choice) {
		return act
	}
	var next *delivery
	now := time.Now()
	for _, d := range m.deliveries {
		if d.holds(now) && (next == nil || d.until.Before(next.until)) {
			next = d
		}
	}
	if next == nil {
		return act
	}
	m.sleeps(next.until)
	act.Text += fmt.Sprintf(", as the lease of %s ends", next.by.name)
	do := act.Do
	act.Do = func() programs.Next {
		time.Sleep(time.Until(next.until))
		return do()
	}
	return act
}

// sleeps notes that an act does nothing until then.
func (m *model) sleeps(until time.Time) {
	if until.After(m.asleep) {
		m.asleep = until
	}
}

func (m *model) publishes(c *caller, how string) *programs.Act {
	return &programs.Act{Text: fmt.Sprintf("%s: Publish %s to %v%s", c.name, c.sent(), c.at, how), Result: c.is,
		Do: func() programs.Next { m.publish(c); return nil }}
}

func (m *model) beginPublish(choice int) *programs.Act {
	return m.timed(choice, m.publishes(m.publisher(choice%m.cfg.Queues, 1, context.Background(), nil), ""))
}

func (m *model) beginPublishLeaving(choice int) *programs.Act {
	ctx, cancel := context.WithCancel(context.Background())
	how := ", may leave"
	c := m.publisher(choice%m.cfg.Queues, 1, ctx, cancel)
	if choice/4%4 == 3 {
		how = ", has left"
		c.left = true
		cancel()
	}
	return m.timed(choice, m.publishes(c, how))
}

func (m *model) beginPublishBatch(choice int) *programs.Act {
	n := 2 + choice/4%2
	if m.full != nil && n > m.cfg.MaxLen {
		return nil
	}
	return m.timed(choice, m.publishes(m.publisher(choice%m.cfg.Queues, n, context.Background(), nil), ", as a batch"))
}

// beginSeveral publishes one after the other.
func (m *model) beginSeveral(choice int) *programs.Act {
	all := make([]*caller, 2+choice/4%3)
	for i := range all {
		all[i] = m.publisher(choice%m.cfg.Queues, 1, context.Background(), nil)
	}
	first, last := all[0], all[len(all)-1]
	act := &programs.Act{Text: fmt.Sprintf("%s to %s: Publish messages %d to %d to %v, one after the other",
		first.name, last.name, first.sends[0].number, last.sends[0].number, first.at),
		Do: func() programs.Next {
			for _, c := range all {
				m.publish(c)
			}
			return nil
		}}
	act.Result = last.is
	return m.timed(choice, act)
}

func (m *model) receives(c *caller, how string) *programs.Act {
	return &programs.Act{Text: fmt.Sprintf("%s: Receive from %v%s", c.name, c.at, how), Result: c.is,
		Do: func() programs.Next { m.receive(c); return nil }}
}

func (m *model) beginReceive(choice int) *programs.Act {
	c := m.caller(place{queue: choice % m.cfg.Queues}, context.Background(), nil)
	return m.timed(choice, m.receives(c, ""))
}

func (m *model) beginReceiveDead(choice int) *programs.Act {
	if m.dead == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := m.caller(place{queue: choice % m.cfg.Queues, dead: true}, ctx, cancel)
	return m.timed(choice, m.receives(c, ", may leave"))
}

func (m *model) beginReceiveLeaving(choice int) *programs.Act {
	ctx, cancel := context.WithCancel(context.Background())
	return m.timed(choice, m.receives(m.caller(place{queue: choice % m.cfg.Queues}, ctx, cancel), ", may leave"))
}

func (m *model) beginReceiveBatch(choice int) *programs.Act {
	ctx, cancel := context.WithCancel(context.Background())
	c := m.caller(place{queue: choice % m.cfg.Queues}, ctx, cancel)
	c.most = 1 + choice/4%4
	return m.timed(choice, m.receives(c, fmt.Sprintf(", up to %d, may leave", c.most)))
}

// beginReceiveWithin has a deadline: one that has passed, one within the time that
// the acts of a stage take, and the end of a lease.
func (m *model) beginReceiveWithin(choice int) *programs.Act {
	within := [...]time.Duration{0, time.Millisecond, exploredVisibility}[choice%3]
	c := m.caller(place{queue: choice / 4 % m.cfg.Queues}, nil, nil)
	if within >= restFor {
		m.sleeps(time.Now().Add(within))
	}
	act := m.receives(c, fmt.Sprintf(" within %v", within))
	act.Do = func() programs.Next {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		m.mu.Lock()
		c.ctx, c.cancel, c.until = ctx, cancel, time.Now().Add(within)
		m.mu.Unlock()
		m.receive(c)
		return nil
	}
	return act
}

func (m *model) beginVisit(choice int) *programs.Act {
	c := m.caller(place{queue: choice % m.cfg.Queues}, context.Background(), nil)
	act := m.receives(c, " and Ack")
	act.Do = func() programs.Next {
		if m.receive(c) {
			m.ack(c.got[0], context.Background())
		}
		return nil
	}
	return m.timed(choice, act)
}

func (m *model) beginRefuse(choice int) *programs.Act {
	c := m.caller(place{queue: choice % m.cfg.Queues}, context.Background(), nil)
	act := m.receives(c, " and Nack")
	act.Do = func() programs.Next {
		if m.receive(c) {
			m.nack(c.got[0], 0)
		}
		return nil
	}
	return m.timed(choice, act)
}

// pick is one of the deliveries that are leases, or else of those that are not any
// more, which no other act of the stage uses.
func (m *model) pick(choice int, held bool) *delivery {
	var some []*delivery
	now := time.Now()
	for _, d := range m.deliveries {
		if !d.claimed && d.holds(now) == held {
			some = append(some, d)
		}
	}
	if len(some) == 0 {
		return nil
	}
	d := some[len(some)-1-choice%len(some)] // the newest first
	d.claimed = true
	return d
}

func (m *model) beginAck(choice int) *programs.Act {
	d := m.pick(choice%16, true)
	if d == nil {
		return nil
	}
	return m.timed(choice, m.acks(d, "Ack"))
}

func (m *model) acks(d *delivery, how string) *programs.Act {
	return &programs.Act{Text: fmt.Sprintf("%s: %s message %d", d.by.name, how, d.m.number),
		Do: func() programs.Next { m.ack(d, context.Background()); return nil }}
}

func (m *model) beginNack(choice int) *programs.Act {
	d := m.pick(choice%16, true)
	if d == nil {
		return nil
	}
	return m.timed(choice, m.nacks(d, "Nack", 0))
}

func (m *model) nacks(d *delivery, how string, delay time.Duration) *programs.Act {
	return &programs.Act{Text: fmt.Sprintf("%s: %s message %d", d.by.name, how, d.m.number),
		Do: func() programs.Next { m.nack(d, delay); return nil }}
}

// delays are shorter than a lease, as long, and longer.
var delays = [...]time.Duration{exploredVisibility / 4, exploredVisibility, 3 * exploredVisibility}

func (m *model) beginNackAfter(choice int) *programs.Act {
	d := m.pick(choice/4%4, true)
	if d == nil {
		return nil
	}
	delay := delays[choice%len(delays)]
	return m.timed(choice, m.nacks(d, fmt.Sprintf("Nack, with a delay of %v,", delay), delay))
}

// beginLateAck uses a receipt of an attempt that is over.
func (m *model) beginLateAck(choice int) *programs.Act {
	d := m.pick(choice%16, false)
	if d == nil {
		return nil
	}
	return m.timed(choice, m.acks(d, "late Ack of"))
}

func (m *model) beginLateNack(choice int) *programs.Act {
	d := m.pick(choice%16, false)
	if d == nil {
		return nil
	}
	return m.timed(choice, m.nacks(d, "late Nack of", 0))
}

func (m *model) beginAgain(choice int) *programs.Act {
	d := m.pick(choice%16, true)
	if d == nil {
		return nil
	}
	c := m.caller(d.at, context.Background(), nil)
	act := m.receives(c, "")
	act.Text = fmt.Sprintf("%s: Ack message %d, and as %s Receive from %v", d.by.name, d.m.number, c.name, c.at)
	act.Do = func() programs.Next {
		m.ack(d, context.Background())
		m.receive(c)
		return nil
	}
	return m.timed(choice, act)
}

func (m *model) beginAckBatch(choice int) *programs.Act {
	queue := choice % m.cfg.Queues
	now := time.Now()
	var all []*delivery
	var names []string
	for _, d := range m.deliveries {
		if d.at == (place{queue: queue}) && !d.claimed && d.holds(now) && len(all) < 3 {
			d.claimed = true
			all = append(all, d)
			names = append(names, fmt.Sprint(d.m.number))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return m.timed(choice, &programs.Act{Text: "Ack of messages " + strings.Join(names, ", ") + " as a batch",
		Do: func() programs.Next { m.ackBatch(queue, all); return nil }})
}

// pings is how often a message goes there and back.
const pings = 2

// beginPingPong has two pass a message to each other: only one is in flight.
func (m *model) beginPingPong(choice int) *programs.Act {
	there, back := choice%m.cfg.Queues, (choice+1)%m.cfg.Queues
	var sends, takes [2 * pings]*caller
	for i := range sends {
		to := there
		if i%2 == 1 {
			to = back
		}
		sends[i] = m.publisher(to, 1, context.Background(), nil)
		takes[i] = m.caller(place{queue: to}, context.Background(), nil)
	}
	take := func(c *caller) bool {
		if !m.receive(c) {
			return false
		}
		m.ack(c.got[0], context.Background())
		return true
	}
	last := takes[len(takes)-1]
	return &programs.Act{Text: fmt.Sprintf("%s to %s: ping-pong by queue %d and queue %d, %d times",
		sends[0].name, last.name, there, back, pings), Result: last.is,
		Do: func() programs.Next {
			m.Go("pong", func() {
				for i := 0; i < len(sends); i += 2 {
					if !take(takes[i]) || !m.publish(sends[i+1]) {
						return
					}
				}
			})
			for i := 0; i < len(sends); i += 2 {
				if !m.publish(sends[i]) || !take(takes[i+1]) {
					break
				}
			}
			return nil
		}}
}

// beginLeave ends the context of somebody who waits.
func (m *model) beginLeave(choice int) *programs.Act {
	var some []*caller
	for _, c := range m.callers {
		if c.waits() && c.cancel != nil && !c.left {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil
	}
	c := some[choice%len(some)]
	c.left = true
	text := c.name + ": leaves"
	serve, what := m.serves(choice, c)
	if serve != nil {
		text += ", as " + what
	}
	return m.timed(choice, &programs.Act{Text: text, Do: func() programs.Next {
		if serve != nil {
			m.Go("serves", serve)
		}
		m.leave(c)
		return nil
	}})
}

// serves is what gives a caller who leaves just then what it waits for.
func (m *model) serves(choice int, c *caller) (serve func(), what string) {
	switch {
	case choice/8%2 == 1, c.at.dead:
	case len(c.sends) == 0:
		p := m.publisher(c.at.queue, 1, context.Background(), nil)
		return func() { m.publish(p) }, fmt.Sprintf("%s: Publish %s to %v", p.name, p.sent(), p.at)
	default:
		r := m.caller(c.at, context.Background(), nil)
		return func() {
			if m.receive(r) {
				m.ack(r.got[0], context.Background())
			}
		}, fmt.Sprintf("%s: Receive from %v and Ack", r.name, r.at)
	}
	return nil, ""
}

// passing are how long time passes: short of a time-out, past it, past what is given
// to heed it, and past everything.
var passing = [...]time.Duration{exploredVisibility + restFor, exploredVisibility / 4, lateness * exploredVisibility,
	exploredVisibility, 2 * lateness * exploredVisibility}

func (m *model) beginTime(choice int) *programs.Act {
	d := passing[choice%len(passing)]
	m.sleeps(time.Now().Add(d))
	return &programs.Act{Text: fmt.Sprintf("%v pass", d), Do: func() programs.Next {
		time.Sleep(d)
		return nil
	}}
}

func (m *model) beginClose(choice int) *programs.Act {
	if m.closing || choice%4 > 0 {
		return nil
	}
	m.closing = true
	return m.timed(choice, &programs.Act{Text: "Close", Do: func() programs.Next { m.shut(); return nil }})
}
