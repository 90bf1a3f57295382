// Package balancertest takes a balancer through a scenario: it shows that each
// strategy gives a node its share, up to a bound, that keys stay where they are
// when a node comes or goes, and that nobody is sent to a node that is down.
//
// # Subject
//
// A subject is a [Balancer]. open returns nil for a [Strategy] that is not offered; there
// must be one for DefaultStrategy. A balancer that honours weights is a [Weighted].
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
