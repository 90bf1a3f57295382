package stress_test

import (
	"testing"

	"tensile/cluster/balance"
	"tensile/stress/balancertest"
)

func TestStressBalancer(t *testing.T) { balancertest.TestBalancer(t, openBalancer) }

func BenchmarkBalancer(b *testing.B) { balancertest.BenchmarkBalancer(b, openBalancer) }

// subjectBalancer is package balance behind the interface of the kit.
type subjectBalancer struct{ *balance.Balancer }

var balanceStrategies = map[balancertest.Strategy]balance.Strategy{
	balancertest.RoundRobin:         balance.RoundRobin,
	balancertest.LeastConnections:   balance.LeastConnections,
	balancertest.PowerOfTwoChoices:  balance.PowerOfTwo,
	balancertest.RendezvousHashing:  balance.Rendezvous,
	balancertest.BoundedLoadHashing: balance.BoundedLoad,
}

func openBalancer(tb testing.TB, cfg balancertest.Config) balancertest.Balancer {
	own := balance.Config{Strategy: balanceStrategies[cfg.Strategy], Load: cfg.Load} // the zero value is the default
	for _, n := range cfg.Nodes {
		own.Nodes = append(own.Nodes, balance.Node(n))
	}
	b, err := balance.New(own)
	if err != nil {
		tb.Fatal(err)
	}
	return subjectBalancer{b}
}

func (s subjectBalancer) Pick(key uint64) (balancertest.Pick, error) {
	p, err := s.Balancer.Pick(key)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s subjectBalancer) Join(n balancertest.Node) error { return s.Balancer.Join(balance.Node(n)) }
func (s subjectBalancer) NoNodes() error                 { return balance.ErrNoNodes }
func (s subjectBalancer) Weighted()                      {}
