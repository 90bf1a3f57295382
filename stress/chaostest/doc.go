// Package chaostest takes an engine that injects faults, supervised workers, and
// nodes behind links that can be cut through a scenario: it shows that every
// fault strikes and is undone, that workers that die or hang are replaced and
// lose nothing that they took, and that nodes recover from both.
//
// # Subject
//
// [Subjects] has up to four, and what is missing is "not offered" in the report:
//
//   - an [Engine] that plans faults and carries plans out
//   - [Workers] under supervision, or [Watched] ones, of which those that hang are replaced
//   - nodes of a cluster, each a [node.Node]
//   - [Links] between the nodes, which also take an Engine
//
// Each node is a child process, which runs the same test function again: what stands
// before the call of the kit is run there too.
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
