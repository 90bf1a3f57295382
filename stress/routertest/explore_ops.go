package routertest

import (
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// Events that operations of a router can meet.
const (
	handlerPanics      = "handler panics"
	handlerExits       = "handler exits"
	handlerWaits       = "handler waits"
	handlerSends       = "handler sends"
	handlerRegisters   = "handler registers"
	handlerUnregisters = "handler unregisters"
	mailboxFull        = "mailbox is full"
	wasIdle            = "name was idle"
)

var events = []string{handlerPanics, handlerExits, handlerWaits, handlerSends, handlerRegisters, handlerUnregisters,
	mailboxFull, wasIdle}

// vocabulary is what programs for a router are made of.
func vocabulary(open func(testing.TB, Config) Router) *programs.Vocabulary[*model] {
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model { return newModel(p, tb, open) },
		Ops: []programs.Op[*model]{
			{Name: "Send", Weight: 6, Always: true, Begin: (*model).beginSend},
			{Name: "Register", Weight: 3, Always: true, Begin: (*model).beginRegister},
			{Name: "Unregister", Weight: 3, Begin: (*model).beginUnregister},
			{Name: "Send some", Weight: 4, Begin: (*model).beginSendSome},
			{Name: "ping-pong", Weight: 3, Begin: (*model).beginPingPong},
			{Name: "fill", Weight: 3, Begin: (*model).beginFill},
			{Name: "Send to who fails", Weight: 3, Begin: (*model).beginSendFailing},
			{Name: "Send to who calls", Weight: 4, Begin: (*model).beginSendCalling},
			{Name: "live", Weight: 3, Begin: (*model).beginLife},
			{Name: "begin anew", Weight: 3, Begin: (*model).beginAnew},
			{Name: "hold", Weight: 4, Begin: (*model).beginHold},
			{Name: "let go", Weight: 4, Always: true, Begin: (*model).beginLetGo},
			{Name: "idle", Weight: 2, Begin: (*model).beginIdle},
			{Name: "Close", Weight: 1, Begin: (*model).beginClose},
		},
		Events: events,
		// Time passes while nobody is held.
		Apart: []programs.Pair{{"hold", "idle"}, {"let go", "idle"}, {"hold", wasIdle}, {"let go", wasIdle}},
	}
}

// mostActs is more than a stage has.
const mostActs = 8

// sender is the number of the next act of the stage.
func (m *model) sender() int {
	m.acts++
	return m.acts - 1
}

// results are what calls of an act returned, in words.
type results struct {
	m     *model
	calls []*call
}

// of notes the last call for a name.
func (r *results) String() string {
	text := ""
	for i := 0; i < len(r.calls); {
		is, n := r.calls[i].returned(r.m.errs), 0
		for ; i < len(r.calls) && r.calls[i].returned(r.m.errs) == is; i++ {
			n++
		}
		if text != "" {
			text += ", "
		}
		if text += is; n > 1 {
			text += fmt.Sprintf(" %d times", n)
		}
	}
	if text == "" {
		return "not yet"
	}
	return text
}

// act is one that calls: by it, and by what it returned, the program is shown.
func (m *model) act(text string, do func(r *results)) *programs.Act {
	r := &results{m: m}
	return &programs.Act{Text: text, Result: r.String, Do: func() programs.Next { do(r); return nil }}
}

func (r *results) send(x *letter) error {
	err := r.m.send(x, nil)
	r.calls = append(r.calls, x.call)
	return err
}

func (r *results) register(n *name) error {
	err := r.m.register(n, nil)
	return r.note(callsRegister, n, err)
}

func (r *results) unregister(n *name) error {
	err := r.m.unregister(n, nil)
	return r.note(callsUnregister, n, err)
}

func (r *results) note(k kind, n *name, err error) error {
	r.calls = append(r.calls, &call{kind: k, name: n, end: 1, err: err})
	return err
}

// pick is one of the names, and what is left of the choice.
func (m *model) pick(choice int) (*name, int) {
	return m.names[choice%namesOfPrograms], choice / namesOfPrograms
}

