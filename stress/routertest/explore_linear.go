package routertest

import (
	"cmp"
	"errors"
	"math/bits"
	"slices"
)

// state is one way to explain the calls for a name so far: whose life it is by now,
// and which of the calls that are under way have had their effect. That there is
// one, with each call at some instant between its beginning and its end, is
// linearizability (Herlihy, Wing: TOPLAS 1990); states are extended where a call
// ends (Lowe: Testing for linearizability, 2017).
type state struct {
	life *life  // nil: nobody has the name
	done uint64 // calls by their place
}

// explain extends the states of a name by the calls since the last rest. It returns
// the first call whose result nothing explains.
func (m *model) explain(n *name) (culprit *call) {
	type event struct {
		at   int
		call *call
	}
	var events []event
	for _, c := range n.fresh {
		events = append(events, event{c.begin, c})
	}
	for _, c := range slices.Concat(n.open, n.fresh) {
		if c.end > 0 {
			events = append(events, event{c.end, c})
		}
	}
	n.fresh = nil
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	for _, ev := range events {
		if c := ev.call; ev.at == c.begin {
			c.place = n.freePlace()
			n.open = append(n.open, c)
		} else if !m.returns(n, c) {
			return c
		}
	}
	return nil
}

// freePlace is one that no call under way has.
func (n *name) freePlace() int {
	var used uint64
	for _, c := range n.open {
		used |= 1 << c.place
	}
	return bits.TrailingZeros64(^used)
}

// returns has a call have had its effect: before it, others that are under way may
// have had theirs.
func (m *model) returns(n *name, c *call) bool {
	seen := make(map[state]bool)
	var after []state
	var visit func(s state)
	visit = func(s state) {
		if seen[s] {
			return
		}
		seen[s] = true
		if s.done&(1<<c.place) != 0 {
			s.done &^= 1 << c.place
			if !slices.Contains(after, s) {
				after = append(after, s)
			}
			return
		}
		for _, other := range n.open {
			if s.done&(1<<other.place) == 0 {
				if life, ok := m.takes(s.life, other); ok {
					visit(state{life, s.done | 1<<other.place})
				}
			}
		}
	}
	for _, s := range n.states {
		visit(s)
	}
	n.open = slices.DeleteFunc(n.open, func(other *call) bool { return other == c })
	if len(after) == 0 {
		return false
	}
	n.states = after
	return true
}

// takes is the effect of a call while a name is in a life: that in which it is
// afterwards, and whether the call can have returned what it did.
func (m *model) takes(now *life, c *call) (*life, bool) {
	e, ok := m.errs, c.err == nil
	switch {
	case errors.Is(c.err, e.Closed):
		return now, true
	case c.kind == callsRegister && ok:
		return c.life, now == nil
	case c.kind == callsRegister:
		return now, now != nil
	case c.kind == callsUnregister && ok:
		return nil, now != nil
	case c.kind == callsUnregister:
		return now, now == nil || c.within // a router that is closed may have forgotten its names
	case !ok && errors.Is(c.err, e.Full):
		return now, now != nil && m.load(now, c) >= m.bound
	case !ok:
		return now, now == nil
	}
	x := c.letter
	if now == nil || x.life != nil && x.life != now {
		return now, false
	}
	if x.life == nil && !slices.Contains(x.among, now) {
		x.among = append(x.among, now)
	}
	return now, true
}

// load is how many letters the mailbox of a life can have held during a call: who
// is in its handler counts, and what comes at the same time.
func (m *model) load(l *life, c *call) (n int) {
	for _, x := range l.name.letters {
		other := x.call
		switch {
		case other == nil || other == c || other.begin > c.end && c.end > 0:
		case x.life != nil && x.life != l:
		case other.end > 0 && other.end < c.begin && other.err != nil:
		case x.left > 0 && x.left <= c.rested:
		default:
			n++
		}
	}
	return n
}

// blame says what is wrong with a call that nothing explains.
func (m *model) blame(c *call) {
	full := errors.Is(c.err, m.errs.Full)
	switch {
	case full && slices.ContainsFunc(c.name.states, func(s state) bool { return s.life != nil }):
		most := 0
		for _, s := range c.name.states {
			if s.life != nil {
				most = max(most, m.load(s.life, c))
			}
		}
		m.Violate("full", "%s returned %q, though the mailbox held at most %d: it must hold %d", c, c.err, most, m.bound)
	case c.kind == callsSend && c.err == nil && c.letter.life != nil:
		m.Violate("unregister", "message %d came to %s, which %s was not when it was sent",
			c.letter.id, c.letter.life, c.name.text)
	}
	var others []string
	for _, other := range c.name.open {
		if other != c {
			others = append(others, other.String()+": "+other.returned(m.errs))
		}
	}
	is := "registered"
	if c.err == nil != (c.kind == callsRegister) {
		is = "not registered"
	}
	beside := ""
	if len(others) > 0 {
		beside = ", whatever the order of the calls beside it"
	}
	m.Violate("errors", "%s returned %s, but %s is %s%s", c, c.returned(m.errs), c.name.text, is, beside)
}
