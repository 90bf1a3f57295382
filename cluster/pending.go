package cluster

import "math"

// pending is the table of the calls on one connection that wait for a reply.
// A call's id is its slot and how often that was used before: a reply finds it
// without a search, and one that comes too late finds nothing. Not safe for
// concurrent use: the link's lock guards it.
type pending struct {
	slots    []pendingCall
	free     int32 // first free slot + 1; 0 for none
	earliest int64 // no call is due before that
}

type pendingCall struct {
	done   func(reply []byte, err error) // nil while the slot is free
	due    int64                         // by the node's clock
	charge int                           // bytes of the window
	use    uint32                        // how often the slot was used
	next   int32                         // of the free ones, as in free
}

func (p *pending) add(done func([]byte, error), due int64, charge int) (id uint64) {
	i := p.free - 1
	if i < 0 {
		i = int32(len(p.slots))
		p.slots = append(p.slots, pendingCall{})
	} else {
		p.free = p.slots[i].next
	}
	s := &p.slots[i]
	s.done, s.due, s.charge = done, due, charge
	if p.earliest == 0 || due < p.earliest {
		p.earliest = due
	}
	return uint64(s.use)<<32 | uint64(i)
}

// take removes a call; ok is false if there is none with that id.
func (p *pending) take(id uint64) (done func([]byte, error), charge int, ok bool) {
	i := id & math.MaxUint32
	if i >= uint64(len(p.slots)) {
		return nil, 0, false
	}
	s := &p.slots[i]
	if s.done == nil || s.use != uint32(id>>32) {
		return nil, 0, false
	}
	done, charge = s.done, s.charge
	s.done = nil
	s.use++
	s.next, p.free = p.free, int32(i)+1
	return done, charge, true
}

// overdue removes the calls due at now or before.
func (p *pending) overdue(now int64) (late []func([]byte, error), charge int) {
	if p.earliest == 0 || p.earliest > now {
		return nil, 0
	}
	p.earliest = 0
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.done == nil:
		case s.due <= now:
			done, c, _ := p.take(uint64(s.use)<<32 | uint64(i))
			late, charge = append(late, done), charge+c
		case p.earliest == 0 || s.due < p.earliest:
			p.earliest = s.due
		}
	}
	return late, charge
}

// all removes every call.
func (p *pending) all() []func([]byte, error) {
	calls, _ := p.overdue(math.MaxInt64)
	*p = pending{}
	return calls
}
