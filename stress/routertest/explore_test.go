package routertest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/explore"
	"tensile/stress/internal/programs"
)

// TestExploredFaults plants a fault of each kind in a sound router.
func TestExploredFaults(t *testing.T) {
	programs.MustFind(t, map[string]string{
		"ends after its last look":                   "lost: ",
		"loses what waits at a panic":                "lost: ",
		"loses what waits at unregister":             "lost: ",
		"loses what comes after ten idle seconds":    "lost: ",
		"doubles a message":                          "duplicated: ",
		"takes the last first":                       "reordered: ",
		"gives to another name":                      "misrouted: ",
		"damages a message":                          "corrupted: ",
		"makes a message":                            "phantom: ",
		"delivers what it refuses":                   "phantom: ",
		"refuses what it has delivered":              "phantom: .* had come to",
		"two at work":                                "order: ",
		"one too many":                               "full: ",
		"loses room when it refuses":                 "full: ",
		"is full with the life before":               "full: ",
		"two have a name":                            "errors: |unregister: ",
		"removes by name":                            "errors: ",
		"says unknown after Close":                   "errors: ",
		"says closed where nobody is":                "errors: ",
		"says another error":                         "errors: ",
		"gives a new life what waits in the old one": "unregister: ",
		"handles under the lock of its name":         "handlers: |errors: .* has not returned",
		"holds up others":                            "fair: ",
		"does not isolate":                           panicValue,
		"does not outlast":                           "lost: ",
		"Close does not wait":                        "close: ",
		"Close waits for ever after a panic":         "close: ",
		"takes after Close":                          "close: ",
	}, func(t *testing.T, fault string) explore.Outcome {
		return vocabulary(openFaulty(fault)).Explored(t, 4000)
	})
}

// TestExploredManyNames: some names share what they should not.
func TestExploredManyNames(t *testing.T) {
	out := manyNames(openFaulty("holds up some")).Explored(t, 20)
	require.NotNil(t, out.Failure, "not found")
	assert.Contains(t, out.Failure.Sentence, "fair: ", "%v", out)
	assert.Nil(t, manyNames(openFaulty("")).Explored(t, 20).Failure)
}

// Without a fault the router is sound, and the programs reach what they are made of.
func TestExploredCoverage(t *testing.T) {
	v := vocabulary(openFaulty(""))
	out := v.Explored(t, 12_000)
	require.Nil(t, out.Failure, "%v", out)
	c := v.Coverage(out.Counts)
	assert.GreaterOrEqual(t, c.Tried, c.All*19/20, "%v", c)
	for _, criterion := range []string{"order", "full", "close"} {
		assert.Positive(t, c.Promises[criterion], criterion)
	}
}

// TestExploredControl: what the kit itself is made of is sound.
func TestExploredControl(t *testing.T) {
	out := vocabulary(openControl).Explored(t, 2000)
	assert.Nil(t, out.Failure, "%v", out)
}

func openFaulty(fault string) func(testing.TB, Config) Router {
	return func(_ testing.TB, cfg Config) Router {
		return &faultyRouter{fault: fault, bound: cfg.Mailbox, names: make(map[string]*faultyBox),
			before: make(map[string]*faultyBox)}
	}
}

// faultyRouter is a router that is sound, but for the fault that it is told to have.
type faultyRouter struct {
	fault string
	bound int

	mu     sync.Mutex
	names  map[string]*faultyBox
	before map[string]*faultyBox // lives that are over
	closed bool
	busy   sync.WaitGroup
	shared [4]sync.Mutex // held beside handlers, by some faults
}

type faultyBox struct {
	name    string
	handle  func(Message)
	held    int // in line, and in hand
	line    []Message
	workers int // goroutines that are at work
	idle    time.Time
	refused int
	at      sync.Mutex // work, by one fault
}

func (*faultyRouter) Outlasts() {}

func (*faultyRouter) Errors() Errors { return Errors{errUnknown, errTaken, errFull, errClosed} }

func (r *faultyRouter) Register(name string, handle func(Message)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &faultyBox{name: name, handle: handle, idle: time.Now()}
	switch {
	case r.closed:
		return errClosed
	case r.names[name] != nil:
		return errTaken
	}
	if r.fault == "two have a name" {
		r.mu.Unlock()
		time.Sleep(time.Microsecond) // and does not look again
		r.mu.Lock()
	}
	if last := r.before[name]; last != nil && r.fault == "gives a new life what waits in the old one" {
		b.line, b.held, last.line = last.line, len(last.line), nil
		last.held -= b.held
		r.start(b)
	}
	r.names[name] = b
	return nil
}

