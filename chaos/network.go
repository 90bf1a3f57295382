package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Network is the links between nodes: a Proxy for each ordered pair that
// needs one. Safe for concurrent use.
type Network struct {
	seed  uint64
	mu    sync.Mutex
	links map[link]*Proxy
}

// link is an ordered pair of nodes, the dialler first.
type link struct{ from, to string }

// NewNetwork returns a network without links. What is random in their faults
// is drawn from the seed.
func NewNetwork(seed uint64) *Network {
	return &Network{seed: seed, links: make(map[link]*Proxy)}
}

// Link returns the address at which one node reaches another, which listens at addr. If it
// is called again for the same two nodes, later connections lead to the new address, as
// after a restart. Names must not be empty, nor contain ">".
func (n *Network) Link(from, to, addr string) (string, error) {
	for _, name := range []string{from, to} {
		if name == "" || strings.Contains(name, arrow) {
			return "", fmt.Errorf("%w: the name of a node is %q, must not be empty and must have no %q", ErrPlan, name, arrow)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	at := link{from, to}
	if p := n.links[at]; p != nil {
		p.SetTarget(addr)
		return p.Addr(), nil
	}
	p, err := NewProxy(addr, n.seed+uint64(len(n.links)))
	if err != nil {
		return "", err
	}
	n.links[at] = p
	return p.Addr(), nil
}

// Close closes all links.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, p := range n.links {
		errs = append(errs, p.Close())
	}
	clear(n.links)
	return errors.Join(errs...)
}

// arrow is in a target that is the traffic from one node to another.
const arrow = ">"

// way is one direction of one link.
type way struct {
	proxy *Proxy
	back  bool
}

func (w way) impose(c Condition) (lift func(), err error) {
	if w.back {
		return w.proxy.Impose(Condition{}, c)
	}
	return w.proxy.Impose(c, Condition{})
}

// ways are the directions of links that carry what a target is. "a>b" is all
// traffic from a to b, whoever dialled. "a" is all traffic from a and, unless
// only what leaves is asked for, to a.
func (n *Network) ways(target string, leaving bool) ([]way, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from, to, one := strings.Cut(target, arrow)
	var all []way
	for _, l := range slices.SortedFunc(maps.Keys(n.links), func(a, b link) int {
		return strings.Compare(a.from+arrow+a.to, b.from+arrow+b.to)
	}) {
		for _, back := range []bool{false, true} {
			source, sink := l.from, l.to
			if back {
				source, sink = sink, source
			}
			if one && source == from && sink == to || !one && (source == target || sink == target && !leaving) {
				all = append(all, way{n.links[l], back})
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: target is %q, must be a node that has links, or two with %q between them",
			ErrPlan, target, arrow)
	}
	return all, nil
}

// Injectors returns the injectors of all link faults, with the given severity: Delay uses its
// Delay and Jitter, Loss its Loss and Stall, and the others the field of their name;
// Partition and Cut need none.
//
// A target is a node, such as "a", or the traffic from one node to another, such as "a>b". A
// fault affects both directions of all links of a node, except that Cut affects only what
// the node sends. Faults on the same link add up.
func (n *Network) Injectors(severity Condition) map[Fault]Injector {
	var none Condition
	inject := func(fault Fault, c Condition) Injector {
		return func(_ context.Context, target string) (func() error, error) {
			if c == none {
				return nil, fmt.Errorf("%w: the severity of %q is 0, must be above 0", ErrPlan, fault)
			}
			ways, err := n.ways(target, fault == Cut)
			if err != nil {
				return nil, err
			}
			var lifts []func()
			lift := func() error {
				for _, lift := range lifts {
					lift()
				}
				return nil
			}
			for _, way := range ways {
				one, err := way.impose(c)
				if err != nil {
					return nil, errors.Join(err, lift())
				}
				lifts = append(lifts, one)
			}
			return lift, nil
		}
	}
	s := severity
	if s.Loss == 0 {
		s.Stall = 0
	}
	all := make(map[Fault]Injector)
	for fault, c := range map[Fault]Condition{
		Partition: {Cut: true},
		Cut:       {Cut: true},
		Delay:     {Delay: s.Delay, Jitter: s.Jitter},
		Loss:      {Loss: s.Loss, Stall: s.Stall},
		Drop:      {Drop: s.Drop},
		Corrupt:   {Corrupt: s.Corrupt},
		Duplicate: {Duplicate: s.Duplicate},
		Bandwidth: {Bandwidth: s.Bandwidth},
	} {
		all[fault] = inject(fault, c)
	}
	return all
}
