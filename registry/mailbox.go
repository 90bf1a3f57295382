package registry

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// mailbox holds what one name was sent and is not handled yet. While it is
// empty it has neither goroutine nor buffer: the first message borrows a
// buffer and puts the mailbox in line at its lane.
type mailbox[M any] struct {
	mu      sync.Mutex
	queue   *batch[M] // accepted and not yet taken for delivery; or nil
	next    *mailbox[M]
	handle  func(M)
	name    string
	pending atomic.Int32 // accepted and not yet handled
	running bool         // in line at its lane, or being delivered
	ended   bool         // nothing more is accepted
}

// batch is what gathers in a mailbox until it is delivered.
type batch[M any] struct{ messages []M }

// keptBatch is the capacity beyond which a batch is left to the garbage
// collector, so that one burst does not pin its memory for ever.
const keptBatch = 256

// put accepts message unless the mailbox is full or ended.
func (m *mailbox[M]) put(r *Registry[M], l *lane[M], message M) error {
	m.mu.Lock()
	if m.ended {
		m.mu.Unlock()
		return &nameError{ErrUnknown, m.name}
	}
	if int(m.pending.Load()) >= r.cfg.Mailbox {
		m.mu.Unlock()
		return &nameError{ErrFull, m.name}
	}
	m.pending.Add(1)
	if m.queue == nil {
		m.queue = r.batches.Get().(*batch[M])
	}
	m.queue.messages = append(m.queue.messages, message)
	if !m.running {
		m.running = true
		// Under the lock, so that Close, which takes it, finds either no
		// message or a lane that knows of it.
		l.push(r, m)
	}
	m.mu.Unlock()
	return nil
}

// deliver hands over what is in the mailbox now. If more has come meanwhile,
// the mailbox is put in line again, behind the others.
func (m *mailbox[M]) deliver(r *Registry[M], l *lane[M]) {
	m.mu.Lock()
	b := m.queue
	m.queue = nil
	m.mu.Unlock()

	next := 0
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if next < len(b.messages) {
			// A handler ended this goroutine with runtime.Goexit (which
			// testing.T.FailNow does): the rest stays first in the mailbox.
			b.messages = b.messages[next:]
			if m.queue != nil {
				b.messages = append(b.messages, m.queue.messages...)
			}
			m.queue = b
		} else {
			r.keep(b)
		}
		m.running = m.queue != nil
		if m.running {
			l.push(r, m)
		}
	}()
	for next < len(b.messages) {
		m.call(r, b.messages, &next)
	}
}

// call handles the messages from next on, until the last, or until the handler
// panics: next is then past the message that made it panic.
func (m *mailbox[M]) call(r *Registry[M], messages []M, next *int) {
	defer func() {
		if *next == len(messages) {
			return
		}
		value := recover() // nil after runtime.Goexit, which goes on regardless
		*next++
		m.pending.Add(-1)
		r.cfg.OnPanic(m.name, value, debug.Stack())
	}()
	for *next < len(messages) {
		m.handle(messages[*next])
		*next++
		m.pending.Add(-1)
	}
}

// keep makes b available to the next mailbox that gets a message.
func (r *Registry[M]) keep(b *batch[M]) {
	if cap(b.messages) > keptBatch {
		return
	}
	clear(b.messages)
	b.messages = b.messages[:0]
	r.batches.Put(b)
}

// end refuses whatever comes from now on.
func (m *mailbox[M]) end() {
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
}