func (r *faultyRouter) Unregister(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.names[name]
	if b == nil {
		return errUnknown
	}
	delete(r.names, name)
	r.before[name] = b
	switch r.fault {
	case "removes by name":
		r.mu.Unlock()
		time.Sleep(time.Microsecond)
		r.mu.Lock()
		delete(r.names, name)
	case "loses what waits at unregister":
		b.held -= len(b.line)
		b.line = nil
	}
	return nil
}

func (r *faultyRouter) Send(name string, m Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.names[name]
	if b != nil && r.fault == "handles under the lock of its name" {
		r.mu.Unlock()
		b.at.Lock()
		defer b.at.Unlock()
		r.mu.Lock()
	}
	switch {
	case r.closed && r.fault == "takes after Close":
		return nil
	case r.closed && r.fault == "says unknown after Close":
		return errUnknown
	case r.closed:
		return errClosed
	case b == nil && r.fault == "says closed where nobody is":
		return errClosed
	case b == nil && r.fault == "says another error":
		return errors.New("nobody is there")
	case b == nil:
		return errUnknown
	}
	bound := r.bound - b.refused
	if r.fault == "one too many" {
		bound += 2
	}
	held := b.held
	if last := r.before[name]; last != nil && r.fault == "is full with the life before" {
		held += last.held
	}
	if held >= bound {
		switch r.fault {
		case "loses room when it refuses":
			b.refused++
		case "delivers what it refuses":
			b.line = append(b.line, m)
		}
		return errFull
	}
	if other := r.names["b"]; r.fault == "gives to another name" && other != nil {
		b = other
	}
	switch {
	case r.fault == "refuses what it has delivered" && b.workers == 0 && m.ID%4 == 3:
		b.workers++
		r.mu.Unlock()
		b.handle(m)
		r.mu.Lock()
		if b.workers--; len(b.line) > 0 {
			r.start(b)
		}
		return errFull
	case r.fault == "damages a message" && held > 0:
		m.Sum++
	case r.fault == "makes a message" && held > 0:
		b.line = append(b.line, message(m.ID+1<<20))
	case r.fault == "loses what comes after ten idle seconds" && b.workers == 0 && time.Since(b.idle) == 10*time.Second:
		return nil
	}
	b.line = append(b.line, m)
	if b.held++; r.fault == "doubles a message" && b.held == r.bound {
		b.line = append(b.line, m)
		b.held++
	}
	r.start(b)
	return nil
}

// start has somebody at work on a box; the lock is held.
func (r *faultyRouter) start(b *faultyBox) {
	if b.workers == 0 || r.fault == "two at work" && b.workers == 1 && len(b.line) > 1 {
		b.workers++
		r.busy.Go(func() { r.work(b) })
	}
}

func (r *faultyRouter) work(b *faultyBox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(b.line) > 0 {
		at := 0
		if r.fault == "takes the last first" {
			at = len(b.line) - 1
		}
		m := b.line[at]
		b.line = slices.Delete(b.line, at, at+1)
		r.mu.Unlock()
		how := r.calls(b, m)
		r.mu.Lock()
		b.held--
		switch {
		case how == exited && r.fault == "does not outlast":
			return
		case how == panicked && r.fault == "loses what waits at a panic":
			b.held -= len(b.line)
			b.line = nil
		case how == panicked && r.fault == "Close waits for ever after a panic":
			r.busy.Add(1)
		}
	}
	if r.fault == "ends after its last look" {
		r.mu.Unlock()
		time.Sleep(time.Microsecond)
		r.mu.Lock()
	}
	b.workers--
	b.idle = time.Now()
}

// outcome is how a handler ended.
type outcome int

const (
	returned outcome = iota
	panicked
	exited
)

// calls calls a handler in a goroutine of its own, which it may end.
func (r *faultyRouter) calls(b *faultyBox, m Message) outcome {
	var shared *sync.Mutex
	switch r.fault {
	case "handles under the lock of its name":
		shared = &b.at
	case "holds up others":
		shared = &r.shared[0]
	case "holds up some":
		shared = &r.shared[int(b.name[len(b.name)-1])%len(r.shared)]
	}
	if shared != nil {
		shared.Lock()
		defer shared.Unlock()
	}
	ended := make(chan outcome, 1)
	go func() {
		how := exited
		defer func() {
			if r.fault != "does not isolate" && recover() != nil {
				how = panicked
			}
			ended <- how
		}()
		b.handle(m)
		how = returned
	}()
	return <-ended
}

func (r *faultyRouter) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if r.fault != "Close does not wait" {
		r.busy.Wait()
	}
	return nil
}
