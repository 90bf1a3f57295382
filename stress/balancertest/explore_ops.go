package balancertest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tensile/stress/internal/programs"
)

// Events that operations of a balancer can meet.
const (
	earlierLife  = "Done of an earlier life"
	whileHolding = "change while holding"
)

// vocabulary is what programs for a balancer are made of.
func vocabulary(open func(testing.TB, Config) Balancer, offered map[Strategy]kind) *programs.Vocabulary[*model] {
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model { return newModel(p, tb, open, offered) },
		Ops: []programs.Op[*model]{
			{Name: "Pick", Weight: 6, Always: true, Begin: (*model).beginPick},
			{Name: "picks", Weight: 4, Begin: (*model).beginPicks},
			{Name: "Pick and Done", Weight: 3, Begin: (*model).beginVisits},
			{Name: "Done", Weight: 4, Always: true, Begin: (*model).beginDone},
			{Name: "Done of a node's", Weight: 4, Begin: (*model).beginDoneOf},
			{Name: "Join", Weight: 4, Always: true, Begin: (*model).beginJoin},
			{Name: "Leave", Weight: 3, Begin: (*model).beginLeave},
			{Name: "Leave and Join", Weight: 3, Begin: (*model).beginRejoin},
			{Name: "Down", Weight: 3, Begin: (*model).beginDown},
			{Name: "Up", Weight: 4, Begin: (*model).beginUp},
			{Name: "Down and Up", Weight: 3, Begin: (*model).beginFailure},
			{Name: "shares", Weight: 2, Begin: (*model).beginShares},
			{Name: "churn", Weight: 2, Begin: (*model).beginChurn},
		},
		Events: []string{earlierLife, whileHolding},
	}
}

// act is what an operation does, counted as under way.
func (m *model) act(text string, do func()) *programs.Act {
	return &programs.Act{Text: text, Do: func() programs.Next {
		m.mu.Lock()
		m.working++
		m.mu.Unlock()
		do()
		m.mu.Lock()
		m.working--
		m.moves++
		m.mu.Unlock()
		return nil
	}}
}

func (m *model) beginPick(int) *programs.Act {
	var h *picked
	key := m.nextKey()
	a := m.act("Pick", func() { h = m.pick(key) })
	a.Result = func() string {
		if h == nil {
			return "none"
		}
		return h.name
	}
	return a
}

// manyPicks are how many are made one after the other.
var manyPicks = [...]int{2, 3, 8, 20}

func (m *model) beginPicks(choice int) *programs.Act {
	n := manyPicks[choice%len(manyPicks)]
	return m.act(fmt.Sprintf("%d times Pick", n), func() {
		for range n {
			m.mu.Lock()
			key := m.nextKey()
			m.mu.Unlock()
			m.pick(key)
		}
	})
}

func (m *model) beginVisits(choice int) *programs.Act {
	n := manyPicks[choice%len(manyPicks)]
	return m.act(fmt.Sprintf("%d times Pick and Done", n), func() { m.visits(n) })
}

func (m *model) visits(n int) {
	for range n {
		m.mu.Lock()
		key := m.nextKey()
		m.mu.Unlock()
		if h := m.pick(key); h != nil {
			m.done(h)
		}
	}
}

// idle are the picks that no act of this stage gives back.
func (m *model) idle(of *peer) (found []*picked) {
	for _, h := range m.held {
		if !h.claimed && (of == nil || h.peer == of) {
			found = append(found, h)
		}
	}
	return found
}

func (m *model) beginDone(choice int) *programs.Act {
	some := m.idle(nil)
	if len(some) == 0 {
		return nil
	}
	h := some[choice%len(some)]
	h.claimed = true
	return m.act("Done of "+h.name, func() { m.done(h) })
}

// beginDoneOf gives back all that was picked of one name.
func (m *model) beginDoneOf(choice int) *programs.Act {
	some := m.idle(nil)
	if len(some) == 0 {
		return nil
	}
	x := some[choice%len(some)].peer
	some = m.idle(x)
	for _, h := range some {
		h.claimed = true
	}
	return m.act(fmt.Sprintf("Done of the %d of %s", len(some), x.name), func() {
		for _, h := range some {
			m.done(h)
		}
	})
}

// find picks one of the nodes that stand so and that no act of this stage changes.
func (m *model) find(choice int, where ...standing) *peer {
	var some []*peer
	for _, x := range m.peers {
		for _, s := range where {
			if x.stands == s && !x.claimed {
				some = append(some, x)
			}
		}
	}
	if len(some) == 0 {
		return nil
	}
	x := some[choice%len(some)]
	x.claimed = true
	return x
}

func (m *model) beginJoin(choice int) *programs.Act {
	x := m.find(choice/mostWeight, gone)
	if x == nil {
		return nil
	}
	return m.act("Join of "+m.weighs(x, choice), func() { m.join(x) })
}

// weighs gives a node a weight, and returns both as text.
func (m *model) weighs(x *peer, choice int) string {
	if !m.weighted {
		return x.name
	}
	x.weight = 1 + choice%mostWeight
	return fmt.Sprintf("%s of weight %d", x.name, x.weight)
}

func (m *model) beginLeave(choice int) *programs.Act {
	x := m.find(choice, up, down)
	if x == nil {
		return nil
	}
	return m.act("Leave of "+x.name, func() { m.leave(x) })
}

// beginRejoin has a node leave and come again, with another weight.
func (m *model) beginRejoin(choice int) *programs.Act {
	x := m.find(choice/mostWeight, up, down)
	if x == nil {
		return nil
	}
	before := x.weight
	text := m.weighs(x, choice)
	then := x.weight
	x.weight = before
	return m.act("Leave and Join of "+text, func() {
		m.leave(x)
		m.mu.Lock()
		x.weight = then
		m.mu.Unlock()
		m.join(x)
	})
}

func (m *model) beginDown(choice int) *programs.Act {
	x := m.find(choice, up)
	if x == nil {
		return nil
	}
	return m.act("Down of "+x.name, func() { m.fail(x) })
}

func (m *model) beginUp(choice int) *programs.Act {
	x := m.find(choice, down)
	if x == nil {
		return nil
	}
	return m.act("Up of "+x.name, func() { m.back(x) })
}

func (m *model) beginFailure(choice int) *programs.Act {
	x := m.find(choice, up)
	if x == nil {
		return nil
	}
	return m.act("Down and Up of "+x.name, func() { m.fail(x); m.back(x) })
}

// beginShares makes so many picks that each node must have its share of them.
func (m *model) beginShares(int) *programs.Act {
	if m.kind != turns {
		return nil
	}
	return m.act("picks for many turns of each", m.shares)
}

// churns is how often the nodes change in a churn, twice. By then chance is no
// reason why one of them has a third of what the others have.
const churns = 60

// beginChurn has one node come and go all the time, with fewer picks between two
// changes than there are nodes, and the others have their shares nevertheless.
func (m *model) beginChurn(choice int) *programs.Act {
	if m.kind != turns {
		return nil
	}
	where, what := up, "Down and Up"
	if choice%2 == 1 {
		where, what = gone, "Join and Leave"
	}
	x := m.find(choice/2, where)
	if x == nil {
		return nil
	}
	return m.act(fmt.Sprintf("%d times %s of %s, with a few picks after each", churns, what, x.name), func() {
		m.churn(x, rand.New(rand.NewPCG(uint64(choice), 0)))
	})
}
