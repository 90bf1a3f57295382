package balance

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// set is the nodes that are up at an instant. It does not change.
type set struct {
	members []*member // sorted by name: the same for every process
	weight  int       // of all
	even    bool      // whether all weigh the same
	ids     []uint64  // of the members
	// schedule is one round of turns, as indices of members: each has as many
	// as it weighs. Only strategies without a key have it.
	schedule []uint32
}

func newSet(members []*member, scheduled bool) *set {
	s := &set{members: members, even: true}
	unit := 0
	for _, m := range members {
		s.ids = append(s.ids, m.id)
		s.weight += m.Weight
		s.even = s.even && m.Weight == members[0].Weight
		unit = divisor(unit, m.Weight)
	}
	if scheduled {
		s.schedule = stride(members, unit)
	}
	return s
}

// divisor is the greatest common one.
func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// stride spreads the turns of each node evenly over a round: a node of weight w
// is due at (k + 1/2) / w for k from 0 to w-1. So no two nodes are ever more than
// one turn away from the exact proportion between them.
func stride(members []*member, unit int) []uint32 {
	type turn struct {
		due   float64
		index uint32
	}
	var turns []turn
	for i, m := range members {
		w := m.Weight / unit
		for k := range w {
			turns = append(turns, turn{(float64(k) + 0.5) / float64(w), uint32(i)})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.index, b.index))
	})
	schedule := make([]uint32, len(turns))
	for i, t := range turns {
		schedule[i] = t.index
	}
	return schedule
}

// at is the index of the node whose turn it is.
func (s *set) at(turn uint64) int { return int(s.schedule[turn%uint64(len(s.schedule))]) }

// least counts the pick in at the node that holds the fewest for its weight.
// The one whose turn it is has precedence among equals, and then those after
// it: always beginning at the first would prefer it.
func (s *set) least(turn uint64) *member {
	n := len(s.members)
	i := s.at(turn)
	best := s.members[i]
	held := best.held.Load()
	for range n - 1 {
		if i++; i == n {
			i = 0
		}
		m := s.members[i]
		// Shares are compared as products: held/weight < best's.
		if other := m.held.Load(); other*int64(best.Weight) < held*int64(m.Weight) {
			best, held = m, other
		}
	}
	best.held.Add(1)
	return best
}

// two counts the pick in at the better of two nodes. Both are drawn by weight,
// and the first has it among equals: so weights are honoured also while nothing
// is held. Two different ones are drawn, as a node that holds the most is then
// never picked.
func (s *set) two() *member {
	r := rand.Uint64()
	first, second := s.draw(uint32(r)), s.draw(uint32(r>>32))
	if first == second {
		second = (first + 1 + rand.IntN(max(len(s.members)-1, 1))) % len(s.members)
	}
	a, b := s.members[first], s.members[second]
	if b.held.Load()*int64(a.Weight) < a.held.Load()*int64(b.Weight) {
		a = b
	}
	a.held.Add(1)
	return a
}

// draw maps a random number to a turn of the schedule by a multiplication,
// which is cheaper than a remainder (Lemire 2019).
func (s *set) draw(random uint32) int {
	return int(s.schedule[uint64(random)*uint64(len(s.schedule))>>32])
}
