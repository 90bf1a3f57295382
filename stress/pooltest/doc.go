// Package pooltest tests a pool of connections. It checks that the pool never holds
// more connections than its size, serves waiters in order, replaces connections that
// break, and closes everything that it opened.
//
// Before it offers any load, the kit explores the pool. It draws random programs, which
// are sequences of operations and of events around the pool, such as a dial that fails,
// a connection that dies or a context that ends. It runs them under controlled schedules
// in virtual time. If a program breaks a promise, the kit prints the program with a
// command that repeats it. docs/criteria.md lists what is drawn and how it is judged.
//
// # Subject
//
// A subject implements [Pool]. It opens connections with Config.Dial, where the kit counts
// them. Optional interfaces declare what else it can do. For those that it does not implement,
// the report says "not offered":
//
//   - [Bounded]: the number of waiters is limited
//   - [Limited]: idle time, lifetime and health checks
//   - [Unordered]: waiters may be served in any order
//   - [EchoLease]: connections speak a protocol of their own, to a server that is dialled with
//     Config.DialTo
//
// # Use
//
//	func TestStressPool(t *testing.T) { pooltest.TestPool(t, open) }
//
//	func open(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
//		return subject{mypool.New(cfg.Size, cfg.Dial)}
//	}
package pooltest
