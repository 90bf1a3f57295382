// Package transporttest tests calls between nodes, each in a process of its own. It
// checks that every call ends once, with its own reply or an error that says why, that
// calls keep their deadlines, and that a peer that is slow, dead or hostile affects no
// other peer.
//
// # Subject
//
// A subject implements [node.Node], the same interface that package clustertest uses. At most
// Config.Window bytes may be in flight to one member. Beyond that, Call waits or returns the
// Overloaded error at once.
//
// Each node is a child process that runs the same test function again, so code before the
// call of the kit runs there too.
//
// # Use
//
//	func TestStressTransport(t *testing.T) { transporttest.TestTransport(t, start) }
//
//	func start(tb testing.TB, cfg node.Config) (node.Node, error) {
//		return mycluster.Start(cfg.Name, cfg.Bind, cfg.Seeds)
//	}
package transporttest
