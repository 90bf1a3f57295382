package stress_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"tensile/stress/balancertest"
)

func TestPlantedBalancers(t *testing.T) {
	t.Parallel()
	mustBeCaught(t, "TestFaultyBalancer", []fault{
		{"sees a death late", "with its only node down Pick gave"},
		{"ignores weights", "node-0 of weight 1 of 10 has"},
		{"breaks on Zipf keys", "under Zipf keys"},
		{"gives a joiner nothing", "node-4 joined and"},
		{"gives a joiner half", "node-4 joined and"},
		{"forgets what is given back meanwhile", "after the node that had failed was back"},
		{"allocates", "a pick makes 1.00 allocations"},
		{"gives an empty name", "no node Pick gave \"\" and no error"},
		{"gives up when all are down", "its only node up again Pick returned"},
	})
	mustBeCaught(t, "TestFaultyBalancer$/^keys", []fault{{"moves keys without need", "keys moved without need"}})
	mustBeCaught(t, "TestFaultyBalancer$/^spread", []fault{
		{"3 % skewed", "default, N held: node-0 has"},
		{"picks a dead node", "after Down had returned"},
		{"picks a node that left", "after Leave had returned"},
	})
}

// TestFaultyBalancer is the kit over a balancer with the fault that is planted.
func TestFaultyBalancer(t *testing.T) {
	skipUnlessPlanted(t)
	balancertest.TestBalancer(t, openFaultyBalancer)
}

// faultyBalancer is a sound balancer with a fault on top.
type faultyBalancer struct {
	balancertest.Balancer
	strategy balancertest.Strategy
	picks    atomic.Int64
	broken   atomic.Bool
	late     atomic.Int64 // picks until a death is seen
	mu       sync.Mutex
	order    []string // of joining
	gone     string   // the node that is picked though it is gone
}

func openFaultyBalancer(tb testing.TB, cfg balancertest.Config) balancertest.Balancer {
	f := &faultyBalancer{strategy: cfg.Strategy}
	for _, n := range cfg.Nodes {
		f.order = append(f.order, n.Name)
	}
	switch {
	case planted == "breaks on Zipf keys" && cfg.Strategy == balancertest.BoundedLoadHashing:
		cfg.Strategy = balancertest.RendezvousHashing
	case planted == "ignores weights":
		cfg.Nodes = slices.Clone(cfg.Nodes)
		for i := range cfg.Nodes {
			cfg.Nodes[i].Weight = 1
		}
	}
	f.Balancer = openBalancer(tb, cfg)
	return f
}

// namedPick is a pick whose name is another.
type namedPick struct {
	balancertest.Pick
	name string
}

func (p *namedPick) Node() string { return p.name }

// heavyPick is one that was allocated.
type heavyPick struct{ balancertest.Pick }

var keepHeavy atomic.Pointer[heavyPick]

// lostPick is not given back while its node is down.
type lostPick struct {
	balancertest.Pick
	f *faultyBalancer
}

func (p *lostPick) Done() {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.gone != p.Node() {
		p.Pick.Done()
	}
}

// again picks until accept takes the node, a few times.
func (f *faultyBalancer) again(
	key uint64, p balancertest.Pick, accept func(name string) bool,
) (balancertest.Pick, error) {
	for range 16 {
		if accept(p.Node()) {
			break
		}
		p.Done()
		key = key*31 + 7
		var err error
		if p, err = f.Balancer.Pick(key); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (f *faultyBalancer) Pick(key uint64) (balancertest.Pick, error) {
	if planted == "sees a death late" && f.late.Add(-1) == 0 {
		_ = f.Balancer.Down("node-0")
	}
	p, err := f.Balancer.Pick(key)
	if err != nil {
		switch planted {
		case "gives an empty name":
			return new(namedPick), nil
		case "gives up when all are down":
			f.broken.Store(true)
		}
		return nil, err
	}
	n := f.picks.Add(1)
	switch planted {
	case "3 % skewed":
		if n%33 == 0 {
			return f.again(key, p, func(name string) bool { return name == "node-0" })
		}
	case "moves keys without need":
		if f.strategy == balancertest.RendezvousHashing {
			f.mu.Lock()
			defer f.mu.Unlock()
			return &namedPick{p, f.order[key%uint64(len(f.order))]}, nil
		}
	case "picks a dead node", "picks a node that left":
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.gone != "" && n%1000 == 0 {
			return &namedPick{p, f.gone}, nil
		}
	case "gives a joiner half":
		if n%2 == 0 {
			return f.again(key, p, func(name string) bool { return name != "node-4" })
		}
	case "forgets what is given back meanwhile":
		return &lostPick{p, f}, nil
	case "allocates":
		heavy := &heavyPick{p}
		keepHeavy.Store(heavy)
		return heavy, nil
	case "gives up when all are down":
		if f.broken.Load() {
			p.Done()
			return nil, f.NoNodes()
		}
	}
	return p, nil
}

func (f *faultyBalancer) Join(n balancertest.Node) error {
	f.mu.Lock()
	f.order = append(f.order, n.Name)
	f.mu.Unlock()
	switch {
	case planted == "gives a joiner nothing" && n.Name == "node-4":
		return nil
	case planted == "ignores weights":
		n.Weight = 1
	}
	return f.Balancer.Join(n)
}

func (f *faultyBalancer) Down(name string) error {
	switch planted {
	case "picks a dead node", "forgets what is given back meanwhile":
		f.mu.Lock()
		f.gone = name
		f.mu.Unlock()
	case "sees a death late":
		f.late.Store(10)
		return nil
	}
	return f.Balancer.Down(name)
}

func (f *faultyBalancer) Up(name string) error {
	f.mu.Lock()
	f.gone = ""
	f.mu.Unlock()
	return f.Balancer.Up(name)
}

func (f *faultyBalancer) Leave(name string) error {
	if planted == "picks a node that left" {
		f.mu.Lock()
		f.gone = name
		f.mu.Unlock()
	}
	if planted == "gives a joiner nothing" && name == "node-4" {
		return nil
	}
	return f.Balancer.Leave(name)
}

// Weighted says that weights are honoured, as the subject does.
func (*faultyBalancer) Weighted() {}
