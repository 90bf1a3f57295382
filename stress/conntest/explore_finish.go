package conntest

import (
	"runtime"
	"time"

	"tensile/stress/internal/exchange"
)

// Finish has everybody read and be answered, and others come and go; then Close ends
// connections of each kind.
func (m *model) Finish() {
	if !m.closing {
		m.complete()
		switch _, inMemory := m.via.(*memory); {
		case m.Draw(2) == 0:
		case inMemory:
			m.comeAndGo()
		default:
			m.Step("all hang up")
			m.allLeave()
		}
		m.Step("three connect: one asks nothing, one in part, one does not read")
		m.connect3()
		m.Step("Close")
		m.closing = true
		m.does("Close", m.shut)
		m.Rest()
	}
	m.Step("one connects after Close; all hang up")
	c := m.peer(rooms[0], endless)
	m.does(c.name, c.connects)
	m.Rest()
	m.allLeave()
}

// allLeave has everybody hang up.
func (m *model) allLeave() {
	for _, c := range m.peers {
		c.leave(hangsUp)
	}
	m.Rest()
}

// complete has those who stay read what there is, and send the rest of what they have
// begun.
func (m *model) complete() {
	m.Step("all read on, and send the rest of what they have begun")
	for _, c := range m.peers {
		if !c.there() {
			continue
		}
		m.does(c.name, func() {
			c.willRead(endless)
		})
	}
	m.Rest()
	for _, c := range m.peers {
		if c.there() {
			how := ""
			if c.part > 0 {
				how = inTwo
			}
			m.does(c.name, func() { c.sends(c.requests(1, 0), how) })
		}
	}
	m.Rest()
	m.Tried("lost")
}

const (
	goings   = 3 // rounds of lives
	goingsOf = 4 // lives in a round
	// linger is for how long, in virtual time, a goroutine may outlive its connection.
	linger = 30 * time.Second
)

// comeAndGo has the same lives come and go, in rounds. What a server keeps of each it
// keeps in each round.
func (m *model) comeAndGo() {
	if m.excused != "" {
		return
	}
	m.Step("some come and go, in rounds")
	var lives [goingsOf]life
	for i := range lives {
		lives[i] = lifeOf(m.Draw(64))
	}
	before, first := 0, runtime.NumGoroutine()
	for round := range goings {
		m.does("lives", func() {
			for _, l := range lives {
				m.live(l)
			}
		})
		m.Rest()
		now := runtime.NumGoroutine()
		if round > 0 && now <= before {
			first = now // nothing is kept of this one
		}
		before = now
	}
	m.Tried("growth")
	if before < first+goings {
		return
	}
	time.Sleep(linger)
	m.Rest()
	if now := runtime.NumGoroutine(); now >= first+goings {
		m.Violate("growth", "%d connections have come and gone, and %d goroutines have stayed, more after each of %d rounds",
			goings*goingsOf, now-first, goings)
	}
}

// connect3 makes connections of the kinds that Close must end.
func (m *model) connect3() {
	silent, part, unread := m.peer(rooms[0], endless), m.peer(rooms[0], endless), m.peer(rooms[0], 0)
	m.does(silent.name, silent.connects)
	m.does(part.name, func() {
		part.connects()
		part.sends(part.requests(1, exchange.Size/2), "")
	})
	m.does(unread.name, func() {
		unread.connects()
		unread.fills(m.via.fill(unread, false))
	})
	m.Rest()
}
