// Package queuetest takes a message broker, in memory or on disk, through a
// scenario: it shows that every message that was acknowledged is delivered, at
// least once and in order, that what cannot be handled becomes a dead letter,
// and that a broker on disk loses nothing when it is killed.
//
// # Subject
//
// A subject is a [Broker]. Optional interfaces say what else it can do, and what is
// missing is "not offered" in the report:
//
//   - [DeadLetter]: a message is delivered Config.MaxAttempts times at most
//   - [Bounded]: a queue holds Config.MaxLen messages at most
//   - [Batching]: several messages in one call
//   - [DelayedDelivery]: a message can be refused for a while
//   - [Durable]: what was confirmed is on the disk, in Config.Dir
//   - [Recovering]: a durable broker tells what it could not read
//
// A durable broker is opened in child processes, which run the same test function again:
// what stands before the call of the kit is run there too.
//
// # Use
//
//	func TestStressQueue(t *testing.T) { queuetest.TestBroker(t, open) }
//
//	func open(tb testing.TB, cfg queuetest.Config) queuetest.Broker {
//		return subject{mybroker.New(cfg.Queues, cfg.Visibility)}
//	}
package queuetest
