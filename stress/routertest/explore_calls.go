package routertest

import (
	"errors"
	"fmt"
	"runtime"
)

// kind is which method a call is of.
type kind int

const (
	callsSend kind = iota
	callsRegister
	callsUnregister
)

// call is one call of a method for a name.
type call struct {
	kind   kind
	name   *name
	letter *letter // of Send
	life   *life   // that Register begins
	by     *life   // whose handler calls; nil: no handler does
	begin  int     // by the clock
	rested int     // the clock at the rest before
	end    int     // 0: it has not returned
	place  int     // among those of the name that are under way
	late   bool    // it began when Close had returned
	within bool    // Close had been called when it returned
	err    error
}

func (c *call) String() string {
	switch c.kind {
	case callsRegister:
		return "Register of " + c.name.text
	case callsUnregister:
		return "Unregister of " + c.name.text
	}
	return fmt.Sprintf("Send of message %d to %s", c.letter.id, c.name.text)
}

// returned is what the call returned, in a word.
func (c *call) returned(e Errors) string {
	switch {
	case c.end == 0:
		return "has not returned"
	case c.err == nil:
		return "nil"
	case errors.Is(c.err, e.Unknown):
		return "unknown"
	case errors.Is(c.err, e.Taken):
		return "taken"
	case errors.Is(c.err, e.Full):
		return "full"
	case errors.Is(c.err, e.Closed):
		return "closed"
	}
	return c.err.Error()
}

func (m *model) begin(c *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock++
	m.moves++
	c.begin, c.rested, c.late = m.clock, m.rested, m.closed
	c.name.fresh = append(c.name.fresh, c)
	if c.letter != nil {
		c.letter.call = c
	}
}

// end notes what a call returned, and judges it as far as it can be by itself.
func (m *model) end(c *call, err error) error {
	m.mu.Lock()
	m.clock++
	m.moves++
	c.end, c.err, c.within = m.clock, err, m.closing
	var came *life // to which the letter came before Send returned
	if c.letter != nil {
		came = c.letter.life
	}
	m.mu.Unlock()
	e := m.errs
	allowed := [...][]error{callsSend: {e.Unknown, e.Full, e.Closed}, callsRegister: {e.Taken, e.Closed},
		callsUnregister: {e.Unknown, e.Closed}}[c.kind]
	known := err == nil
	for _, want := range allowed {
		known = known || errors.Is(err, want)
	}
	switch {
	case err != nil && came != nil:
		m.Violate("phantom", "%s returned %q, and the message had come to %s by then", c, err, came)
	case !known:
		m.Violate("errors", "%s returned %q: must be nil or one of %q", c, err, allowed)
	case errors.Is(err, e.Closed) && !c.within:
		m.Violate("errors", "%s returned %q, and nobody has called Close", c, err)
	case err == nil && c.late && c.kind != callsUnregister:
		m.Violate("close", "%s returned nil after Close had returned: must be %q", c, e.Closed)
	case errors.Is(err, e.Full):
		m.Event(mailboxFull)
	case c.late:
		m.Tried("close")
	}
	return err
}

func (m *model) send(x *letter, by *life) error {
	c := &call{kind: callsSend, name: x.name, letter: x, by: by}
	m.begin(c)
	return m.end(c, m.router.Send(x.name.text, message(x.id)))
}

func (m *model) register(n *name, by *life) error {
	m.mu.Lock()
	n.lives++
	l := &life{name: n, number: n.lives, sender: mostActs + len(m.lives), latest: make(map[int]*letter)}
	m.lives = append(m.lives, l)
	m.mu.Unlock()
	c := &call{kind: callsRegister, name: n, life: l, by: by}
	m.begin(c)
	return m.end(c, m.router.Register(n.text, m.handler(l)))
}

func (m *model) unregister(n *name, by *life) error {
	c := &call{kind: callsUnregister, name: n, by: by}
	m.begin(c)
	return m.end(c, m.router.Unregister(n.text))
}

// shut calls Close.
func (m *model) shut() {
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	err := m.router.Close()
	m.mu.Lock()
	m.closed = true
	m.moves++
	undelivered, inside := m.undelivered(), m.inside()
	m.mu.Unlock()
	switch {
	case err != nil:
		m.Violate("close", "Close returned %q", err)
	case len(undelivered) > 0:
		m.Violate("close", "Close has returned, and message %d to %s, which was accepted, has not come",
			undelivered[0].id, undelivered[0].name.text)
	case len(inside) > 0:
		m.Violate("close", "Close has returned, and the handler of %s is at work", inside[0])
	}
	m.Tried("close")
}

// undelivered are the letters that were taken and have not come; the lock is held,
// or all is at rest.
func (m *model) undelivered() (found []*letter) {
	for _, x := range m.letters {
		if c := x.call; x.life == nil && c != nil && c.end > 0 && c.err == nil {
			found = append(found, x)
		}
	}
	return found
}

// inside are the lives whose handler is at work.
func (m *model) inside() (found []*life) {
	for _, l := range m.lives {
		if l.inside != nil {
			found = append(found, l)
		}
	}
	return found
}

// letGo has handlers of a name that wait go on, up to so many; all of them, and
// those to come, if most is 0.
func (m *model) letGo(n *name, most int) {
	m.mu.Lock()
	gates := n.waiting
	if most > 0 && most < len(gates) {
		gates = gates[:most]
	}
	n.waiting = n.waiting[len(gates):]
	n.held = n.held && most > 0
	m.mu.Unlock()
	for _, gate := range gates {
		close(gate)
	}
}

// busy does what must have ended before anything is at rest.
func (m *model) busy(f func()) {
	m.mu.Lock()
	m.working++
	m.mu.Unlock()
	f()
	m.mu.Lock()
	m.working--
	m.moves++
	m.mu.Unlock()
}

// exit ends a handler in the way of testing.T.FailNow.
func exit() { runtime.Goexit() }
