// Package registry routes messages to names.
//
// A [Registry] maps each name to a handler. [Registry.Send] puts a message into
// the mailbox of a name and returns; the handler is called with one message
// after the other, in order for each sender.
//
//	r, err := registry.New[string](registry.Config{})
//	err = r.Register("greeter", func(m string) { fmt.Println("hello", m) })
//	err = r.Send("greeter", "world")
//	err = r.Close() // waits until everything accepted was handled
//
// # What it promises
//
//   - A nil error of Send means that the handler is called with the message,
//     exactly once, also where the name is unregistered or the registry closed
//     meanwhile. Any other message was refused.
//   - [ErrUnknown], [ErrTaken], [ErrFull] and [ErrClosed] are distinct, and
//     carry the name.
//   - A handler that panics or blocks harms its own name only.
//   - An idle name holds no goroutine and no buffer.
//
// # How
//
// The messages of many names stand in the line of a lane, with one worker while
// there is something in it. Where all workers of a lane are stuck in handlers
// for a millisecond, others are sent past them.
package registry
