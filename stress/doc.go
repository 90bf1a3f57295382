// Package stress tests whether an implementation stays correct with 100,000
// operations in flight, and reports precisely what broke.
//
// There are nine kits, one for each scenario. Each is a package with a test function and a
// benchmark function, over an interface as small as the scenario needs:
//
//   - clustertest: nodes that form a cluster
//   - pooltest: a pool of connections
//   - routertest: a router of messages to names
//   - queuetest: a message broker, in memory or on disk
//   - conntest: a server that holds connections
//   - balancertest: a balancer
//   - sessiontest: a session store
//   - transporttest: calls between nodes
//   - chaostest: an engine that injects faults, supervised workers, and nodes
//
// A test calls the kit and does nothing else:
//
//	func TestStressPool(t *testing.T) {
//		pooltest.TestPool(t, func(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
//			return newMyPool(cfg.Size, cfg.Dial)
//		})
//	}
//
// A kit passes the subject, which is the implementation under test, a dial function or a
// handler, and counts connections or messages there. It does not rely on what the subject
// reports about itself. Subtests go from simple to hard: correctness with few operations, then
// the burst, the steady run, faults, and the audit of what was left behind. An ability that
// some subjects lack is an optional interface; if the subject does not implement it, the
// report says "not offered".
//
// # Settings
//
// STRESS_SCALE is N (100000, or 10000 with -short), STRESS_SEED repeats a run, and STRESS_OUT is
// the folder for the report (out beside go.mod). STRESS_RATE and STRESS_ARRIVALS shape the steady
// run. STRESS_HOLD is how long connections are held (10s, or 1s with -short). The README lists all
// settings. A bad value fails before any load, and so does a STRESS_ variable that looks like a
// misspelling of one of them.
//
// Kits in one process must not run in parallel, because each counts the goroutines,
// descriptors and processes that are left behind.
package stress
