package museum

import (
	"errors"
	"sync"

	"tensile/stress/routertest"
)

// Errors of a router.
var (
	errUnknown = errors.New("unknown name")
	errTaken   = errors.New("name taken")
	errFull    = errors.New("mailbox full")
	errClosed  = errors.New("router closed")
)

// nameMap is a concurrent map of names.
type nameMap interface {
	// Add stores the box unless there is one, and tells whether it did.
	Add(name string, b *box) bool
	Get(name string) (*box, bool)
	Remove(name string) bool
}

// router is what the exhibits about routing share: it routes messages to names
// and leaves the part in question to a library. Each name has a list of messages, and a
// task while there is something in it.
type router struct {
	names  nameMap
	bound  int
	submit func(task func())

	mu     sync.RWMutex // against Close alone
	closed bool
	busy   sync.WaitGroup
}

// box is the mailbox of a name.
type box struct {
	handle  func(routertest.Message)
	mu      sync.Mutex
	waiting []routertest.Message
	pending int // waiting, and the one that is being handled
}

// newRouter returns a router that keeps its names in names and has its tasks done by
// submit, which returns before the task ends. nil stands for a sync.Map, and for
// a goroutine each.
func newRouter(cfg routertest.Config, names nameMap, submit func(task func())) *router {
	if names == nil {
		names = new(plainNames)
	}
	if submit == nil {
		submit = func(task func()) {
			go func() {
				defer func() { _ = recover() }() // a panic harms its own name only
				task()
			}()
		}
	}
	return &router{names: names, bound: cfg.Mailbox, submit: submit}
}

// Errors are those that the methods return.
func (*router) Errors() routertest.Errors {
	return routertest.Errors{Unknown: errUnknown, Taken: errTaken, Full: errFull, Closed: errClosed}
}

// Register has handle called with what is sent to name.
func (r *router) Register(name string, handle func(routertest.Message)) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return errClosed
	}
	if !r.names.Add(name, &box{handle: handle}) {
		return errTaken
	}
	return nil
}

// Unregister takes name out. What it holds is still handled.
func (r *router) Unregister(name string) error {
	if !r.names.Remove(name) {
		return errUnknown
	}
	return nil
}

// Send puts a message into the mailbox of name.
func (r *router) Send(name string, m routertest.Message) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return errClosed
	}
	b, known := r.names.Get(name)
	if !known {
		return errUnknown
	}
	b.mu.Lock()
	if b.pending == r.bound {
		b.mu.Unlock()
		return errFull
	}
	b.waiting = append(b.waiting, m)
	b.pending++
	first := b.pending == 1
	b.mu.Unlock()
	if first {
		r.busy.Add(1)
		r.submit(func() { r.serve(b) })
	}
	return nil
}

// inARow is how many messages of a name are handled before others have their turn.
const inARow = 64

// serve handles messages until there is none, or the turn is over. A handler that
// panics ends the task with its panic, which whoever does the task must isolate.
// The rest of the mailbox is another task.
func (r *router) serve(b *box) {
	defer r.busy.Done()
	for range inARow {
		b.mu.Lock()
		m := b.waiting[0]
		if b.waiting = b.waiting[1:]; len(b.waiting) == 0 {
			b.waiting = nil // an idle name keeps no buffer
		}
		b.mu.Unlock()
		if !r.handle(b, m) {
			return
		}
	}
	r.again(b)
}

// again has the rest of a mailbox served.
func (r *router) again(b *box) {
	r.busy.Add(1)
	go r.submit(func() { r.serve(b) })
}

// handle handles one message and tells whether the task goes on with another.
func (r *router) handle(b *box, m routertest.Message) (more bool) {
	panicked := true
	defer func() {
		b.mu.Lock()
		b.pending--
		more = b.pending > 0
		b.mu.Unlock()
		if panicked && more {
			r.again(b)
		}
	}()
	b.handle(m)
	panicked = false
	return
}

// Close returns when everything sent was handled.
func (r *router) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.busy.Wait()
	return nil
}

// plainNames is a sync.Map.
type plainNames struct{ m sync.Map }

func (n *plainNames) Add(name string, b *box) bool {
	_, taken := n.m.LoadOrStore(name, b)
	return !taken
}

func (n *plainNames) Get(name string) (*box, bool) {
	b, ok := n.m.Load(name)
	if !ok {
		return nil, false
	}
	return b.(*box), true
}

func (n *plainNames) Remove(name string) bool {
	_, was := n.m.LoadAndDelete(name)
	return was
}
