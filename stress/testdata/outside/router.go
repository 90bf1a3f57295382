package outside

import (
	"errors"
	"sync"
)

// Errors of a Router.
var (
	ErrUnknown = errors.New("outside: unknown name")
	ErrTaken   = errors.New("outside: name taken")
	ErrFull    = errors.New("outside: mailbox full")
)

// Router has a list of messages for each name, and a goroutine while there is
// something in it.
type Router[M any] struct {
	bound   int
	mu      sync.RWMutex
	boxes   map[string]*box[M]
	closed  bool
	serving sync.WaitGroup
}

type box[M any] struct {
	handle  func(M)
	mu      sync.Mutex
	waiting []M
	pending int // waiting, and the one that is being handled
}

// NewRouter returns a router whose names hold that many messages.
func NewRouter[M any](bound int) *Router[M] {
	return &Router[M]{bound: bound, boxes: make(map[string]*box[M])}
}

// Register has handle called with what is sent to name.
func (r *Router[M]) Register(name string, handle func(M)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if _, taken := r.boxes[name]; taken {
		return ErrTaken
	}
	r.boxes[name] = &box[M]{handle: handle}
	return nil
}

// Unregister takes name out. What it holds is still handled.
func (r *Router[M]) Unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.boxes[name]; !known {
		return ErrUnknown
	}
	delete(r.boxes, name)
	return nil
}

// Send puts m into the mailbox of name.
func (r *Router[M]) Send(name string, m M) error {
	r.mu.RLock() // until m is counted: Close waits for what is
	defer r.mu.RUnlock()
	if r.closed {
		return ErrClosed
	}
	b, known := r.boxes[name]
	if !known {
		return ErrUnknown
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pending == r.bound {
		return ErrFull
	}
	b.waiting = append(b.waiting, m)
	if b.pending++; b.pending == 1 {
		r.serving.Go(b.serve)
	}
	return nil
}

// serve handles messages until there is none.
func (b *box[M]) serve() {
	for {
		b.mu.Lock()
		m := b.waiting[0]
		if b.waiting = b.waiting[1:]; len(b.waiting) == 0 {
			b.waiting = nil // an idle name keeps no buffer
		}
		b.mu.Unlock()
		isolate(b.handle, m)
		b.mu.Lock()
		b.pending--
		done := b.pending == 0
		b.mu.Unlock()
		if done {
			return
		}
	}
}

func isolate[M any](handle func(M), m M) {
	defer func() { _ = recover() }()
	handle(m)
}

// Close returns when everything sent was handled.
func (r *Router[M]) Close() error {
	r.mu.Lock()
	r.closed = true
	clear(r.boxes)
	r.mu.Unlock()
	r.serving.Wait()
	return nil
}
