package balancer_test

import (
	"testing"

	"example.com/yours/balancer"

	"tensile/stress"
	"tensile/stress/balancertest"
)

func TestMain(m *testing.M) { stress.Main(m) }

func TestStressBalancer(t *testing.T) { balancertest.TestBalancer(t, open) }

func BenchmarkBalancer(b *testing.B) { balancertest.BenchmarkBalancer(b, open) }

func open(tb testing.TB, cfg balancertest.Config) balancertest.Balancer {
	if cfg.Strategy != balancertest.DefaultStrategy && cfg.Strategy != balancertest.LeastConnections {
		return nil // not offered
	}
	s := subject{new(balancer.Balancer)}
	for _, n := range cfg.Nodes {
		if err := s.Join(n); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// subject adapts the balancer to the kit. It does not offer weights, because it has no
// method Weighted.
type subject struct{ *balancer.Balancer }

func (s subject) Pick(uint64) (balancertest.Pick, error) {
	n, err := s.Balancer.Pick()
	if err != nil {
		return nil, err
	}
	return pick{n}, nil
}

func (s subject) Join(n balancertest.Node) error { return s.Balancer.Join(n.Name) }
func (s subject) Down(name string) error         { return s.SetDown(name, true) }
func (s subject) Up(name string) error           { return s.SetDown(name, false) }
func (subject) NoNodes() error                   { return balancer.ErrNoNodes }

type pick struct{ node *balancer.Node }

func (p pick) Node() string { return p.node.Name }
func (p pick) Done()        { p.node.Done() }
