package routertest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// model is a router of the subject with the handlers that the kit gives it, for one
// program, and what must hold of it.
type model struct {
	*programs.Program
	router  Router
	errs    Errors
	bound   int
	outlast bool // handlers may call runtime.Goexit
	opened  time.Time

	mu      programs.Lock // of what follows
	clock   int           // counts beginnings and ends of calls, and of handlers
	rested  int           // what it was at the last rest
	acts    int           // of this stage
	names   []*name
	lives   []*life
	letters []*letter
	working int  // acts that must end before anything is at rest
	moves   int  // counts what was seen to happen
	asleep  bool // an act of this stage lets time pass
	closing bool
	closed  bool
}

// name is one of those that programs use.
type name struct {
	text    string
	held    bool            // its handlers wait
	waiting []chan struct{} // handlers that do
	lives   int
	letters []*letter
	states  []state // that explain all calls so far
	open    []*call // under way
	fresh   []*call // since the last rest
}

// life is a name from a call of Register on, until it is unregistered.
type life struct {
	name   *name
	number int             // among those of its name
	sender int             // its handler, where that sends
	inside *letter         // which its handler is at work on
	latest map[int]*letter // the last sent of those that came, by sender
}

func (l *life) String() string {
	if l.number == 1 {
		return l.name.text
	}
	return fmt.Sprintf("%s (life %d)", l.name.text, l.number)
}

// letter is a message with what came of it.
type letter struct {
	id     uint64
	name   *name
	call   *call // of Send
	sender int
	does   does
	hops   int
	target *name
	life   *life   // whose handler was called with it
	among  []*life // those that it may come to, where it was taken before it came
	left   int     // when its handler returned, by the clock; 0: not yet
	over   chan struct{}
}

// does is what a handler does with a letter.
type does int

const (
	returns does = iota
	panics
	panicsOfError
	exits
	isSlow
	sends
	registers
	unregisters
	comesAndGoes
)

var doings = [...]string{"", "panics", "is out of range", "exits", "is slow", "sends on", "registers", "unregisters",
	"registers and unregisters"}

const slowHandler = 10 * time.Millisecond

// bounds are those of mailboxes, the smallest most often.
var bounds = [...]int{1, 2, 2, 3, 3, 8}

// namesOfPrograms are few, so that what is done meets.
const namesOfPrograms = 3

// newModel makes a router whose bound is drawn, with names of which all but the last
// are registered.
func newModel(p *programs.Program, tb testing.TB, open func(testing.TB, Config) Router) *model {
	m := &model{Program: p, bound: bounds[p.Draw(len(bounds))]}
	m.make(tb, open)
	m.Step(fmt.Sprintf("a router with mailboxes of %d; a and b are registered", m.bound))
	for i := range namesOfPrograms {
		n := m.name(string(rune('a' + i)))
		if i < namesOfPrograms-1 {
			m.register(n, nil)
		}
	}
	return m
}

func (m *model) make(tb testing.TB, open func(testing.TB, Config) Router) {
	m.router, m.opened = open(tb, Config{Mailbox: m.bound}), time.Now()
	m.errs = m.router.Errors()
	_, m.outlast = m.router.(Outlasting)
}

func (m *model) name(text string) *name {
	n := &name{text: text, states: []state{{}}}
	m.names = append(m.names, n)
	return n
}

// letter makes a message for a name, from a sender.
func (m *model) letter(n *name, sender int, what does) *letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &letter{id: uint64(len(m.letters)), name: n, sender: sender, does: what, over: make(chan struct{})}
	m.letters = append(m.letters, l)
	n.letters = append(n.letters, l)
	return l
}

// handler is the one that a life is registered with.
func (m *model) handler(l *life) func(Message) {
	return func(msg Message) {
		x := m.comes(l, msg)
		ends := false
		defer func() {
			if !ends {
				m.ends(l, x)
			}
		}()
		m.waits(l.name)
		m.handles(l, x)
		ends = true
		m.ends(l, x)
		switch x.does {
		case panics:
			m.Event(handlerPanics)
			panic(panicValue)
		case panicsOfError:
			m.Event(handlerPanics)
			panic(errPanic)
		case exits:
			m.Event(handlerExits)
			exit()
		}
	}
}

var errPanic = errors.New(panicValue)

// comes judges a message that a handler is called with.
func (m *model) comes(l *life, msg Message) *letter {
	if !msg.intact() || msg.ID > math.MaxInt32 {
		m.Violate("corrupted", "the handler of %s was called with a damaged message", l)
	}
	m.mu.Lock()
	m.moves++
	if msg.ID >= uint64(len(m.letters)) {
		m.mu.Unlock()
		m.Violate("phantom", "the handler of %s was called with message %d, which nobody sent", l, msg.ID)
	}
	x := m.letters[msg.ID]
	twice, before, other := x.life, l.latest[x.sender], l.inside
	x.life, l.inside = l, x
	if before == nil || before.call.begin < x.call.begin {
		l.latest[x.sender] = x
	}
	closed, c := m.closed, x.call
	m.mu.Unlock()
	m.Tried("order")
	switch {
	case x.name != l.name:
		m.Violate("misrouted", "message %d was sent to %s and came to %s", x.id, x.name.text, l)
	case twice != nil:
		m.Violate("duplicated", "message %d came twice, to %s and to %s", x.id, twice, l)
	case c.end > 0 && c.err != nil:
		m.Violate("phantom", "message %d was refused with %q, and came to %s all the same", x.id, c.err, l)
	case other != nil:
		m.Violate("order", "the handler of %s was called with message %d while it was at work on message %d",
			l, x.id, other.id)
	case before != nil && c.end > 0 && c.end < before.call.begin:
		m.Violate("reordered", "message %d came to %s after message %d, which the same sender had sent later",
			x.id, l, before.id)
	case x.among != nil && !slices.Contains(x.among, l):
		m.Violate("unregister", "message %d came to %s, which %s was not when it was sent", x.id, l, x.name.text)
	case closed:
		m.Violate("close", "message %d came to %s after Close had returned", x.id, l)
	}
	return x
}

// waits is for as long as a name is held.
func (m *model) waits(n *name) {
	m.mu.Lock()
	if !n.held {
		m.mu.Unlock()
		return
	}
	gate := make(chan struct{})
	n.waiting = append(n.waiting, gate)
	m.mu.Unlock()
	m.Event(handlerWaits)
	<-gate
	m.mu.Lock()
	m.moves++
	m.mu.Unlock()
}

// handles does what a letter asks for.
func (m *model) handles(l *life, x *letter) {
	switch x.does {
	case isSlow:
		m.busy(func() { time.Sleep(slowHandler) })
	case sends:
		m.Event(handlerSends)
		next := m.letter(x.target, l.sender, returns)
		if x.hops > 1 {
			next.does, next.hops, next.target = sends, x.hops-1, x.name
		}
		m.send(next, l)
	case registers:
		m.Event(handlerRegisters)
		m.register(x.target, l)
	case unregisters:
		m.Event(handlerUnregisters)
		m.unregister(x.target, l)
	case comesAndGoes:
		m.Event(handlerRegisters)
		if m.register(x.target, l) == nil {
			m.unregister(x.target, l)
		}
	}
}

func (m *model) ends(l *life, x *letter) {
	m.mu.Lock()
	m.clock++
	m.moves++
	x.left, l.inside = m.clock, nil
	m.mu.Unlock()
	close(x.over)
}
