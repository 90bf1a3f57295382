package balance

import "math"

// Key turns text into a key: FNV-1a (Fowler, Noll, Vo), mixed. It is the same in
// every process and every version.
func Key(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return mix(h)
}

// mix spreads every bit over all others: the finaliser of MurmurHash3 (Appleby).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// drawn are the 52 random bits that a key draws with the ID of a node.
func drawn(key, id uint64) uint64 { return mix(key^id) >> 12 }

// draw is the number that they make: with one half added they still fit a
// float64 exactly.
func (m *member) draw(key uint64) float64 { return float64(drawn(key, m.id)) + 0.5 }

// score is what the node with the highest wins by. With u uniform in (0, 1),
// -weight / ln u makes it win with a probability in proportion to its weight,
// whatever the others are: so the scores of two nodes do not change when a third
// comes or goes. Among equal weights the score grows with what was drawn, and
// the logarithm is saved.
func (s *set) score(m *member, key uint64) float64 {
	if s.even {
		return m.draw(key)
	}
	return -float64(m.Weight) / math.Log(m.draw(key)/(1<<52))
}

// first is the index of the node with the highest score. Equal scores follow in
// the order of the members.
func (s *set) first(key uint64) int {
	if s.even {
		return s.highest(key)
	}
	best, highest := 0, 0.0
	for i, m := range s.members {
		if score := s.score(m, key); score > highest {
			best, highest = i, score
		}
	}
	return best
}

// highest is first for nodes that weigh the same: there the bits that were drawn
// decide, so the nodes themselves need not be looked at.
func (s *set) highest(key uint64) int {
	best, highest := 0, uint64(0)
	for i, id := range s.ids {
		if bits := drawn(key, id); bits > highest {
			best, highest = i, bits
		}
	}
	return best
}

// next is the index of the node that follows one in the order of the key, or -1
// after the last.
func (s *set) next(key uint64, after int) int {
	limit := s.score(s.members[after], key)
	best, highest := -1, 0.0
	for i, m := range s.members {
		score := s.score(m, key)
		if score > limit || score == limit && i <= after {
			continue // before it, or itself
		}
		if score > highest {
			best, highest = i, score
		}
	}
	return best
}

// bounded counts the pick in at the first node in the order of the key that
// has room. The bound is that of the paper: ceil(load × (held by all + 1) × the
// share of the node). The bounds add up to more than is held, so there is always
// room; where others were faster to take it, it starts again.
func (s *set) bounded(key uint64, load float64) *member {
	for {
		all := int64(1)
		for _, m := range s.members {
			all += m.held.Load()
		}
		unit := load * float64(all) / float64(s.weight)
		for i := s.first(key); i >= 0; i = s.next(key, i) {
			m := s.members[i]
			if m.claim(bound(unit * float64(m.Weight))) {
				return m
			}
		}
	}
}

// bound is a share rounded up, and what a node can hold at most where that is less:
// a float64 may be more than an int64 holds.
func bound(share float64) int64 {
	if share >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(math.Ceil(share))
}

// claim counts a pick in unless the node holds as many as its bound.
func (m *member) claim(bound int64) bool {
	for {
		held := m.held.Load()
		if held >= bound {
			return false
		}
		if m.held.CompareAndSwap(held, held+1) {
			return true
		}
	}
}
