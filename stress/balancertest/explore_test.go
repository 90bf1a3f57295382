package balancertest

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensile/stress/explore"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
)

// explored explores a balancer in the way of the phase, by a number of schedules.
func explored(t *testing.T, fault string, schedules int, in ...Strategy) explore.Outcome {
	open := faultyBalancers(fault, in...)
	return vocabulary(open, kinds(t, open)).Explored(t, schedules)
}

// TestExploredFaults plants a fault of each kind in sound balancers.
func TestExploredFaults(t *testing.T) {
	for in, faults := range map[Strategy]map[string]string{
		RoundRobin: {
			"forgets the weight at Up":            "weights: ",
			"keeps the weight of an earlier life": "weights: ",
			"begins anew at each change":          "uneven: ",
			"picks who failed":                    "dead: ",
			"matches by prefix":                   ": ",
			"says another error":                  "empty: ",
			"gives an error while a node changes": "empty: ",
		},
		LeastConnections: {
			"loses a change beside another":    ": ",
			"counts by name":                   "uneven: ",
			"gives back to another":            "uneven: ",
			"forgets what is held at a change": "uneven: ",
			"loses a count beside another":     "uneven: ",
		},
		RendezvousHashing: {
			"goes by the order of joining": "placement: ",
			"goes by the instance":         "placement: ",
		},
	} {
		programs.MustFind(t, faults, func(t *testing.T, fault string) explore.Outcome {
			return explored(t, fault, 4000, in)
		})
	}
}

// Without a fault the balancers are sound, and the programs reach what they are
// made of.
func TestExploredCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("thousands of schedules")
	}
	out := explored(t, "", 10_000)
	if out.Failure != nil {
		t.Fatalf("%s\n%s", out.Failure.Sentence, out.Failure.Program)
	}
	v := vocabulary(nil, nil)
	c := v.Coverage(out.Counts)
	assert.Empty(t, c.Never)
	for _, criterion := range []string{"uneven", "dead", "empty", "placement"} {
		assert.Positive(t, c.Promises[criterion], criterion)
	}
	t.Log(c)
}

func TestKinds(t *testing.T) {
	assert.Equal(t, map[Strategy]kind{DefaultStrategy: turns, RoundRobin: turns, LeastConnections: counts,
		RendezvousHashing: hashes, BoundedLoadHashing: bounds}, kinds(t, faultyBalancers("")))
	for s, want := range map[Strategy]kind{
		LeastConnections: counts, RendezvousHashing: hashes, BoundedLoadHashing: hashes,
	} {
		assert.Equal(t, want, kinds(t, faultyBalancers("", s))[DefaultStrategy], s)
	}
}

var (
	errNobody  = errors.New("nobody is up")
	errUnknown = errors.New("no such node")
)

// faultyBalancer is a balancer that is sound, but for the fault that it is told to have.
type faultyBalancer struct {
	strategy Strategy
	fault    string
	load     float64
	salt     uint64

	mu     sync.Mutex
	nodes  []*faultyNode
	joined uint64
	counts map[string]int // "counts by name"
	old    map[string]int // weights of those that left
}

type faultyNode struct {
	b       *faultyBalancer
	name    string
	weight  int
	down    bool
	current int
	held    atomic.Int64
	number  uint64
}

var instances atomic.Uint64

// faultyBalancers opens balancers with some strategies, or all.
func faultyBalancers(fault string, in ...Strategy) func(testing.TB, Config) Balancer {
	return func(tb testing.TB, cfg Config) Balancer {
		if cfg.Strategy == PowerOfTwoChoices {
			return nil
		}
		if cfg.Strategy == DefaultStrategy {
			cfg.Strategy = append(in, RoundRobin)[0]
		} else if len(in) > 0 && !slices.Contains(in, cfg.Strategy) {
			return nil
		}
		b := &faultyBalancer{strategy: cfg.Strategy, fault: fault, load: cfg.Load, counts: make(map[string]int),
			old: make(map[string]int)}
		if fault == "goes by the instance" {
			b.salt = instances.Add(1)
		}
		for _, n := range cfg.Nodes {
			if err := b.Join(n); err != nil {
				tb.Fatal(err)
			}
		}
		return b
	}
}

func (*faultyBalancer) NoNodes() error { return errNobody }
func (*faultyBalancer) Weighted()      {}

func (n *faultyNode) Node() string { return n.name }

