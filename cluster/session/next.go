package session

import (
	"slices"
	"time"
)

// wanted returns the members that the view after this one should have, or nil
// if this one will do, if it is too early to tell, or if it is for another node
// to propose it.
func (s *Store) wanted(st *state, now time.Time) []member {
	s.mu.Lock()
	defer s.mu.Unlock()
	members := s.next(st, now)
	if members == nil {
		s.wanting = time.Time{}
		return nil
	}
	if s.wanting.IsZero() {
		s.wanting = now
	}
	if now.Sub(s.wanting) < time.Duration(s.before(st))*turn {
		return nil
	}
	return members
}

// before is how many nodes may propose the next view ahead of this one: the members
// by name, then the others. Those have no vote. But where the link between two members
// is broken, which are all that is left, only another node can ask both.
func (s *Store) before(st *state) (n int) {
	for i, m := range st.view.members {
		if i == st.self {
			return n
		}
		if s.alive(m.name) {
			n++
		}
	}
	for _, name := range s.cfg.Nodes {
		if name == s.cfg.Name {
			break
		}
		if s.alive(name) && !slices.ContainsFunc(st.view.members, func(m member) bool { return m.name == name }) {
			n++
		}
	}
	return n
}

// present asks those who are to become members whether they still are who they
// were: what was heard of them may be older than their death.
func (s *Store) present(st *state, members []member) bool {
	for _, m := range members {
		if st.view.index(m.instance) >= 0 || m.name == s.cfg.Name {
			continue
		}
		reply, err := s.peer(m.name).call(s.appendReport([]byte{msgBeat}))
		d := &decoder{rest: reply, bad: err != nil}
		about, thinks, _, _ := d.standing(), d.opinion(), d.rumours(), d.chain()
		if d.end() != nil {
			return false
		}
		s.hear(m.name, about, thinks)
		if about.instance != m.instance {
			return false
		}
	}
	return true
}

func (s *Store) alive(name string) bool { return name == s.cfg.Name || s.net.Alive(name) }

// next is the members of the next view, or nil.
//
// A view follows only once the members of the one before have caught up: so no
// partition waits for more than one newcomer. Nobody waits for a member that most
// believe dead, except those that have been thought dead themselves: as they forget
// what they know when they join, they leave it time to come back and ask them.
func (s *Store) next(st *state, now time.Time) []member {
	lost, joins := "", true
	for i, m := range st.view.members {
		about, since := s.heard[m.name], s.down[m.name]
		complete := about == standing{m.instance, st.view.epoch, true}
		switch dead := now.Sub(since); {
		case i == st.self:
			if !st.complete.Load() {
				return nil
			}
		case !since.IsZero():
			if lost == "" && dead >= s.cfg.RepairAfter {
				lost = m.name
			}
			joins = joins && (complete || dead >= goodbye*s.cfg.RepairAfter)
		case about.instance == m.instance && !complete:
			return nil
		}
	}
	for _, name := range s.cfg.Nodes {
		// Who knows this view and that it is not in it wants to be in the next, and
		// is let in if most hear of it: or it would soon be left out again.
		about := s.heard[name]
		if name == s.cfg.Name {
			about = standing{instance: s.instance, epoch: st.view.epoch}
		}
		waits := about.epoch == st.view.epoch && st.view.index(about.instance) < 0
		if joins && waits && s.alive(name) && s.down[name].IsZero() {
			return st.view.with(member{name, about.instance})
		}
	}
	if lost != "" && len(st.view.members) > replicas {
		return st.view.without(lost)
	}
	return nil
}

// goodbye is how many times RepairAfter a member that had not caught up must be
// dead before nobody reckons with its return.
const goodbye = 10
