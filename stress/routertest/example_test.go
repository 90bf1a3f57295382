package routertest_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"tensile/stress/routertest"
)

// mapRouter has a mailbox for each name.
type mapRouter struct {
	bound int

	mu     sync.Mutex
	names  map[string]*mailbox
	closed bool
	busy   sync.WaitGroup // mailboxes that are being emptied
}

// mailbox has a goroutine only while there is something in it.
type mailbox struct {
	handle func(routertest.Message)
	line   []routertest.Message
	held   int // in line, and the one that is being handled
}

var failures = routertest.Errors{
	Unknown: errors.New("unknown name"), Taken: errors.New("name is taken"),
	Full: errors.New("mailbox is full"), Closed: errors.New("router is closed"),
}

func (r *mapRouter) Errors() routertest.Errors { return failures }

func (r *mapRouter) Register(name string, handle func(routertest.Message)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return failures.Closed
	case r.names[name] != nil:
		return failures.Taken
	}
	r.names[name] = &mailbox{handle: handle}
	return nil
}

func (r *mapRouter) Unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] == nil {
		return failures.Unknown
	}
	delete(r.names, name) // what the mailbox has taken is still handled
	return nil
}

func (r *mapRouter) Send(name string, m routertest.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	box := r.names[name]
	switch {
	case r.closed:
		return failures.Closed
	case box == nil:
		return failures.Unknown
	case box.held == r.bound:
		return failures.Full
	}
	box.line = append(box.line, m)
	if box.held++; box.held == 1 {
		r.busy.Go(func() { r.empty(box) })
	}
	return nil
}

// empty handles what is in line, and ends when nothing is.
func (r *mapRouter) empty(box *mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for box.held > 0 {
		line := box.line
		box.line = nil
		for _, m := range line {
			r.mu.Unlock()
			isolated(box.handle, m)
			r.mu.Lock()
			box.held--
		}
	}
}

// isolated keeps the panic of a handler from all others.
func isolated(handle func(routertest.Message), m routertest.Message) {
	defer func() { _ = recover() }()
	handle(m)
}

func (r *mapRouter) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.busy.Wait()
	return nil
}

func open(_ testing.TB, cfg routertest.Config) routertest.Router {
	return &mapRouter{bound: cfg.Mailbox, names: make(map[string]*mailbox)}
}

// In a file of tests, this is the function TestStressRouter.
func testStressRouter(t *testing.T) { routertest.TestRouter(t, open) }

// A router made of a map, and the test that takes it through the scenario. The kit calls open and
// the router as here, with many senders at once.
func Example() {
	_ = testStressRouter
	r := open(nil, routertest.Config{Mailbox: 8})
	handle := func(m routertest.Message) { fmt.Println("handled message", m.ID) }
	fmt.Println("registered:", r.Register("a", handle))
	fmt.Println("sent:", r.Send("a", routertest.Message{ID: 1}))
	fmt.Println("sent to nobody:", r.Send("b", routertest.Message{ID: 2}))
	fmt.Println("closed:", r.Close()) // once all messages are handled
	// Unordered output:
	// registered: <nil>
	// sent: <nil>
	// handled message 1
	// sent to nobody: unknown name
	// closed: <nil>
}
