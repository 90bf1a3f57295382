package session

import (
	"sync"

	"tensile/cluster"
)

// Over makes a cluster.Node the Network of a store. The Config.Handler of the node must
// pass requests to Serve.
func Over(node *cluster.Node) Network {
	n := &over{Node: node}
	node.Watch(func(e cluster.Event) { n.alive.Store(e.Name, e.State == cluster.Alive) })
	return n
}

// over knows who is alive by events, so that it never waits for the node.
type over struct {
	*cluster.Node
	alive sync.Map // name -> bool
}

func (n *over) Alive(name string) bool {
	alive, ok := n.alive.Load(name)
	return ok && alive.(bool)
}

// Serve is Handle as the handler of a cluster.Node. A request that no store has sent
// gets an empty reply, which the sender treats as none.
func (s *Store) Serve(r cluster.Request) {
	reply, err := s.Handle(r.From, r.Body)
	if err != nil {
		reply = nil
	}
	_ = r.Reply(reply) // the sender is gone, and with it the question
}
