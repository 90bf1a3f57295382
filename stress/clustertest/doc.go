// Package clustertest tests nodes that form a cluster, each in a process of its own.
// It checks that nodes find one another, that all member lists become the same, and
// that a node that fails is detected while a live one is not accused, even if links
// are cut or the machine is busy.
//
// # Subject
//
// A subject implements [node.Node]. Its Errors must be distinct: with errors.Is, the kit
// tells a wrong secret from a name or an address in use. The subject dials with
// Config.Dial, if it can, and calls Config.MaySend before it sends a datagram. The kit
// injects network faults in these functions.
//
// Each node is a child process that runs the same test function again, so code before the
// call of the kit runs there too.
//
// A node may lack some abilities: see [node.Errors], and Leave of [node.Node]. Their
// criteria are then "not offered".
//
// # Programs
//
// Most phases try one kind of fault. The phase "programs" combines them: in random programs
// drawn from the seed, nodes of a separate cluster die, hang, are cut off, leave and
// return, several at the same instant. Then the kit waits until the cluster is at rest. A
// member list or a call that is still wrong then fails the program. docs/criteria.md lists
// the operations and what is judged.
//
// # Use
//
//	func TestStressCluster(t *testing.T) { clustertest.TestCluster(t, start) }
//
//	func start(tb testing.TB, cfg node.Config) (node.Node, error) {
//		return mycluster.Start(cfg.Name, cfg.Bind, cfg.Seeds)
//	}
package clustertest
