// Package clustertest takes nodes that form a cluster, each in a process of its
// own, through a scenario: it shows that they find one another, that all lists
// of members become the same, that a node that fails is noticed and one that
// lives is not accused, also where the network or the machine is bad.
//
// # Subject
//
// A subject is a [node.Node]. Its Errors must be distinct, as the kit tells a wrong
// secret from a name or an address that is taken by errors.Is. It dials by Config.Dial
// and asks Config.MaySend before each datagram: there the kit damages the network.
//
// Each node is a child process, which runs the same test function again: what stands
// before the call of the kit is run there too.
//
// # Use
//
//	func TestStressCluster(t *testing.T) { clustertest.TestCluster(t, start) }
//
//	func start(tb testing.TB, cfg node.Config) (node.Node, error) {
//		return mycluster.Start(cfg.Name, cfg.Bind, cfg.Seeds)
//	}
package clustertest
