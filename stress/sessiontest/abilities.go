package sessiontest

import "context"

// abilities are the optional interfaces of a subject, which only its own
// process sees.
type abilities struct {
	Replicates bool `json:"replicates"` // it is a Replicated
	Shares     bool `json:"shares"`     // it is a Shared
}

func abilitiesOf(s Store) (a abilities) {
	_, a.Replicates = s.(Replicated)
	_, a.Shares = s.(Shared)
	return a
}

// again tells whether another node may be lost while the first is.
func (a abilities) again() bool { return a.Replicates || a.Shares }

// lost is the criterion of what is gone with another node.
func (a abilities) lost() string {
	if a.Replicates {
		return "replication"
	}
	return "latest"
}

// abilities are those that the nodes have told.
func (c *cluster) abilities() abilities {
	c.state.Lock()
	defer c.state.Unlock()
	return c.state.abilities
}

// lacks are the criteria of what the subject does not have, and why; none before
// a node has told.
func (c *cluster) lacks() map[string]string {
	c.state.Lock()
	defer c.state.Unlock()
	lacks := make(map[string]string)
	if c.state.subject == "" {
		return lacks
	}
	if c.state.abilities.Shares {
		lacks["minority"] = "the nodes share a server, and none is cut off from it"
	}
	if !c.state.abilities.Replicates {
		const why = "the subject does not say that it makes up for the loss of a node"
		lacks["replication"], lacks["restored"] = why, why
	}
	return lacks
}

// unlinked cuts one node off from the others, which must mean nothing to nodes
// that share a server: what is written on one side is read on the other.
func (k *kit) unlinked(ctx context.Context) {
	keys := keysNamed("unlinked", 40)
	lone := k.nodes[k.Seed%nodeCount]
	others := k.others(lone)
	k.isolate(ctx, lone, true)
	for _, side := range []struct {
		value            string
		writers, readers []*member
	}{
		{"from the one", []*member{lone}, others},
		{"from the others", others, []*member{lone}},
	} {
		if !k.writeAll(ctx, side.writers, keys, side.value) {
			break
		}
		k.together(len(keys), func(i int) bool {
			n := side.readers[i%len(side.readers)]
			r := k.eventually(ctx, n, operation{kind: opGet, key: keys[i]})
			if string(r.value) != side.value {
				k.Violate("latest",
					"%s, a node that shares a server, has %q of %s while it or the writer is cut off from other nodes, where %q was "+
						"acknowledged (%v)",
					n.name, r.value, keys[i], side.value, r.err)
			}
			return true
		})
	}
	k.must(k.heal(ctx))
}
