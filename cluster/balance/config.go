package balance

import (
	"errors"
	"fmt"
	"math"
)

// Errors of a balancer, to be tested with errors.Is.
var (
	// ErrNoNodes is returned by Pick while no node is up.
	ErrNoNodes = errors.New("balance: no node is up")
	// ErrUnknown says that there is no node of that name.
	ErrUnknown = errors.New("balance: unknown node")
	// ErrTaken says that there is a node of that name already.
	ErrTaken = errors.New("balance: node exists")
	// ErrConfig is wrapped by every error about a Config or a Node.
	ErrConfig = errors.New("balance: bad configuration")
)

// Strategy is a way to choose a node.
type Strategy int

const (
	// RoundRobin gives picks in turns, by weight and as evenly spaced as the
	// weights allow: stride scheduling (Waldspurger and Weihl 1995). It ignores
	// the key. The default.
	RoundRobin Strategy = iota
	// LeastConnections gives the node that holds the fewest picks for its
	// weight. Among equals it takes turns. It ignores the key.
	LeastConnections
	// PowerOfTwo draws two nodes by weight and gives the one that holds fewer
	// picks for its weight (Azar, Broder, Karlin, Upfal 1999; Mitzenmacher
	// 2001). It ignores the key.
	PowerOfTwo
	// Rendezvous gives the node whose hash with the key is highest: highest
	// random weight (Thaler and Ravishankar 1998), with weights by the
	// logarithmic method (Schindelhauer and Schomaker 2005).
	Rendezvous
	// BoundedLoad gives the first node in the rendezvous order of the key that
	// holds less than Config.Load times its share: consistent hashing with
	// bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016), on rendezvous
	// orders in place of a ring, so that the overflow of one node goes to all
	// others and not to its neighbour.
	BoundedLoad
)

var strategies = [...]string{"round robin", "least connections", "power of two choices", "rendezvous", "bounded load"}

// Strategies lists all, the default first.
func Strategies() []Strategy {
	all := make([]Strategy, len(strategies))
	for i := range all {
		all[i] = Strategy(i)
	}
	return all
}

func (s Strategy) known() bool { return s >= 0 && int(s) < len(strategies) }

func (s Strategy) String() string {
	if !s.known() {
		return fmt.Sprintf("Strategy(%d)", int(s))
	}
	return strategies[s]
}

// Keyed reports whether the strategy gives the same node for the same key.
func (s Strategy) Keyed() bool { return s == Rendezvous || s == BoundedLoad }

// Counts reports whether the strategy needs to know when a pick has ended.
func (s Strategy) Counts() bool {
	return s == LeastConnections || s == PowerOfTwo || s == BoundedLoad
}

// MaxWeight is the largest weight of a node.
const MaxWeight = 1000

// Node is something that can be picked.
type Node struct {
	Name   string // not empty, and unlike that of all other nodes
	Weight int    // its share relative to the other nodes, 1 to MaxWeight; 0 means 1
}

func (n *Node) validate() error {
	if n.Name == "" {
		return fmt.Errorf("%w: Name is %q, must not be empty", ErrConfig, n.Name)
	}
	if n.Weight < 0 || n.Weight > MaxWeight {
		return fmt.Errorf("%w: Weight of node %q is %d, must be 0 for 1, or 1 to %d", ErrConfig, n.Name, n.Weight, MaxWeight)
	}
	n.Weight = max(n.Weight, 1)
	return nil
}

// DefaultLoad is the bound of BoundedLoad if Config.Load is 0.
const DefaultLoad = 1.25

// Config says what a balancer starts with. The zero value is usable: a round
// robin over the nodes that join.
type Config struct {
	Strategy Strategy
	Nodes    []Node
	// Load is the bound of BoundedLoad: how many times its fair share of all
	// picks that are held a node may hold, rounded up. It is above 1, and 0
	// means DefaultLoad. Near 1 loads are even and keys wander; far above it
	// is plain Rendezvous.
	Load float64
}

func (c *Config) validate() error {
	if !c.Strategy.known() {
		return fmt.Errorf("%w: Strategy is %v, must be %v to %v", ErrConfig, c.Strategy, RoundRobin, BoundedLoad)
	}
	if c.Load == 0 {
		c.Load = DefaultLoad
	}
	if !(c.Load > 1) || math.IsInf(c.Load, 0) {
		return fmt.Errorf("%w: Load is %v, must be 0 for %v, or a number above 1", ErrConfig, c.Load, DefaultLoad)
	}
	return nil
}
