package balancertest

import (
	"math/rand/v2"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
)

// kind is how a balancer chooses, which says what it is judged by.
type kind int

const (
	other  kind = iota // none of those below
	turns              // each node has its turn
	counts             // the node that holds fewest
	hashes             // the key says it, and chance the shares
	bounds             // the key says it, up to a bound on what a node holds
)

func (k kind) keyed() bool { return k == hashes || k == bounds }

// kind is that of a strategy by its name: other where more than one would do, as what
// counts is even and in turn as well.
func (s Strategy) kind() kind {
	switch s {
	case RendezvousHashing:
		return hashes
	case BoundedLoadHashing:
		return bounds
	}
	return other
}

// kinds are those of the strategies that a subject offers.
func kinds(t testing.TB, open func(testing.TB, Config) Balancer) map[Strategy]kind {
	found := make(map[Strategy]kind)
	for _, s := range strategies {
		cfg := Config{Strategy: s, Load: boundedLoad}
		for _, name := range proc.NodeNames(nodeCount) {
			cfg.Nodes = append(cfg.Nodes, Node{name, 1})
		}
		b := open(t, cfg)
		if b == nil {
			continue
		}
		if found[s] = s.kind(); found[s] == other {
			found[s] = observed(b)
		}
	}
	return found
}

// observed is the kind of a balancer of which nothing is held, as it behaves. It
// is other for one that panics or does not return, which other phases tell of.
func observed(b Balancer) kind {
	is := make(chan kind, 1)
	go func() {
		found := other
		defer func() { _ = recover(); is <- found }()
		switch {
		case byKey(b):
			found = hashes
		case byTurn(b):
			found = turns
		case byCount(b):
			found = counts
		}
	}()
	select {
	case k := <-is:
		return k
	case <-time.After(scenario.Settle):
		return other
	}
}

// once picks, gives back, and returns the name; "" if there was an error.
func once(b Balancer, key uint64) string {
	p, err := b.Pick(key)
	if err != nil {
		return ""
	}
	p.Done()
	return p.Node()
}

// byKey tells whether the same keys give the same nodes, whatever comes between
// them, and not all the same one.
func byKey(b Balancer) bool {
	const keys, asks = 64, 512
	where, nodes := make(map[uint64]string), make(map[string]bool)
	random := rand.New(rand.NewPCG(1, 0))
	for range asks {
		key := payload.Mix(random.Uint64N(keys))
		name := once(b, key)
		if before, ok := where[key]; ok && before != name {
			return false
		}
		where[key] = name
		nodes[name] = true
	}
	return len(nodes) > 1
}

// byTurn tells whether the nodes get the same number of picks that are given back
// at once, and of those of which one node's are kept: what they hold is nothing to it.
func byTurn(b Balancer) bool {
	const rounds = 8
	for _, kept := range []string{"", proc.NodeNames(1)[0]} {
		got := make(map[string]int)
		var keep []Pick
		for range rounds * nodeCount {
			p, err := b.Pick(0)
			if err != nil {
				return false
			}
			got[p.Node()]++
			if p.Node() == kept {
				keep = append(keep, p)
			} else {
				p.Done()
			}
		}
		for _, p := range keep {
			p.Done()
		}
		for _, n := range got {
			if n != rounds {
				return false
			}
		}
	}
	return true
}

// byCount tells whether who gives one back always has the next.
func byCount(b Balancer) bool {
	const tries = 32
	held := make([]Pick, 0, nodeCount)
	give := func() {
		for _, p := range held {
			p.Done()
		}
	}
	defer func() { give() }()
	for range nodeCount {
		p, err := b.Pick(0)
		if err != nil {
			return false
		}
		held = append(held, p)
	}
	random := rand.New(rand.NewPCG(2, 0))
	for range tries {
		i := random.IntN(len(held))
		freed := held[i].Node()
		held[i].Done()
		p, err := b.Pick(0)
		if err != nil {
			held = append(held[:i], held[i+1:]...)
			return false
		}
		if held[i] = p; p.Node() != freed {
			return false
		}
	}
	return true
}
