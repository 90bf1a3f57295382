package conntest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tensile/stress/internal/exchange"
	"tensile/stress/internal/programs"
)

// Events that the operations on connections can meet.
const (
	endInRequest      = "ends in the middle of a request"
	endWithoutRequest = "ends without a request"
	endBeforeReply    = "ends before the reply"
	endOfFull         = "ends while the server waits to write"
	full              = "server waits to write"
	closeInRequest    = "Close in the middle of a request"
	closeWithout      = "Close before the first request"
	closeOfFull       = "Close while the server waits to write"
	closeBefore       = "Close before the connection is accepted"
)

// vocabulary is what programs for a server in memory are made of.
func vocabulary(open func(testing.TB, Config) Server, cfg Config) *programs.Vocabulary[*model] {
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model { return newModel(p, tb, open, cfg) },
		Ops: append(operations(),
			programs.Op[*model]{Name: "time passes", Weight: 4, Begin: (*model).beginTime},
			programs.Op[*model]{Name: "Accept fails", Weight: 2, Begin: (*model).beginAcceptFails},
			programs.Op[*model]{Name: "listener closes", Weight: 2, Begin: (*model).beginListenerCloses}),
		Events: append(events(), closeBefore),
		Apart: []programs.Pair{
			{"Close", "Close"}, // there is one in a program
			{"listener closes", "listener closes"},
		},
	}
}

// operations are those that connections of any kind can be put through.
func operations() []programs.Op[*model] {
	return []programs.Op[*model]{
		{Name: "connect", Weight: 6, Always: true, Begin: (*model).beginConnect},
		{Name: "request", Weight: 6, Always: true, Begin: (*model).beginRequest},
		{Name: "several in one", Weight: 4, Begin: (*model).beginJoined},
		{Name: "in pieces", Weight: 4, Begin: (*model).beginPieces},
		{Name: "a part", Weight: 4, Begin: (*model).beginPart},
		{Name: "read some", Weight: 4, Begin: (*model).beginReadSome},
		{Name: "read on", Weight: 4, Begin: (*model).beginReadOn},
		{Name: "fill up", Weight: 4, Begin: (*model).beginFill},
		{Name: "hang up", Weight: 5, Begin: (*model).beginHangUp},
		{Name: "reset", Weight: 5, Begin: (*model).beginReset},
		{Name: "short lives", Weight: 5, Begin: (*model).beginLives},
		{Name: "Close", Weight: 3, Begin: (*model).beginClose},
	}
}

func events() []string {
	return []string{endInRequest, endWithoutRequest, endBeforeReply, endOfFull, full,
		closeInRequest, closeWithout, closeOfFull}
}

// act is one of a single peer.
func (c *peer) act(text string, do func()) *programs.Act {
	return c.m.act(&programs.Act{Text: c.name + ": " + text, Result: c.is}, do)
}

// act has an act do something, and counts it until that has returned.
func (m *model) act(a *programs.Act, do func()) *programs.Act {
	do = m.counted(do)
	a.Do = func() programs.Next {
		do()
		return nil
	}
	return a
}

// counted is f, which counts as under way from now on.
func (m *model) counted(f func()) func() {
	m.mu.Lock()
	m.acting++
	m.mu.Unlock()
	return func() {
		defer func() {
			m.mu.Lock()
			m.acting--
			m.moves++
			m.mu.Unlock()
		}()
		f()
	}
}

// does has f done beside the program.
func (m *model) does(name string, f func()) { m.Go(name, m.counted(f)) }

// pick is a peer that stays, and that no other act of the stage uses.
func (m *model) pick(choice int, fit func(*peer) bool) *peer {
	var free []*peer
	for _, c := range m.peers {
		if !c.claimed && c.there() && !c.sending && fit(c) {
			free = append(free, c)
		}
	}
	if len(free) == 0 {
		return nil
	}
	c := free[choice%len(free)]
	c.claimed = true
	return c
}

func anyone(*peer) bool { return true }

