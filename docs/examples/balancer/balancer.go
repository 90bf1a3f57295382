// Package balancer gives each connection to the node that has the fewest.
package balancer

import (
	"errors"
	"slices"
	"sync"
)

// Errors of a Balancer.
var (
	ErrNoNodes = errors.New("balancer: no node is up")
	ErrName    = errors.New("balancer: no such node, or one that is there already")
)

// Balancer is safe for concurrent use.
type Balancer struct {
	mu    sync.Mutex
	nodes []*Node
}

// Node is a node that can be picked.
type Node struct {
	Name string

	from *Balancer
	held int // connections
	down bool
}

// Pick chooses the node with the fewest connections. Done ends the connection.
func (b *Balancer) Pick() (*Node, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var least *Node
	for _, n := range b.nodes {
		if !n.down && (least == nil || n.held < least.held) {
			least = n
		}
	}
	if least == nil {
		return nil, ErrNoNodes
	}
	least.held++
	return least, nil
}

// Done ends a connection.
func (n *Node) Done() {
	n.from.mu.Lock()
	defer n.from.mu.Unlock()
	n.held--
}

// Join adds a node without connections.
func (b *Balancer) Join(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.find(name) >= 0 {
		return ErrName
	}
	b.nodes = append(b.nodes, &Node{Name: name, from: b})
	return nil
}

// Leave removes a node.
func (b *Balancer) Leave(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(name)
	if i < 0 {
		return ErrName
	}
	b.nodes = slices.Delete(b.nodes, i, i+1)
	return nil
}

// SetDown marks a node as failed, or as back.
func (b *Balancer) SetDown(name string, down bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(name)
	if i < 0 {
		return ErrName
	}
	b.nodes[i].down = down
	return nil
}

func (b *Balancer) find(name string) int {
	return slices.IndexFunc(b.nodes, func(n *Node) bool { return n.Name == name })
}
