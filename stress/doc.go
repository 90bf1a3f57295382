// Package stress takes an implementation through a scenario at 100,000 in
// flight and says precisely what broke.
//
// Each kit is a package, with one function for a test and one for a benchmark
// over an interface as small as the scenario needs:
//
//   - clustertest: nodes that form a cluster
//   - pooltest: a pool of connections
//   - routertest: a router of messages to names
//   - queuetest: a message broker, in memory or on disk
//   - conntest: a server that holds connections
//   - balancertest: a balancer
//   - sessiontest: a session store
//   - transporttest: calls between nodes
//   - chaostest: an engine that injects faults, supervised workers, and nodes under both
//
// A test calls the kit and nothing else:
//
//	func TestStressPool(t *testing.T) {
//		pooltest.TestPool(t, func(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
//			return newMyPool(cfg.Size, cfg.Dial)
//		})
//	}
//
// A kit asks the world and not the subject: it hands the subject the function
// that dials or the handler that receives, and counts there. Subtests come in the order in
// which they explain most: correctness at small contention, then the burst,
// the steady run, faults, and the audit of what was left behind. A subject
// that lacks an ability leaves out the optional interface for it; the report
// then says "not offered".
//
// # Settings
//
// STRESS_SCALE is N (100000, or 10000 with -short), STRESS_SEED repeats a run,
// STRESS_OUT is the folder of the report (out beside go.mod), STRESS_RATE and
// STRESS_ARRIVALS shape the steady run, STRESS_HOLD is for how long connections
// are held (10s, or 1s with -short). An unknown STRESS_ variable or a bad
// value fails before any load.
//
// Kits of one process must not run in parallel: each counts the goroutines,
// descriptors and processes it leaves behind.
package stress
