package balancertest

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"tensile/stress/internal/payload"
)

// control is the balancer beside which the subject is judged: a slice of nodes under
// a lock. It hashes by rendezvous, and counts for every other strategy.
type control struct {
	cfg   Config
	mu    sync.Mutex
	nodes []*controlNode
	held  int
}

type controlNode struct {
	of   *control
	name string
	hash uint64
	held int
	down bool
}

var (
	errControlNone  = errors.New("control: no node is up")
	errControlNodes = errors.New("control: the node is there already, or is not")
)

func openControl(_ testing.TB, cfg Config) Balancer {
	c := &control{cfg: cfg}
	for _, n := range cfg.Nodes {
		_ = c.Join(n) // each once
	}
	return c
}

func (c *control) NoNodes() error { return errControlNone }

// Pick takes the node with the fewest, or with the greatest hash of those that have
// room.
func (c *control) Pick(key uint64) (Pick, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room, up := math.MaxInt, 0
	if c.cfg.Strategy == BoundedLoadHashing {
		for _, n := range c.nodes {
			if !n.down {
				up++
			}
		}
		room = int(math.Ceil(c.cfg.Load * float64(c.held+1) / float64(max(up, 1))))
	}
	var best *controlNode
	most := uint64(0)
	for _, n := range c.nodes {
		if n.down || n.held >= room {
			continue
		}
		if !c.cfg.Strategy.keyed() {
			if best == nil || n.held < best.held {
				best = n
			}
		} else if hash := payload.Mix(key ^ n.hash); best == nil || hash > most {
			best, most = n, hash
		}
	}
	if best == nil {
		return nil, errControlNone
	}
	best.held++
	c.held++
	return best, nil
}

func (n *controlNode) Node() string { return n.name }

func (n *controlNode) Done() {
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.held--
	if n.of.find(n.name) == n && !n.down {
		n.of.held--
	}
}

// find returns the node of that name, or nil.
func (c *control) find(name string) *controlNode {
	if i := slices.IndexFunc(c.nodes, func(n *controlNode) bool { return n.name == name }); i >= 0 {
		return c.nodes[i]
	}
	return nil
}

func (c *control) Join(node Node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.find(node.Name) != nil {
		return errControlNodes
	}
	hash := uint64(0)
	for _, b := range []byte(node.Name) {
		hash = payload.Mix(hash ^ uint64(b))
	}
	c.nodes = append(c.nodes, &controlNode{of: c, name: node.Name, hash: hash})
	return nil
}

func (c *control) Leave(name string) error {
	return c.change(name, func(n *controlNode) {
		if !n.down {
			c.held -= n.held
		}
		c.nodes = slices.DeleteFunc(c.nodes, func(other *controlNode) bool { return other == n })
	})
}

func (c *control) Down(name string) error {
	return c.change(name, func(n *controlNode) {
		if !n.down {
			n.down = true
			c.held -= n.held
		}
	})
}

func (c *control) Up(name string) error {
	return c.change(name, func(n *controlNode) {
		if n.down {
			n.down = false
			c.held += n.held
		}
	})
}

func (c *control) change(name string, how func(*controlNode)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.find(name)
	if n == nil {
		return errControlNodes
	}
	how(n)
	return nil
}
