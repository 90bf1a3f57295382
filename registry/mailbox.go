package registry

import "sync/atomic"

// mailbox is what there is of a name: the bound on its messages, and the
// handler. The messages themselves stand in the line of a lane; only those that
// arrive while the handler is held up are kept here, so that an idle name
// costs neither a goroutine nor a buffer.
type mailbox[M any] struct {
	handle  func(M)
	name    string
	pending atomic.Int32 // accepted and not yet handled
	busy    bool         // a worker is with it; under the lane's out lock
	backlog *backlog[M]  // what came meanwhile; under the lane's out lock
}

type backlog[M any] struct{ messages []M }

// reserve makes room for one message more, unless bound are pending.
func (m *mailbox[M]) reserve(bound int32) bool {
	for {
		n := m.pending.Load()
		if n >= bound {
			return false
		}
		if m.pending.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// postpone keeps a message for the worker that is with the mailbox.
func (m *mailbox[M]) postpone(message M) {
	if m.backlog == nil {
		m.backlog = new(backlog[M])
	}
	m.backlog.messages = append(m.backlog.messages, message)
}

// postponed returns the first message kept, if any.
func (m *mailbox[M]) postponed() (message M, ok bool) {
	if m.backlog == nil {
		return message, false
	}
	waiting := m.backlog.messages
	message, waiting[0] = waiting[0], message
	if m.backlog.messages = waiting[1:]; len(waiting) == 1 {
		m.backlog = nil
	}
	return message, true
}
