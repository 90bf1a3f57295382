package pooltest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// Events that operations of a pool can meet.
const (
	failedDial     = "dial fails"
	slowDialling   = "dial hangs"
	deadDial       = "dial leads to a dead peer"
	lateDial       = "dial arrives when its caller has left"
	dialAfterClose = "dial arrives after Close"
	abandoned      = "dial ends with its context"
	leaves         = "waiter leaves"
	dies           = "connection dies"
	slowCheck      = "check hangs"
	failedCheck    = "check fails"
	limitPassed    = "limit in time passes"
)

// inLine is the operation of several callers who come one after the other.
const inLine = "line"

// vocabulary is what programs for a pool are made of.
func vocabulary(open func(testing.TB, Config) Pool) *programs.Vocabulary[*model] {
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model { return newModel(p, tb, open) },
		Ops: []programs.Op[*model]{
			{Name: "Acquire", Weight: 6, Always: true, Begin: (*model).beginAcquire},
			{Name: "Release", Weight: 6, Always: true, Begin: (*model).beginRelease},
			{Name: "Acquire, may leave", Weight: 6, Begin: (*model).beginAcquireLeaving},
			{Name: "Acquire within", Weight: 3, Begin: (*model).beginAcquireWithin},
			{Name: "Acquire and Release", Weight: 3, Begin: (*model).beginVisit},
			{Name: "Release and Acquire", Weight: 3, Begin: (*model).beginReturn},
			{Name: inLine, Weight: 3, Begin: (*model).beginLine},
			{Name: "Release, later Acquire", Weight: 4, Begin: (*model).beginReturnLater},
			{Name: "Discard", Weight: 3, Begin: (*model).beginDiscard},
			{Name: "use", Weight: 4, Begin: (*model).beginUse},
			{Name: "leave", Weight: 6, Begin: (*model).beginLeave},
			{Name: "Close", Weight: 3, Begin: (*model).beginClose},
			{Name: "dials fail", Weight: 2, Begin: (*model).beginDialsFail},
			{Name: "next dials", Weight: 4, Instant: true, Begin: (*model).beginNextDials},
			{Name: "dials go on", Weight: 6, Begin: (*model).beginTell},
			{Name: "die", Weight: 2, Begin: (*model).beginDie},
			{Name: "unhealthy", Weight: 6, Instant: true, Begin: (*model).beginUnhealthy},
			{Name: "time passes", Weight: 4, Begin: (*model).beginTime},
		},
		Events: []string{failedDial, slowDialling, deadDial, lateDial, dialAfterClose, abandoned, leaves, dies, slowCheck,
			failedCheck,
			limitPassed},
		Apart: []programs.Pair{
			{"Close", "Close"},     // there is one in a program
			{"Close", limitPassed}, // a pool that closes has its own reason
		},
	}
}

// asks is a call of Acquire.
func (m *model) asks(c *caller, how string) *programs.Act {
	return &programs.Act{Text: c.name + ": Acquire" + how, Result: c.is,
		Do: func() programs.Next { m.acquire(c); return nil }}
}

func (m *model) beginAcquire(int) *programs.Act {
	return m.asks(m.caller(context.Background(), func() {}), "")
}

func (m *model) beginAcquireLeaving(int) *programs.Act {
	return m.asks(m.caller(context.WithCancel(context.Background())), ", may leave")
}

// beginAcquireWithin has a deadline: one that has passed, one within the time that
// the acts of a stage take, and later ones.
func (m *model) beginAcquireWithin(choice int) *programs.Act {
	within := []time.Duration{0, time.Millisecond, slowDial, time.Second}[choice%4]
	c := m.caller(context.Background(), nil)
	act := m.asks(c, fmt.Sprintf(" within %v", within))
	act.Do = func() programs.Next {
		m.mu.Lock()
		m.gone = true
		m.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), within)
		m.mu.Lock()
		c.ctx, c.cancel, c.until = ctx, cancel, time.Now().Add(within)
		m.mu.Unlock()
		m.acquire(c)
		return nil
	}
	return act
}

