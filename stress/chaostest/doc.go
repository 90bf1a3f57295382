// Package chaostest tests engines that inject faults, supervised workers, and nodes
// behind links that can be cut. It checks that every fault takes effect and is
// undone, that workers that die or hang are replaced and lose nothing that they
// accepted, and that nodes recover.
//
// # Subject
//
// [Subjects] has up to four of these. For those that are missing, the report says "not
// offered":
//
//   - an [Engine], which plans faults and carries plans out
//   - [Workers] under supervision, or [Watched] ones, which are also replaced if they hang
//   - nodes of a cluster, each a [node.Node]
//   - [Links] between the nodes, which also need an Engine
//
// Each node is a child process that runs the same test function again, so code before the
// call of the kit runs there too.
//
// # Use
//
//	func TestStressChaos(t *testing.T) {
//		chaostest.TestChaos(t, chaostest.Subjects{Workers: openWorkers})
//	}
//
//	func openWorkers(tb testing.TB, cfg chaostest.WorkersConfig) chaostest.Workers {
//		return subject{mysupervisor.New(cfg.Workers, cfg.Start)}
//	}
package chaostest
