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
//     or as often as MaxAttempts says and then as a dead letter.
//   - It has one holder at a time: an Ack, Nack or Extend that comes after the
//     message was given to somebody else fails with [ErrLeaseEnded] and changes
//     nothing. One that comes late and before that is accepted.
//   - With [Config.MaxLen] a queue holds no more, whether ready, delayed or in
//     flight; Publish then waits in line or returns [ErrFull], as configured. Only dead
//     letters are let in beyond the bound, as they have nowhere else to go.
//   - Receivers that wait, and publishers that do, are served in the order in
//     which they came.
//   - [Broker.Drain] ends when everything was acknowledged. [Broker.Close] of a
//     durable broker keeps what is left for the next Open; one in memory returns
//     [ErrDiscarded] if it held anything.
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
// A call that returned [ErrFailed], or the error of its context while it waited
// for the disk, may have taken effect or not: after the next Open the message
// is there or it is not. After a failed write or fdatasync every call returns
// ErrFailed until the broker is opened again.
//
// Messages that wait are held in memory in either mode; the log is read only by Open.
// A goroutine of its own removes what the log needs no more, and copies the few
// messages that would keep many segments alive.
//
// # Cost
//
// In memory there is no goroutine, and one runtime timer for a queue that has
// something leased or delayed. Publish, Receive and Ack are a short critical
// section each under the lock of their queue, and allocate nothing once the queue
// has grown to its size.
package queue
