// Package queuetest tests a message broker, in memory or on disk. It checks that every
// message whose Publish succeeded is delivered, at least once and in order, that a
// message that cannot be handled becomes a dead letter, and that a broker on disk loses
// nothing when it is killed.
//
// # Subject
//
// A subject implements [Broker]. Optional interfaces declare what else it can do. For those
// that it does not implement, the report says "not offered":
//
//   - [DeadLetter]: a message is delivered at most Config.MaxAttempts times
//   - [Bounded]: a queue holds at most Config.MaxLen messages
//   - [Batching]: one call carries several messages
//   - [DelayedDelivery]: a message can be refused for a while
//   - [Durable]: what was confirmed is on the disk, in Config.Dir
//   - [Recovering]: a durable broker reports what it could not read
//
// A durable broker is opened in child processes that run the same test function again, so
// code before the call of the kit runs there too.
//
// # Use
//
//	func TestStressQueue(t *testing.T) { queuetest.TestBroker(t, open) }
//
//	func open(tb testing.TB, cfg queuetest.Config) queuetest.Broker {
//		return subject{mybroker.New(cfg.Queues, cfg.Visibility)}
//	}
package queuetest
