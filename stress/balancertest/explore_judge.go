package balancertest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
)

// restFor is more than time may pass ahead of the last instant at which nothing could run.
const restFor = 60 * time.Millisecond

// Rest waits until all calls have returned, and judges where keys go.
func (m *model) Rest() {
	programs.Settle(restFor, func() (moves, working int) {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.moves, m.working
	})
	if m.underway > 0 {
		m.Violate("explored", "%d calls have not returned, and nothing else happens", m.underway)
	}
	for _, x := range m.peers {
		x.claimed = false
	}
	for _, h := range m.held {
		h.claimed = false
	}
	if m.kind.keyed() && len(m.held) == 0 {
		m.places()
	}
}

// sum is the weight of the nodes that are up, and how many they are.
func (m *model) sum() (weight, nodes int) {
	for _, x := range m.peers {
		if x.stands == up {
			weight += x.weight
			nodes++
		}
	}
	return weight, nodes
}

// tally makes picks that are given back at once, and counts them by node. It returns
// how many calls it made, and false if something else happened meanwhile.
func (m *model) tally(n int, got map[*peer]int) (made int, alone bool) {
	m.mu.Lock()
	begun := m.begun
	alone = m.underway == 0
	m.mu.Unlock()
	for range n {
		m.mu.Lock()
		key := m.nextKey()
		m.mu.Unlock()
		made++
		if h := m.pick(key); h != nil {
			got[h.peer]++
			m.done(h)
			made++
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return made, alone && m.underway == 0 && m.begun == begun+made
}

// perWeight is how many turns of each node shares are judged by.
const perWeight = 16

// shares judges that turns are in proportion to weights. What changes of the nodes
// leave behind may cost a few turns.
func (m *model) shares() {
	m.mu.Lock()
	weight, _ := m.sum()
	weights := make(map[*peer]int)
	for _, x := range m.peers {
		if x.stands == up {
			weights[x] = x.weight
		}
	}
	m.mu.Unlock()
	if weight == 0 {
		return
	}
	got := make(map[*peer]int)
	n := perWeight * weight
	if _, alone := m.tally(n, got); !alone {
		return
	}
	m.Tried("uneven")
	for _, x := range m.peers {
		w := weights[x]
		if w == 0 {
			continue
		}
		share := float64(perWeight * w)
		if limit := share/8 + 4; math.Abs(float64(got[x])-share) > limit {
			criterion, of := "uneven", ""
			if m.weighted {
				criterion, of = "weights", fmt.Sprintf(" of weight %d of %d", w, weight)
			}
			m.Violate(criterion, "%s: %s%s had %d of %d turns, its share is %.0f ± %.0f",
				m.strategy, x.name, of, got[x], n, share, limit)
		}
	}
}

// churn has a node come and go, and judges what the others got of the picks.
func (m *model) churn(x *peer, random *rand.Rand) {
	m.mu.Lock()
	var stable []*peer
	weight := 0
	for _, y := range m.peers {
		if y != x && y.stands == up {
			stable = append(stable, y)
			weight += y.weight
		}
	}
	away := x.stands == gone
	begun, alone := m.begun, m.underway == 0
	m.mu.Unlock()
	got := make(map[*peer]int)
	calls := 0
	for range churns {
		for _, comes := range []bool{away, !away} {
			switch {
			case away && comes:
				m.join(x)
			case away:
				m.leave(x)
			case comes:
				m.back(x)
			default:
				m.fail(x)
			}
			made, undisturbed := m.tally(1+random.IntN(max(len(stable)-1, 1)), got)
			alone = alone && undisturbed
			calls += 1 + made
		}
	}
	if m.mu.Lock(); m.begun != begun+calls || m.underway > 0 {
		alone = false
	}
	m.mu.Unlock()
	if !alone || len(stable) < 3 {
		return
	}
	total := 0
	for _, y := range stable {
		total += got[y]
	}
	m.Tried("uneven")
	for _, y := range stable {
		if share := float64(total) * float64(y.weight) / float64(weight); float64(got[y]) < share/3 {
			m.Violate("uneven", "%s: while %s came and went, %s had %d of the %d picks of nodes that stayed, its share is %.0f",
				m.strategy, x.name, y.name, got[y], total, share)
		}
	}
}

// placedKeys are the keys whose place is looked at.
const placedKeys = 24

func (m *model) where(b Balancer) []string {
	where := make([]string, placedKeys)
	for i := range where {
		where[i] = once(b, payload.Mix(uint64(i)))
	}
	return where
}

// places judges that keys are where another instance has them that was given the same
// nodes in another order, and that no key has moved without need.
func (m *model) places() {
	text, nodes := "", []Node(nil)
	for i := len(m.order) - 1; i >= 0; i-- {
		x := m.order[i]
		nodes = append(nodes, Node{x.name, x.weight})
		text += fmt.Sprint(x.name, x.weight, x.stands, ";")
	}
	if text == m.at {
		return
	}
	now := m.where(m.b)
	another := m.open(Config{Nodes: nodes})
	for _, x := range m.order {
		if x.stands == down {
			if err := another.Down(x.name); err != nil {
				m.Violate("explored", "Down of %s returned %q", x.name, err)
			}
		}
	}
	m.at, m.placed = text, now
	for i, name := range m.where(another) {
		if name != now[i] {
			m.Violate("placement", "%s: key %d has %q here, and %q in another instance with the same nodes in another order",
				m.strategy, i, now[i], name)
		}
	}
	m.Tried("placement")
}
