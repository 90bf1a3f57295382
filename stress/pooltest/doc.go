// Package pooltest takes a pool of connections through a scenario: it shows
// that the pool never holds more than it may, serves those who wait in order,
// replaces connections that break, and gives back everything it opened.
//
// First it explores the pool by programs of all operations, and of what dials,
// connections, contexts and time may do, under controlled schedules in virtual time:
// docs/criteria.md says what is drawn and what is judged. A program that breaks a
// promise is printed with the command that repeats it.
//
// # Subject
//
// A subject is a [Pool]. It opens its connections by Config.Dial, where the kit counts
// what is open. Optional interfaces say what else it can do, and what is missing is "not
// offered" in the report:
//
//   - [Bounded]: callers that may wait have a bound
//   - [Limited]: idle time, lifetime and health checks
//   - [Unordered]: waiters may be served in any order
//   - [EchoLease]: connections that speak a protocol of their own, to a server that is
//     dialled by Config.DialTo
//
// # Use
//
//	func TestStressPool(t *testing.T) { pooltest.TestPool(t, open) }
//
//	func open(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
//		return subject{mypool.New(cfg.Size, cfg.Dial)}
//	}
package pooltest
