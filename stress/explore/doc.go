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
// It needs only "go test". [Test] builds the test binary again, with a runtime in
// which the package chooses the goroutine that runs next, and runs the test in that
// binary. Each call of the function is one schedule. It runs in a bubble of virtual
// time, as in [testing/synctest], and nothing that it creates may outlive it.
//
// # What fails a schedule
//
// A schedule fails if a [Run.Check] does not hold, or if goroutines are left over when
// the function has returned. It also fails on a panic, on a fatal error of the runtime
// such as concurrent map writes, on a deadlock, and, under the race detector, on a data
// race. A deadlock is proven: no goroutine can run. The report shows the interleaving in
// columns, shrunk to few preemptions, and a STRESS_SCHEDULE that repeats it exactly:
//
//	STRESS_SCHEDULE=plan:1:3.2.2 go test -run '^TestPoolExplored$' ./pool
//
// # Where goroutines are switched
//
// Goroutines are switched at locks, channels, select, wait groups, condition variables,
// timers, go statements, runtime.Gosched, and the methods of sync/atomic's types. With
// [Memory], they are also switched where the named packages read and write memory or
// call functions of sync/atomic. The function must not use real networks, files or
// processes: use net.Pipe and data in memory. A schedule does not repeat if it depends
// on maps whose keys are pointers, on addresses, or on what an earlier schedule left in
// package variables.
//
// # What a pass means
//
// A point is a place in a schedule at which another goroutine may be chosen. A pass
// prints the number of schedules, their points, and the bound of probabilistic
// concurrency testing (Burckhardt et al., ASPLOS 2010): with n goroutines and k points,
// one schedule of [PCT] finds a bug that needs d ordered steps with a probability of at
// least 1/(n*k^(d-1)).
//
// If the binary cannot be built (no go command, no source of the Go tree, a Go version
// whose runtime does not fit), the stock scheduler runs the function, in virtual time
// too. Only the order in which goroutines start is then varied. The printed result says
// so.
package explore
