// Package transporttest takes calls between nodes, each in a process of its own,
// through a scenario: it shows that every call ends once, with its own reply or
// an error that says why, that calls keep their deadlines, and that a peer that
// is slow, dead or hostile harms no other.
//
// # Subject
//
// A subject is a [node.Node], the same that package clustertest takes. At most
// Config.Window bytes may be on the way to one member: beyond that Call waits, or gives
// the error for that at once.
//
// Each node is a child process, which runs the same test function again: what stands
// before the call of the kit is run there too.
//
// # Use
//
//	func TestStressTransport(t *testing.T) { transporttest.TestTransport(t, start) }
//
//	func start(tb testing.TB, cfg node.Config) (node.Node, error) {
//		return mycluster.Start(cfg.Name, cfg.Bind, cfg.Seeds)
//	}
package transporttest
