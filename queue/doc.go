// Package queue is a broker of many named queues that deliver each message at least
// once: in memory, or over a log that survives kill -9 and power failure.
//
//	b, err := queue.Open(queue.Options{Dir: "data"}) // no Dir: in memory
//	q, err := b.Declare("orders", queue.Config{Visibility: 30 * time.Second})
//	id, err := q.Publish(ctx, []byte("body"))
//	d, err := q.Receive(ctx)
//	err = d.Ack(ctx) // or d.Nack(delay), or d.Extend(visibility)
//
// A message that is received is leased to its consumer, and invisible to all others until
// the visibility time-out ends. Once it is acknowledged, it is gone. If it is refused (nack),
// or the time-out ends, it is delivered again, and the attempt is counted. After
// [Config.MaxAttempts] attempts it goes to the dead-letter queue instead. These are the terms
// of AMQP and Amazon SQS.
//
// # Order
//
// [Queue.Receive] returns the message with the lowest ID among those that are ready. A queue
// is therefore first in, first out. A message that comes back, at once or after a delay, takes
// its old place, before everything that was published after it. A dead letter gets a new ID,
// at the end of the dead-letter queue.
//
// # Promises
//
//   - If Publish returned nil, the message is delivered until it is acknowledged, or
//     MaxAttempts times and then as a dead letter, or until its queue is deleted.
//   - A message has one holder at a time. An Ack, Nack or Extend that comes after the message
//     was given to another consumer fails with [ErrLeaseEnded] and changes nothing. A call
//     that comes after the time-out, but before that, is accepted.
//   - With [Config.MaxLen] a queue holds at most that many messages, whether ready, delayed,
//     in flight or parked. Publish then waits in line or returns [ErrFull], as configured. If
//     a dead-letter queue has no room, a dead letter is parked in the queue that it comes from
//     until there is room. A parked message counts there, and is not delivered. Publishers
//     that wait for room in a dead-letter queue get it before parked messages do.
//   - Waiting receivers are served in the order in which they came, and so are waiting
//     publishers.
//   - [Broker.Drain] returns when everything was acknowledged. [Broker.Close] of a durable
//     broker keeps the remaining messages for the next Open. In memory, it returns
//     [ErrDiscarded] if there were any.
//   - A time-out or delay that ends in more than 292 years, such as the longest
//     time.Duration, never ends.
//   - [Broker.Delete] removes a queue and its messages. All callers that wait at the queue,
//     and later callers, get [ErrDeleted]. The leases of its messages end. A queue that
//     receives the dead letters of other queues cannot be deleted before them ([ErrInUse]).
//
// # Durable queues
//
// With [Options.Dir], every publish, delivery, acknowledgement and dead letter is a record in a
// log (package wal). Publish, Receive and Ack return once their record is on the disk; all
// callers that wait share one fdatasync. After a restart, even after SIGKILL, each queue that is
// declared again has every message that was confirmed and not acknowledged, in order. A message
// keeps its count of attempts. Leases and delays end with the process.
//
// A message whose attempts are used up moves to its dead-letter queue in one step, also across a
// crash. After a restart, a message that was confirmed, and that nobody tried to acknowledge, is
// in exactly one of its queue and the dead-letter queue. The call that made it a dead letter does not
// wait for the disk, so a restart may find it in its queue, with its attempts. It then becomes a
// dead letter as soon as the queue is declared, with a new ID, which may be the same as before. A
// Receive at the dead-letter queue returns once the move is on the disk, so a message that was
// received there never comes back to its former queue. If damage to the log destroys the record
// of the move, the message may be lost; see Recovery.
//
// On a full disk Publish returns [ErrNoSpace], and no message is lost. Receive, Ack, Nack and
// Delete continue in space that the log reserves for them, and dead letters wait. If that is used
// up too, these calls return ErrNoSpace and change nothing. Acknowledged messages free their
// space, and then Publish works again.
//
// Calls end with their context even if the disk does not respond. The exceptions are Nack,
// Extend, Stats and Declare, which do not wait for the disk, and Close, which does.
//
// A call that returned [ErrFailed], or the error of its context while it waited for the disk, may
// or may not have taken effect. After a failed write or fdatasync, every call returns ErrFailed
// until the broker is opened again.
//
// In memory or durable, a broker holds all waiting messages in memory; only Open reads the
// log. A background goroutine removes segments that are no longer needed, and copies the few
// messages that would keep many segments alive. It stops once that is done: the log is then at
// most about twice as large as the messages in it, plus four segments.
//
// # Cost
//
// An in-memory broker has no goroutine, and one runtime timer for each queue that has something
// leased or delayed. Publish, Receive and Ack are each a short critical section under the lock of
// their queue. They allocate nothing once the queue has grown to its size.
package queue
