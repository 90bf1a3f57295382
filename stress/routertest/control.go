package routertest

import (
	"errors"
	"sync"
	"testing"
)

// control is the router beside which the subject is judged: a map of mailboxes,
// each a slice under a lock, with a goroutine for as long as there is anything in it.
type control struct {
	mailbox int
	mu      sync.RWMutex
	names   map[string]*controlName
	closed  bool
	working sync.WaitGroup
}

type controlName struct {
	mu      sync.Mutex
	handle  func(Message)
	pending []Message
	at      int   // of the first that was not handled
	busy    bool  // a goroutine is at it
	gone    error // what Send returns once nothing more is taken
}

var (
	errUnknown = errors.New("control: unknown name")
	errTaken   = errors.New("control: name taken")
	errFull    = errors.New("control: mailbox full")
	errClosed  = errors.New("control: closed")
)

func openControl(_ testing.TB, cfg Config) Router {
	return &control{mailbox: cfg.Mailbox, names: make(map[string]*controlName)}
}

func (r *control) Errors() Errors { return Errors{errUnknown, errTaken, errFull, errClosed} }

func (r *control) Register(name string, handle func(Message)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	if r.names[name] != nil {
		return errTaken
	}
	r.names[name] = &controlName{handle: handle}
	return nil
}

func (r *control) Unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errClosed
	}
	n := r.names[name]
	if n == nil {
		return errUnknown
	}
	delete(r.names, name)
	n.mu.Lock()
	n.gone = errUnknown
	n.mu.Unlock()
	return nil
}

func (r *control) Send(name string, m Message) error {
	r.mu.RLock()
	n, closed := r.names[name], r.closed
	r.mu.RUnlock()
	if closed {
		return errClosed
	}
	if n == nil {
		return errUnknown
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.gone != nil:
		return n.gone
	case len(n.pending)-n.at == r.mailbox:
		return errFull
	}
	n.pending = append(n.pending, m)
	if !n.busy {
		n.busy = true
		r.working.Add(1)
		go r.work(n)
	}
	return nil
}

// work handles what is there for a name.
func (r *control) work(n *controlName) {
	defer r.working.Done()
	for {
		n.mu.Lock()
		if n.at == len(n.pending) {
			n.pending, n.at, n.busy = n.pending[:0], 0, false
			n.mu.Unlock()
			return
		}
		m := n.pending[n.at]
		n.at++
		n.mu.Unlock()
		n.call(m)
	}
}

func (n *controlName) call(m Message) {
	defer func() { _ = recover() }() // the message was delivered
	n.handle(m)
}

func (r *control) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return errClosed
	}
	r.closed = true
	for _, n := range r.names {
		n.mu.Lock()
		n.gone = errClosed
		n.mu.Unlock()
	}
	r.mu.Unlock()
	r.working.Wait()
	return nil
}
