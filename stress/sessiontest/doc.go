// Package sessiontest tests a session store whose nodes replicate sessions or share a
// server. It checks that operations are linearizable, and that acknowledged writes
// survive while nodes are killed, stopped and cut off.
//
// # Subject
//
// A subject implements [Store], which is one node of several. Optional interfaces declare more
// about it. For those that it does not implement, the report says "not offered":
//
//   - [Replicated]: the store repairs the loss of a node
//   - [Shared]: the nodes keep nothing themselves, and share a server that the kit does not see
//
// Each node is a child process that runs the same test function again, so code before the
// call of the kit runs there too.
//
// # Use
//
//	func TestStressSessions(t *testing.T) { sessiontest.TestStore(t, start) }
//
//	func start(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
//		return subject{mystore.Join(cfg.Name, cfg.Listen, cfg.Seeds)}
//	}
package sessiontest
