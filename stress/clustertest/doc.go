// Package clustertest tests nodes that form a cluster, each in a process of its own.
// It checks that nodes find one another, that all member lists become the same, and
// that a node that fails is detected while a live one is not accused, even if the
// network or the machine is bad.
//
// # Subject
//
// A subject implements [node.Node]. Its Errors must be distinct: with errors.Is, the kit
// tells a wrong secret from a name or an address in use. The subject dials with Config.Dial
// and asks Config.MaySend before each datagram, because there the kit damages the network.
//
// Each node is a child process that runs the same test function again, so code before the
// call of the kit runs there too.
//
// A node may lack parts: see [node.Errors] and Leave of [node.Node]. The criteria of those
// are then "not offered".
//
// # Programs
//
// Beside the phases that try one thing each, programs drawn from the seed have nodes die,
// hang, be cut off, leave and return, several at the same instant, in a cluster of their
// own. What is wrong with the cluster at rest, and stays so, is red; docs/criteria.md has
// the whole vocabulary and what is judged.
//
// # Use
//
//	func TestStressCluster(t *testing.T) { clustertest.TestCluster(t, start) }
//
//	func start(tb testing.TB, cfg node.Config) (node.Node, error) {
//		return mycluster.Start(cfg.Name, cfg.Bind, cfg.Seeds)
//	}
package clustertest
