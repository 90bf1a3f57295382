// Package balancertest tests a balancer. It checks that each strategy gives every
// node its share, within a bound, that keys keep their nodes when a node joins or
// leaves, and that no pick returns a node that is down.
//
// # Subject
//
// A subject implements [Balancer]. For a [Strategy] that it lacks, open returns nil; it
// must not do so for DefaultStrategy. A balancer that honours weights implements [Weighted].
//
// # Use
//
//	func TestStressBalancer(t *testing.T) { balancertest.TestBalancer(t, open) }
//
//	func open(tb testing.TB, cfg balancertest.Config) balancertest.Balancer {
//		if cfg.Strategy != balancertest.DefaultStrategy {
//			return nil // not offered
//		}
//		return subject{mybalancer.New(cfg.Nodes)}
//	}
package balancertest
