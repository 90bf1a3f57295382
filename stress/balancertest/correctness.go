package balancertest

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"tensile/stress/internal/proc"
	"tensile/stress/validate"
)

// empty: no node, none that is up, none that is left.
func (k *kit) empty(ctx context.Context, t *testing.T) {
	for _, s := range strategies {
		b := k.start(t, s, nil)
		if b == nil {
			continue
		}
		refused := func(when string) {
			p, err := b.Pick(k.key(0))
			switch {
			case err == nil:
				k.Violate("empty", "%s: with %s Pick gave %q and no error", s, when, p.Node())
			case !errors.Is(err, b.NoNodes()):
				k.Violate("empty", "%s: with %s Pick returned %q, must be %q", s, when, err, b.NoNodes())
			}
		}
		served := func(when string) {
			if p, err := b.Pick(k.key(0)); err != nil {
				k.Violate("empty", "%s: with %s Pick returned %v", s, when, err)
			} else {
				if p.Node() != "node-0" {
					k.Violate("empty", "%s: with %s Pick gave %q", s, when, p.Node())
				}
				p.Done()
			}
		}
		refused("no node")
		if !k.must(b.Join(Node{"node-0", 1}), s, "Join of the first node") {
			continue
		}
		served("one node")
		k.must(b.Down("node-0"), s, "Down")
		refused("its only node down")
		k.must(b.Up("node-0"), s, "Up")
		served("its only node up again")
		k.must(b.Leave("node-0"), s, "Leave")
		refused("no node left")
	}
}

// weights: shares in proportion to them.
func (k *kit) weights(ctx context.Context, t *testing.T) {
	weights := []int{1, 2, 3, 4}
	const sum = 10
	offered := false
	for _, s := range strategies {
		b := k.start(t, s, proc.NodeNames(len(weights)), weights...)
		if b == nil {
			continue
		}
		if _, ok := b.(Weighted); !ok {
			continue
		}
		offered = true
		var h held
		n := k.picks()
		if !k.pick(s, b, &h, 0, n) {
			continue
		}
		for i, name := range proc.NodeNames(len(weights)) {
			share := float64(n*weights[i]) / sum
			// The same part of a share as for equal weights.
			limit := share * spreadAtBase * nodeCount / validate.BaseScale
			if off := math.Abs(float64(h.counts[name]) - share); off > limit {
				k.Violate("weights", "%s: %s of weight %d of %d has %d of %d picks, its share is %.0f ± %.0f",
					s, name, weights[i], sum, h.counts[name], n, share, limit)
			}
		}
		h.release()
	}
	if !offered {
		k.NotOffered("weights", "the subject does not honour weights")
	}
}

// placement is where each key goes while nothing is held.
func (k *kit) placement(s Strategy, b Balancer, n int) (where []string, ok bool) {
	where = make([]string, n)
	for i := range where {
		p, err := b.Pick(k.key(i))
		if !k.must(err, s, "Pick") {
			return nil, false
		}
		where[i] = p.Node()
		p.Done()
	}
	return where, true
}

// keys: a keyed strategy moves keys only to a node that joins, and only from
// one that goes.
func (k *kit) keys(ctx context.Context, t *testing.T) {
	offered := false
	k.offered(ctx, t, func(s Strategy, b Balancer, names []string) {
		if !s.keyed() {
			return
		}
		offered = true
		n := k.picks()
		before, ok := k.placement(s, b, n)
		// after places the keys again, and tells of those that moved though
		// may says that they need not have.
		after := func(what string, change error, may func(from, to string) bool) []string {
			if !ok || !k.must(change, s, what) {
				ok = false
				return nil
			}
			var now []string
			if now, ok = k.placement(s, b, n); !ok {
				return nil
			}
			moved, example := 0, 0
			for i := range now {
				if now[i] != before[i] && !may(before[i], now[i]) {
					moved++
					example = i
				}
			}
			if moved > 0 {
				k.Violate("moved", "%s, %s: %d of %d keys moved without need, such as one from %s to %s",
					s, what, moved, n, before[example], now[example])
			}
			return now
		}
		after("with nothing changed", nil, func(_, _ string) bool { return false })
		joined := after("after node-4 joined", b.Join(Node{"node-4", 1}), func(_, to string) bool { return to == "node-4" })
		if !ok {
			return
		}
		taken := 0
		for _, name := range joined {
			if name == "node-4" {
				taken++
			}
		}
		share, limit := float64(n)/(nodeCount+1), float64(n)*spreadAtBase/validate.BaseScale
		if math.Abs(float64(taken)-share) > limit {
			k.Violate("moved", "%s: node-4 joined and took %d of %d keys, its share is %.0f ± %.0f", s, taken, n, share, limit)
		}
		after("after node-4 left again", b.Leave("node-4"), func(_, _ string) bool { return false })
		after("while node-1 is down", b.Down("node-1"), func(from, _ string) bool { return from == "node-1" })
		after("after node-1 was back", b.Up("node-1"), func(_, _ string) bool { return false })
	})
	if !offered {
		k.NotOffered("moved", "the subject has no strategy with keys")
	}
}

// skew: most picks have the same few keys, and are all held.
func (k *kit) skew(ctx context.Context, t *testing.T) {
	const exponent, keys = 1.5, 100_000
	names := proc.NodeNames(nodeCount)
	b := k.start(t, BoundedLoadHashing, names)
	if b == nil {
		k.NotOffered("skew", "the subject has no bounded strategy")
		return
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(k.Seed, 0)), exponent, 1, keys-1)
	var h held
	h.counts = make(map[string]int)
	for i := range k.picks() {
		p, err := b.Pick(k.key(int(zipf.Uint64())))
		if !k.must(err, BoundedLoadHashing, "Pick") {
			return
		}
		h.picks = append(h.picks, p)
		h.counts[p.Node()]++
		// Both ways of rounding the bound are in use: hence the one more.
		if bound := math.Ceil(boundedLoad*float64(i+1)/nodeCount) + 1; float64(h.counts[p.Node()]) > bound {
			k.Violate("skew", "%s under Zipf keys: %s holds %d of %d, the bound is %.2f times its share, which is %.0f",
				BoundedLoadHashing, p.Node(), h.counts[p.Node()], i+1, boundedLoad, bound)
			break
		}
	}
	h.release()
}