func (m *model) beginSend(choice int) *programs.Act {
	n, _ := m.pick(choice)
	x := m.letter(n, m.sender(), returns)
	return m.act(fmt.Sprintf("Send %d to %s", x.id, n.text), func(r *results) { _ = r.send(x) })
}

func (m *model) beginRegister(choice int) *programs.Act {
	n, _ := m.pick(choice)
	return m.act("Register "+n.text, func(r *results) { _ = r.register(n) })
}

func (m *model) beginUnregister(choice int) *programs.Act {
	n, _ := m.pick(choice)
	return m.act("Unregister "+n.text, func(r *results) { _ = r.unregister(n) })
}

func (m *model) beginSendSome(choice int) *programs.Act {
	n, rest := m.pick(choice)
	sender, some := m.sender(), 2+rest%4
	return m.act(fmt.Sprintf("Send %d messages to %s", some, n.text), func(r *results) {
		for range some {
			_ = r.send(m.letter(n, sender, returns))
		}
	})
}

// beginPingPong sends each message when the one before was handled.
func (m *model) beginPingPong(choice int) *programs.Act {
	n, rest := m.pick(choice)
	sender, some := m.sender(), 2+rest%6
	return m.act(fmt.Sprintf("%d times Send to %s and wait until it is handled", some, n.text), func(r *results) {
		for range some {
			x := m.letter(n, sender, returns)
			if r.send(x) != nil {
				return
			}
			<-x.over
		}
	})
}

// beginFill sends until a mailbox is full.
func (m *model) beginFill(choice int) *programs.Act {
	n, _ := m.pick(choice)
	sender := m.sender()
	return m.act("Send to "+n.text+" until it is full", func(r *results) { m.fill(r, n, sender) })
}

func (m *model) fill(r *results, n *name, sender int) {
	for range 2*m.bound + 3 {
		if r.send(m.letter(n, sender, returns)) != nil {
			return
		}
	}
}

func (m *model) beginSendFailing(choice int) *programs.Act {
	n, rest := m.pick(choice)
	x := m.letter(n, m.sender(), [...]does{panics, panicsOfError, exits, isSlow}[rest%4])
	if x.does == exits && !m.outlast {
		x.does = panics
	}
	after := rest / 4 % 3
	text := fmt.Sprintf("Send %d to %s, which %s", x.id, n.text, doings[x.does])
	if after > 0 {
		text += fmt.Sprintf(", and %d more", after)
	}
	return m.act(text, func(r *results) {
		_ = r.send(x)
		for range after {
			_ = r.send(m.letter(n, x.sender, returns))
		}
	})
}

// beginSendCalling has a handler call: its own name it may send to, and others it may
// register and unregister. It unregisters only later names: Unregister may wait for a
// handler, and two would wait for each other.
func (m *model) beginSendCalling(choice int) *programs.Act {
	n, rest := m.pick(choice)
	x := m.letter(n, m.sender(), [...]does{sends, sends, registers, unregisters, comesAndGoes}[rest%5])
	x.target = m.names[(rest/5)%namesOfPrograms]
	if last := m.names[namesOfPrograms-1]; x.does != sends {
		if x.target = last; n == last {
			x.does, x.target = sends, m.names[0]
		}
	}
	x.hops = 1 + rest%4
	return m.act(fmt.Sprintf("Send %d to %s, which %s %s", x.id, n.text, doings[x.does], x.target.text),
		func(r *results) { _ = r.send(x) })
}

// beginLife has a name come, get messages and go.
func (m *model) beginLife(choice int) *programs.Act {
	n, rest := m.pick(choice)
	sender, some := m.sender(), 1+rest%2
	return m.act(fmt.Sprintf("Register %s, Send %d to it, Unregister", n.text, some), func(r *results) {
		if r.register(n) != nil {
			return
		}
		for range some {
			_ = r.send(m.letter(n, sender, returns))
		}
		_ = r.unregister(n)
	})
}