func (m *model) beginVisit(int) *programs.Act {
	c := m.caller(context.WithCancel(context.Background()))
	act := m.asks(c, " and Release")
	c.claimed = true
	act.Do = func() programs.Next {
		if m.acquire(c) {
			m.giveBack(c, false)
		}
		m.leave(c) // as most callers' contexts end
		return nil
	}
	return act
}

// pick is one of the callers who hold a connection, which no other act of the stage
// ends.
func (m *model) pick(choice int) *caller {
	var free []*caller
	for _, c := range m.in(holding) {
		if !c.claimed {
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

func (m *model) beginRelease(choice int) *programs.Act {
	return m.ends(m.pick(choice), "Release", false)
}

func (m *model) beginDiscard(choice int) *programs.Act {
	return m.ends(m.pick(choice), "Discard", true)
}

func (m *model) ends(c *caller, how string, discard bool) *programs.Act {
	if c == nil {
		return nil
	}
	return &programs.Act{Text: c.name + ": " + how, Do: func() programs.Next { m.giveBack(c, discard); return nil }}
}

func (m *model) beginReturn(choice int) *programs.Act {
	c := m.pick(choice)
	if c == nil {
		return nil
	}
	next := m.caller(context.Background(), func() {})
	return &programs.Act{Text: fmt.Sprintf("%s: Release, and as %s Acquire", c.name, next.name), Result: next.is,
		Do: func() programs.Next {
			m.giveBack(c, false)
			m.acquire(next)
			return nil
		}}
}

// beginReturnLater gives back, and acquires when time has passed: near a limit, if
// there is one.
func (m *model) beginReturnLater(choice int) *programs.Act {
	c := m.pick(choice)
	if c == nil {
		return nil
	}
	d := passing[choice%len(passing)]
	next := m.caller(context.Background(), func() {})
	acquires := func() programs.Next {
		m.acquire(next)
		return nil
	}
	waits := func() programs.Next {
		m.busy(func() { time.Sleep(d) })
		return acquires
	}
	return &programs.Act{Text: fmt.Sprintf("%s: Release, and %v later as %s Acquire", c.name, d, next.name),
		Result: next.is,
		Do: func() programs.Next {
			m.giveBack(c, false)
			return waits
		}}
}

// beginLine has several come one after the other.
func (m *model) beginLine(choice int) *programs.Act {
	first := m.caller(context.WithCancel(context.Background()))
	last := first
	left := 1 + choice%5
	act := m.asks(first, "")
	act.Text = fmt.Sprintf("%s and %d more, one after the other: Acquire, may leave", first.name, left)
	act.Result = func() string { return fmt.Sprintf("%s ... %s %s", first.is(), last.name, last.is()) }
	var next programs.Next
	next = func() programs.Next {
		if left--; left < 0 {
			return nil
		}
		m.mu.Lock()
		last = m.caller(context.WithCancel(context.Background()))
		c := last
		m.mu.Unlock()
		go m.During(inLine, func() { m.acquire(c) })
		return next
	}
	act.Do = func() programs.Next {
		go m.During(inLine, func() { m.acquire(first) })
		return next
	}
	return act
}

func (m *model) beginUse(choice int) *programs.Act {
	c := m.pick(choice)
	if c == nil {
		return nil
	}
	return &programs.Act{Text: c.name + ": uses its connection", Do: func() programs.Next { m.use(c); return nil }}
}

// beginLeave ends the context of somebody who waits, or else holds a connection.
func (m *model) beginLeave(choice int) *programs.Act {
	var some []*caller
	for _, s := range []state{waiting, holding} {
		for _, c := range m.in(s) {
			if c.ctx.Done() != nil && !c.left {
				some = append(some, c)
			}
		}
		if len(some) > 0 {
			break
		}
	}
	if len(some) == 0 {
		return nil
	}
	c := some[choice%len(some)]
	c.left = true
	return &programs.Act{Text: c.name + ": leaves", Do: func() programs.Next { m.leave(c); return nil }}
}

func (m *model) beginClose(int) *programs.Act {
	if m.closing {
		return nil
	}
	m.closing = true
	return &programs.Act{Text: "Close", Do: func() programs.Next { m.shut(); return nil }}
}

// failures are how many dials fail in a row.
var failures = [...]int{1, 2, 3, 17, 70, 150}

// beginDialsFail has callers come one after the other whose dials fail.
func (m *model) beginDialsFail(choice int) *programs.Act {
	n := failures[choice%len(failures)]
	return &programs.Act{Text: fmt.Sprintf("%d times Acquire, of which each dial fails", n), Do: func() programs.Next {
		m.busy(func() {
			for range n {
				m.mu.Lock()
				m.plans = append(m.plans[:0], dialFails)
				m.mu.Unlock()
				m.visit()
			}
		})
		m.mu.Lock()
		m.plans = nil
		m.mu.Unlock()
		return nil
	}}
}

// visit acquires and, if it is served, discards.
func (m *model) visit() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	m.mu.Lock()
	m.gone = true
	c := m.caller(ctx, cancel)
	c.claimed, c.until = true, time.Now().Add(time.Millisecond)
	m.mu.Unlock()
	if m.acquire(c) {
		m.giveBack(c, true)
	}
}

// dialPlans are how dials go; those that hang are what most events need.
var dialPlans = [...]struct {
	plan dialPlan
	text string
}{{dialFails, "fail"}, {dialHangs, "hang"}, {dialLate, "hang, and heed no context"}, {dialDead, "lead to a dead peer"},
	{dialSlow, "are slow"}, {dialHangs, "hang"}, {dialLate, "hang, and heed no context"}}

// beginNextDials says how the next dials go.
func (m *model) beginNextDials(choice int) *programs.Act {
	kind, n := dialPlans[choice%len(dialPlans)], 1+choice/len(dialPlans)%3
	for range n {
		m.plans = append(m.plans, kind.plan)
	}
	return &programs.Act{Text: fmt.Sprintf("the next %d dials %s", n, kind.text)}
}

// beginTell has dials and checks that hang go on.
func (m *model) beginTell(choice int) *programs.Act {
	if len(m.dials)+len(m.checks) == 0 {
		return nil
	}
	outcome, text := error(nil), "what hangs goes on"
	if choice%2 == 1 {
		outcome, text = errDial, "what hangs fails"
	}
	return &programs.Act{Text: text, Do: func() programs.Next { m.tell(outcome); return nil }}
}

// beginDie has the peer of a connection go away.
func (m *model) beginDie(choice int) *programs.Act {
	var some []*wire
	for _, w := range m.wires {
		if !w.dead && !w.closed {
			some = append(some, w)
		}
	}
	if len(some) == 0 {
		return nil
	}
	w := some[choice%len(some)]
	return &programs.Act{Text: fmt.Sprintf("connection %d dies", w.number), Do: func() programs.Next {
		m.Event(dies)
		w.die()
		return nil
	}}
}

// beginUnhealthy has health checks of what is open fail, or hang.
func (m *model) beginUnhealthy(choice int) *programs.Act {
	if m.cfg.Check == nil || !m.limits.Health {
		return nil
	}
	if choice%2 == 1 {
		m.hangs = 1 + choice/2%2
		return &programs.Act{Text: fmt.Sprintf("the next %d checks hang", m.hangs)}
	}
	for _, w := range m.wires {
		w.sick = !w.closed
	}
	return &programs.Act{Text: "checks of what is open will fail"}
}

// passing are how long time passes: short of a limit, at it, past what is given to
// heed it, and past everything.
var passing = [...]time.Duration{exploredIdle / 4, exploredIdle, lateness * exploredIdle, lateness * exploredLifetime,
	4 * exploredLifetime}

func (m *model) beginTime(choice int) *programs.Act {
	d := passing[choice%len(passing)]
	return &programs.Act{Text: fmt.Sprintf("%v pass", d), Do: func() programs.Next {
		m.busy(func() { time.Sleep(d) })
		return nil
	}}
}
