package queuetest

import (
	"context"
	"fmt"
	"time"
)

// Finish drains every queue: each message that is there comes, in order, and no
// other. Then it uses the broker as a whole once more, and closes it.
func (m *model) Finish() {
	if !m.closing {
		m.Step("all leases and delays end; then everything is received and acknowledged, one after the other")
		m.pass()
		m.drain()
		m.whole()
		m.Step("Close")
		m.closing = true
		m.Go("Close", m.shut)
		m.Rest()
	}
	m.Step("Publish and Receive after Close")
	for q := range m.cfg.Queues {
		p := m.publisher(q, 1, context.Background(), nil)
		m.Go(p.name, func() { m.publish(p) })
		m.consumer(place{queue: q})
	}
	m.Rest()
	for _, c := range m.callers {
		if c.cancel != nil {
			c.cancel()
		}
	}
}

// pass has so much time pass that nothing is leased or delayed any more.
func (m *model) pass() {
	until := time.Now()
	for _, s := range m.messages {
		if s.there() && s.due.After(until) {
			until = s.due
		}
	}
	time.Sleep(time.Until(until))
	m.Rest()
}

// places are the queues and their dead letters.
func (m *model) places() (all []place) {
	for q := range m.cfg.Queues {
		all = append(all, place{queue: q})
		if m.dead != nil {
			all = append(all, place{queue: q, dead: true})
		}
	}
	return all
}

// consumer receives one message, and may leave.
func (m *model) consumer(at place) *caller {
	ctx, cancel := context.WithCancel(context.Background())
	c := m.caller(at, ctx, cancel)
	m.Go(c.name, func() { m.receive(c) })
	return c
}

// drain has what comes acknowledged, until a consumer waits in vain at each place.
func (m *model) drain() {
	for again := true; again; {
		again = m.acksAll()
		for _, at := range m.places() {
			if !m.waitsAt(at) {
				again = true
				m.consumer(at)
			}
		}
		if again {
			m.Rest()
		}
	}
}

// acksAll has everybody who holds a message acknowledge it. It reports whether there
// was one.
func (m *model) acksAll() (any bool) {
	now := time.Now()
	for _, d := range m.deliveries {
		if d.holds(now) {
			any = true
			m.Go(d.by.name, func() { m.ack(d, context.Background()) })
		}
	}
	return any
}

func (m *model) waitsAt(at place) bool {
	for _, c := range m.callers {
		if c.at == at && len(c.sends) == 0 && c.waits() {
			return true
		}
	}
	return false
}

// whole publishes to all queues at once, where consumers wait; and then fills each up
// to its bound, where there is one, while nobody does.
func (m *model) whole() {
	m.Step("Publish to each queue, where somebody waits")
	for q := range m.cfg.Queues {
		p := m.publisher(q, 1, context.Background(), nil)
		m.Go(p.name, func() { m.publish(p) })
	}
	m.Rest()
	m.drain()
	if m.full == nil {
		return
	}
	m.Step(fmt.Sprintf("all who wait leave, and each queue takes %d messages and no more", m.cfg.MaxLen))
	for _, c := range m.callers {
		if c.waits() && c.cancel != nil {
			m.Go(c.name, func() { m.leave(c) })
		}
	}
	m.Rest()
	for q := range m.cfg.Queues {
		for range m.cfg.MaxLen + 1 {
			p := m.publisher(q, 1, context.Background(), nil)
			m.Go(p.name, func() { m.publish(p) })
			m.Rest()
		}
	}
	m.drain()
}
