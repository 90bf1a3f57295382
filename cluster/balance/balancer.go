package balance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Balancer picks nodes. It is safe for concurrent use: picks take no lock, and see changes
// of the nodes atomically.
type Balancer struct {
	strategy Strategy
	load     float64
	up       atomic.Pointer[set]
	_        [cacheLine]byte
	turn     atomic.Uint64 // the next turn of the schedule; every pick writes to it
	_        [cacheLine]byte

	mu      sync.Mutex // over changes
	members []*member  // all, sorted by name
}

// cacheLine keeps what every pick writes apart from what every pick reads: 128
// bytes, as processors fetch lines in pairs.
const cacheLine = 128

// member is a node while it belongs to a balancer.
type member struct {
	Node
	id     uint64 // hash of the name
	counts bool   // whether held is kept
	down   bool   // guarded by Balancer.mu
	_      [cacheLine]byte
	held   atomic.Int64 // picks not yet done
	_      [cacheLine]byte
}

// Pick is a node that was picked. Done must be called once for each, when the connection or
// request has ended, even if the node has failed. A Pick may be copied, and is valid only if
// the error was nil.
type Pick struct{ member *member }

// Node is the name of the node.
func (p Pick) Node() string { return p.member.Name }

// Done ends the pick. It panics if there are more calls of Done than picks.
func (p Pick) Done() {
	if p.member.counts && p.member.held.Add(-1) < 0 {
		panic(fmt.Sprintf("balance: Done of node %q without a Pick", p.member.Name))
	}
}

// New returns a balancer, or an error that wraps ErrConfig or ErrTaken.
func New(cfg Config) (*Balancer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	b := &Balancer{strategy: cfg.Strategy, load: cfg.Load}
	for _, n := range cfg.Nodes {
		if err := b.add(n); err != nil {
			return nil, err
		}
	}
	b.publish()
	return b, nil
}

// Strategy is the one the balancer was made with.
func (b *Balancer) Strategy() Strategy { return b.strategy }

// Pick chooses a node that is up. Only keyed strategies look at the key. The
// only error is ErrNoNodes.
func (b *Balancer) Pick(key uint64) (Pick, error) {
	s := b.up.Load()
	if len(s.members) == 0 {
		return Pick{}, ErrNoNodes
	}
	switch b.strategy {
	case LeastConnections:
		return Pick{s.least(b.turn.Add(1))}, nil
	case PowerOfTwo:
		return Pick{s.two()}, nil
	case Rendezvous:
		return Pick{s.members[s.first(key)]}, nil
	case BoundedLoad:
		return Pick{s.bounded(key, b.load)}, nil
	}
	return Pick{s.members[s.at(b.turn.Add(1))]}, nil
}

// Join adds a node, which is up. The error wraps ErrTaken or ErrConfig.
func (b *Balancer) Join(n Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.add(n); err != nil {
		return err
	}
	b.publish()
	return nil
}

// Leave removes a node. The error wraps ErrUnknown.
func (b *Balancer) Leave(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, err := b.find(name)
	if err != nil {
		return err
	}
	b.members = slices.Delete(b.members, at, at+1)
	b.publish()
	return nil
}

// Down takes a node out until Up, for example because it has failed. Picks of it that are not
// done by then count again after Up. The error wraps ErrUnknown.
func (b *Balancer) Down(name string) error { return b.mark(name, true) }

// Up takes a node back. The error wraps ErrUnknown.
func (b *Balancer) Up(name string) error { return b.mark(name, false) }

func (b *Balancer) mark(name string, down bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, err := b.find(name)
	if err != nil {
		return err
	}
	b.members[at].down = down
	b.publish()
	return nil
}

// Status is a node as it is at an instant.
type Status struct {
	Node
	Down bool
	Held int64 // picks not yet done; 0 unless the strategy counts them
}

// Nodes lists all, sorted by name.
func (b *Balancer) Nodes() []Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Status, len(b.members))
	for i, m := range b.members {
		all[i] = Status{m.Node, m.down, m.held.Load()}
	}
	return all
}

// add inserts a node without publishing it.
func (b *Balancer) add(n Node) error {
	if err := n.validate(); err != nil {
		return err
	}
	at, found := b.search(n.Name)
	if found {
		return fmt.Errorf("%w: %q", ErrTaken, n.Name)
	}
	b.members = slices.Insert(b.members, at, &member{Node: n, id: Key(n.Name), counts: b.strategy.Counts()})
	return nil
}

func (b *Balancer) find(name string) (int, error) {
	at, found := b.search(name)
	if !found {
		return 0, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	return at, nil
}

func (b *Balancer) search(name string) (int, bool) {
	return slices.BinarySearchFunc(b.members, name, func(m *member, name string) int {
		return strings.Compare(m.Name, name)
	})
}

// publish lets picks see the nodes that are up.
func (b *Balancer) publish() {
	up := make([]*member, 0, len(b.members))
	for _, m := range b.members {
		if !m.down {
			up = append(up, m)
		}
	}
	b.up.Store(newSet(up, !b.strategy.Keyed()))
}
