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
// # Use
//
//	func TestStressCluster(t *testing.T) { clustertest.TestCluster(t, start) }
//
//	func start(tb testing.TB, cfg node.Config) (node.Node, error) {
//		return mycluster.Start(cfg.Name, cfg.Bind, cfg.Seeds)
//	}
package clustertest
