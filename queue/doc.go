// Package queue is a broker of many named queues that deliver each message at
// least once: in memory, or over a log that survives kill -9 and power failure.
//
//	b, err := queue.Open(queue.Options{Dir: "data"}) // no Dir: in memory
//	q, err := b.Declare("orders", queue.Config{Visibility: 30 * time.Second})
//	id, err := q.Publish(ctx, []byte("body"))
//	d, err := q.Receive(ctx)
//	err = d.Ack(ctx) // or d.Nack(delay), or d.Extend(visibility)
//
// A message that is received is leased to its consumer and invisible to all
// others until the visibility time-out ends. It is gone once it is acknowledged; where
// it is refused (nack) or the time-out ends it is delivered again, with its
// attempt counted. After [Config.MaxAttempts] attempts it goes to the
// dead-letter queue instead. The words are those of AMQP and Amazon SQS.
//
// # Order
//
// [Queue.Receive] always gives the message with the lowest ID among those that
// are ready. So a queue is first in, first out; and a message that comes back,
// at once or after its delay, comes back to its old place: before everything
// that was published after it. A dead letter gets a new ID, at the end of the
// dead-letter queue.
//
// # What it promises
//
//   - A message whose Publish returned nil is delivered until it is acknowledged,
//     or as often as MaxAttempts says and then as a dead letter, or its queue is
//     deleted.
//   - It has one holder at a time: an Ack, Nack or Extend that comes after the
//     message was given to somebody else fails with [ErrLeaseEnded] and changes
//     nothing. One that comes late and before that is accepted.
//   - With [Config.MaxLen] a queue holds no more, whether ready, delayed, in
//     flight or parked; Publish then waits in line or returns [ErrFull], as
//     configured. A dead letter for which its dead-letter queue has no room is parked
//     in the queue that it comes from until there is: it counts there, and is not
//     delivered. Publishers who wait at a dead-letter queue go first.
//   - Receivers that wait, and publishers that do, are served in the order in
//     which they came.
//   - [Broker.Drain] ends when everything was acknowledged. [Broker.Close] of a
//     durable broker keeps what is left for the next Open; one in memory returns
//     [ErrDiscarded] if it held anything.
//   - A time-out or delay that ends in more than 292 years, such as the longest
//     time.Duration, never ends.
//   - [Broker.Delete] removes a queue and its messages. All who wait at it and later
//     callers get [ErrDeleted]; leases end with it. A queue to which others give
//     their dead letters can not be deleted before them ([ErrInUse]).
//
// # Durable queues
//
// With [Options.Dir] every publish, delivery, acknowledgement and dead letter is
// a record in a log (package wal). Publish, Receive and Ack return when their record
// is on the disk; all that wait share one fdatasync. After a restart, also one
// after SIGKILL, each queue that is declared again has every message that was confirmed
// and not acknowledged, in order and with its attempts; nothing that was
// handed to a consumer counts as new. Leases and delays end with the process.
//
// A message that had its last attempt goes to its dead-letter queue in one step,
// over a crash too: after a restart a message that was confirmed and that nobody
// tried to acknowledge is in its queue or in the dead-letter queue, never in
// neither and never in both. As the call that made it a dead letter does not wait
// for the disk, the restart may find it in its queue, with its attempts; it is a
// dead letter then as soon as the queue is declared, with a new ID, maybe the
// same as before. It was in both, one after the other, only for those who saw it: a
// Receive at the dead-letter queue returns when its move is on the disk, so
// a message that was received there does not come back to the queue before. Damage
// to the log that takes the record of the move may take the message; see Recovery.
//
// On a full disk Publish returns [ErrNoSpace], and no message is lost. Receive, Ack,
// Nack and Delete go on in what the log keeps for them, and dead letters wait; where
// that is used up too they return ErrNoSpace and change nothing. The room of
// messages that were acknowledged is given back, and then Publish works again.
//
// Calls end with their context also where the disk does not answer, but for Nack,
// Extend, Stats and Declare, which do not wait for it, and Close, which does.
//
// A call that returned [ErrFailed], or the error of its context while it waited
// for the disk, may have taken effect or not: after the next Open the message
// is there or it is not. After a failed write or fdatasync every call returns
// ErrFailed until the broker is opened again.
//
// Messages that wait are held in memory in either mode; the log is read only by Open.
// A goroutine of its own removes what the log needs no more, and copies the few
// messages that would keep many segments alive. It comes to rest: the log is at
// most about twice as large as the messages in it and four segments.
//
// # Cost
//
// In memory there is no goroutine, and one runtime timer for a queue that has
// something leased or delayed. Publish, Receive and Ack are a short critical
// section each under the lock of their queue, and allocate nothing once the queue
// has grown to its size.
package queue
