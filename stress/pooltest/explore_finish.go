package pooltest

import (
	"context"
	"fmt"
	"time"
)

// Finish gives everything back, takes the pool as a whole, and closes it.
func (m *model) Finish() {
	m.calm()
	m.drain()
	if !m.closing {
		m.whole()
		m.Go("Close", m.shut)
		m.Rest()
	}
	m.Step("Acquire after Close")
	c := m.caller(context.WithCancel(context.Background()))
	m.Go(c.name, func() { m.acquire(c) })
	m.Rest()
	for _, c := range m.callers {
		if c.cancel != nil {
			c.cancel()
		}
	}
}

// calm ends all that the program has planned.
func (m *model) calm() {
	m.mu.Lock()
	m.plans, m.hangs = nil, 0
	m.mu.Unlock()
	for len(m.dials)+len(m.checks) > 0 {
		m.Go("seams", func() { m.tell(nil) })
		m.Rest()
	}
}

// drain has those who hold a connection give it back, one after the other, until
// nobody holds one: all who wait are served in between.
func (m *model) drain() {
	first := true
	for {
		holders := m.in(holding)
		if len(holders) == 0 {
			return
		}
		if first {
			m.Step("all give back, one after the other")
			first = false
		}
		m.Go(holders[0].name, func() { m.giveBack(holders[0], false) })
		m.Rest()
	}
}

// mostRounds is how often callers try again who got a connection that is dead, or
// were refused: a pool may refuse for a while after dials have failed.
const mostRounds = 24

// whole has as many callers as there are connections hold them at once, has others
// wait up to the bound, one leave and another take its place, and all be served in
// order.
func (m *model) whole() {
	if m.cfg.MaxIdleTime > 0 || m.cfg.MaxLifetime > 0 || m.cfg.Check != nil {
		m.Step(fmt.Sprintf("%v pass", lateness*exploredLifetime))
		time.Sleep(lateness * exploredLifetime)
	}
	m.Step(fmt.Sprintf("%d callers Acquire and hold", m.cfg.Size))
	for round := 0; m.lent() < m.cfg.Size; round++ {
		if round == mostRounds {
			m.Violate("served", "%d of %d connections can be lent at once, after everything was given back",
				m.lent(), m.cfg.Size)
		}
		for range m.cfg.Size - m.lent() {
			c := m.caller(context.Background(), nil)
			m.Go(c.name, func() {
				if m.acquire(c) && c.wire.failed {
					m.giveBack(c, true)
				}
			})
		}
		m.Rest()
	}
	m.Tried("served")
	more := m.cfg.MaxWaiters + 1
	m.Step(fmt.Sprintf("%d more Acquire, one after the other; one leaves, and another comes", more))
	for range more {
		m.comes()
	}
	if wait := m.in(waiting); len(wait) > 0 {
		c := wait[len(wait)/2]
		m.Go(c.name, func() { m.leave(c) })
		m.Rest()
		m.comes()
	}
	m.Tried("bound")
	m.drain()
}