func (n *faultyNode) Done() {
	b := n.b
	if b.fault == "loses a count beside another" {
		n.held.Store(n.held.Load() - 1)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n.held.Add(-1)
	b.counts[n.name]--
	if b.fault == "gives back to another" && !slices.Contains(b.nodes, n) && len(b.nodes) > 0 {
		b.nodes[0].held.Add(-1)
	}
}

func (b *faultyBalancer) Pick(key uint64) (Pick, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var up []*faultyNode
	weight, held := 0, int64(0)
	for _, n := range b.nodes {
		held += n.held.Load()
		if !n.down || b.fault == "picks who failed" && n.held.Load() > 2 {
			up = append(up, n)
			weight += n.weight
		}
	}
	if len(up) == 0 {
		if b.fault == "says another error" && len(b.nodes) > 0 {
			return nil, errUnknown
		}
		return nil, errNobody
	}
	best := up[0]
	switch b.strategy {
	case RoundRobin:
		for _, n := range up {
			n.current += n.weight
		}
		for _, n := range up {
			if n.current > best.current {
				best = n
			}
		}
		best.current -= weight
	case LeastConnections:
		for _, n := range up {
			if b.holds(n)*best.weight < b.holds(best)*n.weight {
				best = n
			}
		}
	default:
		score := func(n *faultyNode) float64 {
			id := payload.Mix(b.salt)
			for i := range len(n.name) {
				id = payload.Mix(id ^ uint64(n.name[i]))
			}
			if b.fault == "goes by the order of joining" {
				id = payload.Mix(n.number)
			}
			return -float64(n.weight) / math.Log((float64(payload.Mix(key^id)>>12)+0.5)/(1<<52))
		}
		slices.SortFunc(up, func(a, b *faultyNode) int {
			if score(a) > score(b) {
				return -1
			}
			return 1
		})
		best = up[0]
		for _, n := range up {
			if b.strategy == RendezvousHashing ||
				float64(n.held.Load()) < math.Ceil(b.load*float64(held+1)*float64(n.weight)/float64(weight)) {
				best = n
				break
			}
		}
	}
	if b.fault == "loses a count beside another" {
		b.mu.Unlock()
		best.held.Store(best.held.Load() + 1)
		b.mu.Lock()
	} else {
		best.held.Add(1)
	}
	b.counts[best.name]++
	return best, nil
}

func (b *faultyBalancer) holds(n *faultyNode) int {
	if b.fault == "counts by name" {
		return b.counts[n.name]
	}
	return int(n.held.Load())
}

// change changes the list of nodes.
func (b *faultyBalancer) change(f func(nodes []*faultyNode) []*faultyNode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := slices.Clone(b.nodes)
	if b.fault == "loses a change beside another" || b.fault == "gives an error while a node changes" {
		if b.fault == "gives an error while a node changes" {
			b.nodes = nil
		}
		b.mu.Unlock()
		next = f(next)
		b.mu.Lock()
	} else {
		next = f(next)
	}
	b.nodes = next
	for _, n := range b.nodes {
		switch b.fault {
		case "begins anew at each change":
			n.current = 0
		case "forgets what is held at a change":
			n.held.Store(0)
		}
	}
}

func (b *faultyBalancer) Join(n Node) error {
	b.change(func(nodes []*faultyNode) []*faultyNode {
		b.joined++
		if b.fault == "keeps the weight of an earlier life" && b.old[n.Name] > 0 {
			n.Weight = b.old[n.Name]
		}
		b.counts[n.Name] = 0
		return append(nodes, &faultyNode{b: b, name: n.Name, weight: n.Weight, number: b.joined})
	})
	return nil
}

func (b *faultyBalancer) find(nodes []*faultyNode, name string) int {
	return slices.IndexFunc(nodes, func(n *faultyNode) bool {
		return n.name == name || b.fault == "matches by prefix" && strings.HasPrefix(n.name, name)
	})
}

func (b *faultyBalancer) Leave(name string) (err error) {
	b.change(func(nodes []*faultyNode) []*faultyNode {
		i := b.find(nodes, name)
		if i < 0 {
			err = errUnknown
			return nodes
		}
		b.old[name] = nodes[i].weight
		return slices.Delete(nodes, i, i+1)
	})
	return err
}

func (b *faultyBalancer) set(name string, down bool) (err error) {
	b.change(func(nodes []*faultyNode) []*faultyNode {
		i := b.find(nodes, name)
		if i < 0 {
			err = errUnknown
			return nodes
		}
		n := nodes[i]
		n.down = down
		if !down && b.fault == "forgets the weight at Up" {
			n.weight = 1
		}
		return nodes
	})
	return err
}

func (b *faultyBalancer) Down(name string) error { return b.set(name, true) }
func (b *faultyBalancer) Up(name string) error   { return b.set(name, false) }