// beginConnect has one to three come, who read all replies, or some bytes of them.
func (m *model) beginConnect(choice int) *programs.Act {
	n, reads := 1+choice%4%3, endless
	if choice%5 == 4 {
		reads = choice
	}
	var all []*peer
	for range n {
		c := m.peer(rooms[choice/4%len(rooms)], reads)
		c.claimed = true
		all = append(all, c)
	}
	c := all[0]
	text := c.name + ": connects"
	if n > 1 {
		text = fmt.Sprintf("%s to %s: connect", c.name, all[n-1].name)
	}
	if reads != endless {
		text += fmt.Sprintf(", reads %d bytes", reads)
	}
	asks := choice%2 == 1
	if asks {
		text += " and asks"
	}
	return m.act(&programs.Act{Text: text, Result: c.is}, func() {
		for _, c := range all {
			c.connects()
			if asks {
				c.sends(c.requests(1, 0), "")
			}
		}
	})
}

// beginRequest sends one to three requests, each by itself. What is left of one that
// was begun comes first.
func (m *model) beginRequest(choice int) *programs.Act {
	c := m.pick(choice/3, anyone)
	if c == nil {
		return nil
	}
	n := 1 + choice%3
	if c.part > 0 {
		return c.act(fmt.Sprintf("sends the other %d bytes of its request", exchange.Size-c.part), func() {
			c.sends(c.requests(1, 0), inTwo)
		})
	}
	return c.act(several(n, "request"), func() {
		for range n {
			c.sends(c.requests(1, 0), "")
		}
	})
}

// How requests came.
const (
	inTwo    = ", sent in two pieces"
	inPieces = ", sent in pieces"
	inOne    = ", sent at once"
	early    = ", sent before the reply to the one before it"
)

func several(n int, what string) string {
	if n == 1 {
		return "sends a " + what
	}
	return fmt.Sprintf("sends %d %ss", n, what)
}

// beginJoined sends several requests in one call of Write, and perhaps some bytes of
// one more.
func (m *model) beginJoined(choice int) *programs.Act {
	c := m.pick(choice/16, anyone)
	if c == nil {
		return nil
	}
	n, more := 2+choice%4, [...]int{0, 1, 36, 63}[choice/4%4]
	text := fmt.Sprintf("sends %d requests in one Write", n)
	if more > 0 {
		text += fmt.Sprintf(" with %d bytes of the next", more)
	}
	return c.act(text, func() { c.sends(c.requests(n, more), inOne) })
}

// beginPieces sends one or two requests in pieces, each of which is seen before the
// next one.
func (m *model) beginPieces(choice int) *programs.Act {
	c := m.pick(choice/4, anyone)
	if c == nil {
		return nil
	}
	n, cuts := 1, []int(nil)
	size := exchange.Size - c.part
	switch choice % 4 {
	case 0:
		cuts = []int{1}
	case 1:
		n, cuts = 2, []int{size, size + 1}
	case 2:
		n, cuts = 2, []int{size + choice%exchange.Size}
	case 3:
		for at := 1; at < size; at++ {
			cuts = append(cuts, at)
		}
	}
	text := c.requests(n, 0)
	cuts = slices.DeleteFunc(cuts, func(at int) bool { return at >= len(text) })
	return c.act(fmt.Sprintf("sends %d bytes in %d pieces", len(text), len(cuts)+1), func() {
		m.busy(func() { c.sends(text, inPieces, cuts...) })
	})
}

// beginPart sends some bytes of a request, and not the rest.
func (m *model) beginPart(choice int) *programs.Act {
	c := m.pick(choice/8, func(c *peer) bool { return c.part < exchange.Size-1 })
	if c == nil {
		return nil
	}
	n := min([...]int{1, 63, 8, 32, 62, 2, 50, 17}[choice%8], exchange.Size-1-c.part)
	return c.act(fmt.Sprintf("sends %d bytes of a request", n), func() {
		c.sends(c.requests(0, c.part+n), "")
	})
}

// beginReadSome has a peer read so many bytes more and then no more.
func (m *model) beginReadSome(choice int) *programs.Act {
	c := m.pick(choice/8, anyone)
	if c == nil {
		return nil
	}
	n := [...]int{0, 1, 63, 64, 65, 20, 130, 7}[choice%8]
	return c.act(fmt.Sprintf("reads %d bytes and no more", n), func() { c.willRead(n) })
}

func (m *model) beginReadOn(choice int) *programs.Act {
	c := m.pick(choice, func(c *peer) bool { return c.reads != endless })
	if c == nil {
		return nil
	}
	return c.act("reads on", func() { c.willRead(endless) })
}

