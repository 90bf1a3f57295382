// Package router routes messages to names, with a map.
package router

import (
	"errors"
	"sync"
)

// Errors of a Router.
var (
	ErrUnknown = errors.New("router: unknown name")
	ErrTaken   = errors.New("router: name is taken")
	ErrFull    = errors.New("router: mailbox is full")
	ErrClosed  = errors.New("router: closed")
)

// Router routes messages to names. It is safe for concurrent use.
type Router[M any] struct {
	bound int

	mu     sync.RWMutex
	names  map[string]*mailbox[M]
	closed bool
	busy   sync.WaitGroup // mailboxes that are being emptied
}

// New returns a router whose names hold up to bound messages each.
func New[M any](bound int) *Router[M] {
	return &Router[M]{bound: bound, names: make(map[string]*mailbox[M])}
}

// mailbox has a goroutine only while there are messages in it. A channel for each of
// 100,000 names would take its whole buffer from the start.
type mailbox[M any] struct {
	handle func(M)

	mu   sync.Mutex
	line []M
	held int // messages in line, and the one that is being handled
}

// Register calls handle with the messages that are sent to name, one at a time.
func (r *Router[M]) Register(name string, handle func(M)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return ErrClosed
	case r.names[name] != nil:
		return ErrTaken
	}
	r.names[name] = &mailbox[M]{handle: handle}
	return nil
}

// Unregister removes name. Messages that it has accepted are still handled.
func (r *Router[M]) Unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] == nil {
		return ErrUnknown
	}
	delete(r.names, name)
	return nil
}

// Send puts m in line for name.
func (r *Router[M]) Send(name string, m M) error {
	r.mu.RLock() // until m counts as busy, for Close
	defer r.mu.RUnlock()
	if r.closed {
		return ErrClosed
	}
	box := r.names[name]
	if box == nil {
		return ErrUnknown
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if box.held == r.bound {
		return ErrFull
	}
	box.line = append(box.line, m)
	if box.held++; box.held == 1 {
		r.busy.Go(box.empty)
	}
	return nil
}

// empty handles the messages in line, and ends when there are none.
func (b *mailbox[M]) empty() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.held > 0 {
		line := b.line
		b.line = nil // an idle name keeps no buffer
		for _, m := range line {
			b.mu.Unlock()
			b.isolated(m)
			b.mu.Lock()
			b.held--
		}
	}
}

// isolated keeps a panic of one handler from affecting other names.
func (b *mailbox[M]) isolated(m M) {
	defer func() { _ = recover() }()
	b.handle(m)
}

// Close refuses senders, and returns once every accepted message was handled.
func (r *Router[M]) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.busy.Wait()
	return nil
}
