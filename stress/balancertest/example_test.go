package balancertest_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"tensile/stress/balancertest"
)

// turns gives each node its turn.
type turns struct {
	mu   sync.Mutex
	all  []string
	down map[string]bool
	next int
}

var (
	errNoNodes = errors.New("no node is up")
	errName    = errors.New("no such node, or one that is there already")
)

// picked is a node that was picked. Nothing is counted, so Done does nothing.
type picked string

func (p picked) Node() string { return string(p) }
func (p picked) Done()        {}

func (t *turns) Pick(uint64) (balancertest.Pick, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range t.all {
		t.next = (t.next + 1) % len(t.all)
		if name := t.all[t.next]; !t.down[name] {
			return picked(name), nil
		}
	}
	return nil, errNoNodes
}

func (t *turns) Join(n balancertest.Node) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Contains(t.all, n.Name) {
		return errName
	}
	t.all = append(t.all, n.Name)
	return nil
}

func (t *turns) Leave(name string) error {
	return t.change(name, func(i int) {
		t.all = slices.Delete(t.all, i, i+1)
		delete(t.down, name)
	})
}

func (t *turns) Down(name string) error { return t.change(name, func(int) { t.down[name] = true }) }
func (t *turns) Up(name string) error   { return t.change(name, func(int) { delete(t.down, name) }) }
func (t *turns) NoNodes() error         { return errNoNodes }

// change has body change what is known of a node, the i-th.
func (t *turns) change(name string, body func(i int)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.all, name)
	if i < 0 {
		return errName
	}
	body(i)
	return nil
}

func open(_ testing.TB, cfg balancertest.Config) balancertest.Balancer {
	switch cfg.Strategy {
	case balancertest.DefaultStrategy, balancertest.RoundRobin:
	default:
		return nil // not offered
	}
	t := &turns{down: make(map[string]bool)}
	for _, n := range cfg.Nodes {
		t.all = append(t.all, n.Name)
	}
	return t
}

// In a file of tests, this is the function TestStressBalancer.
func testStressBalancer(t *testing.T) { balancertest.TestBalancer(t, open) }

// A balancer that takes turns, and the test that takes it through the scenario. The kit calls open
// and the balancer as here, with many callers at once.
func Example() {
	_ = testStressBalancer
	b := open(nil, balancertest.Config{
		Strategy: balancertest.DefaultStrategy,
		Nodes:    []balancertest.Node{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}},
	})
	pick := func() {
		p, err := b.Pick(0)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Node())
		p.Done()
	}
	pick()
	pick()
	fmt.Println("a is down:", b.Down("a"))
	pick()
	pick()
	// Output:
	// b
	// a
	// a is down: <nil>
	// b
	// b
}
