// Package explore runs a test under thousands of schedules of its goroutines, each
// controlled and repeatable, with the stock toolchain:
//
//	func TestPoolExplored(t *testing.T) {
//		explore.Test(t, func(e *explore.Run) { // called once a schedule
//			p := newMyPool(2)
//			e.Go("a", func() { use(p) })
//			e.Go("b", func() { use(p) })
//			e.Wait()
//			e.Check(p.Idle() == 2, "a connection is missing: idle %d", p.Idle())
//		})
//	}
//
// "go test" is all it takes. [Test] builds the test binary once more, with a
// runtime whose scheduler can be told which goroutine runs next, and runs the
// test in that binary. Each call of the function is one schedule: it runs in a
// bubble of virtual time, as in [testing/synctest], and what it makes must not
// outlive it.
//
// # What fails a schedule
//
// A [Run.Check] that does not hold, a panic, a fatal error of the runtime such as
// concurrent writes to a map, a deadlock (nobody can run, by proof and not by
// time-out), goroutines that are left over when the function has returned, and,
// under the race detector, a data race. The report has the interleaving in columns,
// shrunk to few preemptions, and a STRESS_SCHEDULE that repeats it exactly:
//
//	STRESS_SCHEDULE=plan:1:3.2.2 go test -run '^TestPoolExplored$' ./pool
//
// # Where goroutines are switched
//
// At locks, channels, select, wait groups, condition variables, timers, go,
// runtime.Gosched and the operations of sync/atomic's types. With [Memory], also at
// plain reads and writes, and at sync/atomic's functions, of the packages named.
// The function must not use real networks, files, or processes: use net.Pipe and
// what is in memory. A schedule does not repeat that depends on maps whose keys are
// pointers, on addresses, or on what an earlier schedule left in package variables.
//
// # What a pass means
//
// The line of a pass has the schedules run, their points, and the bound of
// probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): a bug that
// takes d ordered steps among n goroutines and k points is found by one schedule
// of [PCT] with a probability of at least 1/(n*k^(d-1)).
//
// Where the binary can not be built (no go command, no source of the Go tree, a Go
// version whose runtime does not fit), the stock scheduler runs the function in the
// same virtual time with perturbation, and the line says so.
package explore
