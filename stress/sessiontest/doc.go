// Package sessiontest takes a session store, replicated or on a server that its
// nodes share, through a scenario: it shows that what was acknowledged is read,
// in an order that a single copy could have given, and that it survives nodes
// that are killed, stopped and cut off.
//
// # Subject
//
// A subject is a [Store], one node of several. Optional interfaces say more of it, and
// what is missing is "not offered" in the report:
//
//   - [Replicated]: the store makes up for the loss of a node
//   - [Shared]: the nodes keep nothing, and share a server that the kit does not see
//
// Each node is a child process, which runs the same test function again: what stands
// before the call of the kit is run there too.
//
// # Use
//
//	func TestStressSessions(t *testing.T) { sessiontest.TestStore(t, start) }
//
//	func start(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
//		return subject{mystore.Join(cfg.Name, cfg.Listen, cfg.Seeds)}
//	}
package sessiontest
