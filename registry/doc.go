// Package registry routes messages to names.
//
// A [Registry] maps each name to a handler. [Registry.Send] puts a message into the
// mailbox of a name and returns. The handler is called with one message at a time, in
// order for each sender.
//
//	r, err := registry.New[string](registry.Config{})
//	err = r.Register("greeter", func(m string) { fmt.Println("hello", m) })
//	err = r.Send("greeter", "world")
//	err = r.Close() // waits until everything accepted was handled
//
// # Promises
//
//   - If Send returns nil, the handler is called with the message, exactly once, even if
//     the name is unregistered or the registry closed in the meantime. Otherwise the
//     message was refused.
//   - [ErrUnknown], [ErrTaken], [ErrFull] and [ErrClosed] are distinct, and carry the
//     name.
//   - A handler that panics or blocks affects only its own name.
//   - An idle name holds no goroutine and no buffer.
//
// # Implementation
//
// Many names share a lane, a queue of their messages. A lane has one worker while there
// are messages in it. If all workers of a lane have been stuck in handlers for a
// millisecond, the lane starts another.
package registry
