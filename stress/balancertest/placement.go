package balancertest

import (
	"context"
	"slices"
	"testing"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
)

// placing asks a child process where it places keys.
type placing struct {
	Strategy Strategy
	Seed     uint64
	Nodes    []Node
	Keys     int
}

// place answers a parent.
func place(t *testing.T, open func(testing.TB, Config) Balancer) func(*proc.Link) error {
	return func(link *proc.Link) error {
		return proc.Serve(link, func(ask placing) (any, error) {
			b := open(t, Config{Strategy: ask.Strategy, Nodes: ask.Nodes, Load: boundedLoad})
			where := make([]string, ask.Keys)
			for i := range where {
				where[i] = once(b, payload.Mix(ask.Seed+uint64(i)))
			}
			return where, nil
		})
	}
}

// placements: a key has the same node in every instance, whatever way its nodes came,
// and in every process.
func (k *kit) placements(ctx context.Context, t *testing.T) {
	const keys = 5000
	offered := false
	for _, s := range strategies {
		if !k.kinds[s].keyed() || ctx.Err() != nil {
			continue
		}
		offered = true
		names := proc.NodeNames(nodeCount)
		first := k.start(t, s, names)
		want, ok := k.placement(s, first, keys)
		if !ok {
			return
		}
		same := func(what string, got []string) {
			differ, example := 0, 0
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					differ, example = differ+1, i
				}
			}
			if differ > 0 {
				has := "no node"
				if example < len(got) {
					has = got[example]
				}
				k.Violate("placement", "%s: %d of %d keys have another node %s, such as one that has %s and then %s",
					s, differ, keys, what, want[example], has)
			}
		}
		slices.Reverse(names)
		if got, ok := k.placement(s, k.start(t, s, names), keys); ok {
			same("in another instance whose nodes were given in another order", got)
		}
		late := k.start(t, s, []string{"guest", names[2]})
		for _, name := range []string{names[0], names[3], names[1]} {
			k.must(late.Join(Node{name, 1}), s, "Join")
		}
		k.must(late.Leave("guest"), s, "Leave")
		k.must(late.Leave(names[0]), s, "Leave")
		k.must(late.Join(Node{names[0], 1}), s, "Join")
		if got, ok := k.placement(s, late, keys); ok {
			same("in another instance whose nodes joined in another order", got)
		}
		slices.Reverse(names)
		if got, err := k.elsewhere(ctx, s, names, keys); err != nil {
			k.Fault("a child process with %q: %v", s, err)
		} else {
			same("in another process with the same nodes", got)
		}
	}
	if !offered {
		k.NotOffered("placement", "the subject has no strategy with keys")
	}
}

// elsewhere is where another process places the keys.
func (k *kit) elsewhere(ctx context.Context, s Strategy, names []string, keys int) (where []string, err error) {
	child, err := k.site.Start(nil, proc.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = child.Close() }()
	ask := placing{Strategy: s, Seed: k.Seed, Keys: keys}
	for _, name := range names {
		ask.Nodes = append(ask.Nodes, Node{name, 1})
	}
	err = child.Ask(ctx, ask, &where)
	return where, err
}
