package stress_test

import (
	"slices"
	"testing"
	"time"

	"tensile/stress/node"
)

// TestPlantedClusterPrograms is for what shows only where several things happen to a
// cluster.
func TestPlantedClusterPrograms(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyCluster$/^programs", []fault{
		{"watched by its neighbour", "lists it as alive"},
		{"one death at a time", "at the same instant as"},
		{"left while stopped is failed", "formation.leave: "},
		{"only the first seed", "formation.seeds: "},
		{"another address is another", "was started again at another address, and"},
		{"who left is gone for good", "lists it as left"},
		{"address may be claimed", "formation.conflict: "},
	}, processes)
}

// memory is what a node with a fault remembers of others.
type memory struct {
	addrs   map[string]string    // of those that have failed
	failed  map[string]time.Time // since when they have
	wrong   map[string]bool      // the fault has struck
	left    map[string]bool
	seen    time.Time // the last time that somebody asked
	resumed time.Time // the process was stopped until then
}

// astray is what a node with a fault of that kind holds of the others.
func (f *faultyNode) astray(all []node.Member) []node.Member {
	m := &f.memory
	if m.addrs == nil {
		*m = memory{addrs: make(map[string]string), failed: make(map[string]time.Time),
			wrong: make(map[string]bool), left: make(map[string]bool), seen: time.Now()}
	}
	now := time.Now()
	if now.Sub(m.seen) > 200*time.Millisecond {
		m.resumed = now
	}
	m.seen = now
	names, states := []string{f.cfg.Name}, map[string]node.State{f.cfg.Name: node.Alive}
	for _, o := range all {
		names, states[o.Name] = append(names, o.Name), o.State
	}
	slices.Sort(names)
	addrs := make(map[string]string)
	for _, o := range f.Node.(subjectNode).Node.Members() {
		addrs[o.Name] = o.Addr
	}
	for i, o := range all {
		all[i].State = f.heldOf(o, addrs[o.Name], names, states)
	}
	return all
}

// heldOf is what the fault makes of a member.
func (f *faultyNode) heldOf(o node.Member, addr string, names []string, states map[string]node.State) node.State {
	m, now := &f.memory, f.memory.seen
	_, known := m.failed[o.Name]
	switch {
	case o.State == node.Failed && !known:
		watcher := names[(slices.Index(names, o.Name)+1)%len(names)]
		others := false
		for _, since := range m.failed {
			others = others || now.Sub(since) < 50*time.Millisecond
		}
		m.failed[o.Name], m.addrs[o.Name] = now, addr
		m.wrong[o.Name] = planted == "watched by its neighbour" && states[watcher] == node.Failed ||
			planted == "one death at a time" && others
	case o.State == node.Alive && known:
		delete(m.failed, o.Name)
		m.wrong[o.Name] = planted == "another address is another" && m.addrs[o.Name] != addr
	case o.State == node.Left && !m.left[o.Name]:
		m.left[o.Name] = true
		m.wrong[o.Name] = planted == "left while stopped is failed" && now.Sub(m.resumed) < 20*time.Millisecond
	case o.State == node.Alive && m.left[o.Name] && planted == "who left is gone for good":
		return node.Left
	}
	if !m.wrong[o.Name] {
		return o.State
	}
	if o.State == node.Failed {
		return node.Alive
	}
	return node.Failed
}