// beginAnew has a name go and come.
func (m *model) beginAnew(choice int) *programs.Act {
	n, _ := m.pick(choice)
	sender := m.sender()
	return m.act(fmt.Sprintf("Unregister %s, Register, Send", n.text), func(r *results) {
		if r.unregister(n) == nil && r.register(n) == nil {
			_ = r.send(m.letter(n, sender, returns))
		}
	})
}

// beginHold has the handlers of a name wait.
func (m *model) beginHold(choice int) *programs.Act {
	n, rest := m.pick(choice)
	if n.held || m.asleep {
		return nil
	}
	n.held = true
	some, sender := rest%3, m.sender()
	return m.act(fmt.Sprintf("handlers of %s wait; Send %d", n.text, some), func(r *results) {
		for range some {
			_ = r.send(m.letter(n, sender, returns))
		}
	})
}

func (m *model) beginLetGo(choice int) *programs.Act {
	n, rest := m.pick(choice)
	if !n.held {
		return nil
	}
	text, most := "handlers of "+n.text+" go on", 0
	if rest%2 == 1 {
		text, most = "a handler of "+n.text+" goes on", 1
	}
	return &programs.Act{Text: text, Do: func() programs.Next { m.letGo(n, most); return nil }}
}

// idleness is how long names are left alone: numbers that somebody would choose for
// when something is idle, or to look whether it is.
var idleness = [...]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second,
	5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 2 * time.Millisecond,
	5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, 2 * time.Second, 15 * time.Second, 20 * time.Second, 2 * time.Minute, 10 * time.Minute}

// beginIdle sends, and again after so long to the instant: since the last message was
// handled, or at a multiple since the router was opened.
func (m *model) beginIdle(choice int) *programs.Act {
	n, rest := m.pick(choice)
	for _, other := range m.names {
		if other.held || len(other.waiting) > 0 {
			return nil // who looks after it often would have a lot to look at
		}
	}
	m.asleep = true
	d := idleness[rest%len(idleness)]
	sender, aligned := m.sender(), m.Draw(2) == 1
	text := fmt.Sprintf("Send to %s, and %v later twice", n.text, d)
	if aligned {
		text = fmt.Sprintf("Send to %s, and twice at a multiple of %v", n.text, d)
	}
	return m.act(text, func(r *results) {
		m.busy(func() {
			_ = r.send(m.letter(n, sender, returns))
			pause := d
			if aligned {
				pause -= time.Since(m.opened) % d
			}
			time.Sleep(pause)
			m.Event(wasIdle)
			_ = r.send(m.letter(n, sender, returns))
			_ = r.send(m.letter(n, sender, returns))
		})
	})
}

func (m *model) beginClose(int) *programs.Act {
	if m.closing {
		return nil
	}
	m.closing = true
	return &programs.Act{Text: "Close", Do: func() programs.Next { m.shut(); return nil }}
}

// Finish lets everything go, fills each mailbox once more, and closes the router.
func (m *model) Finish() {
	m.calm()
	if !m.closing {
		m.Step("Register each name that is not there, hold it and fill it, and let it go")
		r := &results{m: m}
		for _, n := range m.names {
			n.held = true
			m.Go(n.text, func() {
				_ = r.register(n)
				m.fill(r, n, 0)
			})
		}
		m.Rest()
		m.Tried("full")
		m.calm()
		m.Step("Send to each name, and Close")
		m.Go("Send", func() {
			for _, n := range m.names {
				_ = r.send(m.letter(n, 0, returns))
			}
			m.shut()
		})
		m.Rest()
	}
	m.Step("Send and Register after Close")
	m.Go("late", func() {
		r := &results{m: m}
		_ = r.send(m.letter(m.names[0], 0, returns))
		_ = r.register(m.name("late"))
	})
	m.Rest()
}

// calm lets all handlers go on.
func (m *model) calm() {
	for _, n := range m.names {
		m.letGo(n, 0)
	}
	m.Rest()
}