// beginFill has a peer that does not read send more requests than there is room for
// the replies to.
func (m *model) beginFill(choice int) *programs.Act {
	c := m.pick(choice/4, anyone)
	if c == nil {
		return nil
	}
	n := m.via.fill(c, choice%4 == 3)
	c.reads = 0
	return c.act(fmt.Sprintf("sends %d requests at once and does not read", n), func() { c.fills(n) })
}

func (m *model) beginHangUp(choice int) *programs.Act { return m.leaving(choice, hangsUp, "hangs up") }
func (m *model) beginReset(choice int) *programs.Act  { return m.leaving(choice, resets, "is reset") }

// leaving ends a connection, beside whatever else happens on it.
func (m *model) leaving(choice int, how way, text string) *programs.Act {
	var some []*peer
	for _, c := range m.peers {
		if c.there() && !c.leaves {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil
	}
	c := some[choice%len(some)]
	c.leaves = true
	return c.act(text, func() { c.leave(how) })
}

// times are how long time passes, while those who can ask go on asking: timers of
// connections that have gone end meanwhile.
var times = [...]struct {
	every time.Duration
	n     int
}{{400 * time.Millisecond, 4}, {time.Second, 5}, {4 * time.Second, 9}, {4 * time.Second, 17}}

func (m *model) beginTime(choice int) *programs.Act {
	d := times[choice%len(times)]
	var ask []*peer
	for _, c := range m.peers {
		if c.there() && !c.claimed && !c.sending && c.part == 0 && c.reads == endless {
			c.claimed = true
			ask = append(ask, c)
		}
	}
	text := fmt.Sprintf("%v pass", d.every*time.Duration(d.n))
	if len(ask) > 0 {
		text += fmt.Sprintf(", %d ask every %v", len(ask), d.every)
	}
	return m.act(&programs.Act{Text: text}, func() {
		m.busy(func() {
			for range d.n {
				time.Sleep(d.every)
				for _, c := range ask {
					c.sends(c.requests(1, 0), "")
				}
			}
		})
	})
}

// beginAcceptFails has Accept fail as it does when there are no descriptors left. A
// server may take that for the end.
func (m *model) beginAcceptFails(choice int) *programs.Act {
	s, n := m.via.(*memory), 1+choice%3
	if m.excused == listenerClosed {
		return nil
	}
	m.excused = "Accept has failed"
	return m.act(&programs.Act{Text: fmt.Sprintf("Accept fails %d times, for want of descriptors", n)}, func() {
		for range n {
			s.line.fails <- errExhausted
		}
	})
}

// beginListenerCloses closes the listener below the server.
func (m *model) beginListenerCloses(int) *programs.Act {
	s := m.via.(*memory)
	if m.excused == listenerClosed {
		return nil
	}
	m.excused = listenerClosed
	return m.act(&programs.Act{Text: "the listener is closed"}, func() { _ = s.line.Close() }) // never fails
}

const listenerClosed = "the listener was closed"

// beginClose calls Close, perhaps just when one has connected.
func (m *model) beginClose(choice int) *programs.Act {
	if m.closing {
		return nil
	}
	m.closing = true
	if choice%2 == 0 {
		return m.act(&programs.Act{Text: "Close"}, m.shut)
	}
	c := m.peer(rooms[0], endless)
	c.claimed = true
	return m.act(&programs.Act{Text: c.name + ": connects, and Close", Result: c.is}, func() {
		c.connects()
		m.shut()
	})
}

// shut has Close called.
func (m *model) shut() {
	m.mu.Lock()
	m.closing = true
	var met []string
	for _, c := range m.peers {
		if c.there() {
			met = append(met, c.atClose()...)
		}
	}
	excused := m.excused != ""
	m.mu.Unlock()
	for _, e := range met {
		m.Event(e)
	}
	w := m.via.shut()
	m.mu.Lock()
	m.closed = true
	m.moves++
	m.mu.Unlock()
	if w != nil && !excused {
		m.Violate(w.criterion, w.format, w.args...)
	}
	m.Tried("close")
}

// atClose are what Close meets at a connection; the lock is held.
func (c *peer) atClose() (met []string) {
	if !c.wire.accepted {
		return []string{closeBefore}
	}
	if c.part > 0 {
		met = append(met, closeInRequest)
	}
	if c.whole+c.part == 0 {
		met = append(met, closeWithout)
	}
	if c.full() {
		met = append(met, closeOfFull)
	}
	return met
}
