package stress_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/routertest"
)

// TestSneakyRouters: faults that strike seldom, or only in a certain state, each
// planted in a small router that is sound otherwise.
func TestSneakyRouters(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyRouter", []fault{
		{"sneaky: loses the first message of a name", "lost"},
		{"sneaky: loses the 1,000th message of a name", "lost"},
		{"sneaky: loses the 1,500th name", "lost"},
		{"sneaky: loses what comes while the last is handled", "lost"},
		{"sneaky: doubles when the mailbox is nearly full", "duplicated"},
		{"sneaky: swaps where the mailbox wraps round", "reordered"},
		{"sneaky: swaps when the mailbox is half full", "reordered"},
		{"sneaky: takes one when full and drops it", "lost"},
		{"sneaky: delivers one that it refused as full", "was refused and arrived all the same"},
		{"sneaky: gives one in 100,000 to another name", "misrouted"},
		{"sneaky: damages one in 100,000", "corrupted"},
		{"sneaky: calls a handler twice at once beside a long mailbox", "while it was at work on another message"},
		{"sneaky: lets two give up a name", "of 8 that unregistered one name at the same time succeeded"},
		{"sneaky: a registration that was refused takes the name", "a handler was called whose name was taken"},
		{"sneaky: says taken by another error", "Register of a taken name gave"},
		{"sneaky: says closed where nobody is", "Send to an unknown name gave"},
		{"sneaky: takes what comes to a name that is gone", "Send to a name that was unregistered gave <nil>"},
		{"sneaky: gives a new life what waited in the old one", "their name had before, or got later"},
		{"sneaky: sends to the life before", "their name had before, or got later"},
		{"sneaky: loses the last that waits at unregister", "neither delivered nor refused"},
		{"sneaky: is full beside a full name", "while the mailbox of one name was full, Send to another name gave"},
		{"sneaky: takes during Close what it drops", "messages that were taken had not been delivered"},
		{"sneaky: takes after Close", "Send after Close gave <nil>"},
		{"sneaky: loses what comes after idling", "after idling"},
		{"sneaky: keeps names that are gone", "each name that was registered and unregistered leaves"},
		{"sneaky: keeps messages that were handled", "each message that was handled leaves"},
		{"sneaky: leaves a goroutine at each panic", "left behind"},
		{"sneaky: leaves a goroutine for each router", "left behind"},
	})
	mustBeCaught(t, "TestFaultyRouter$/^names", []fault{
		{"sneaky: lets two have a name", "of 8 registrations of one name at the same time succeeded"},
	})
	mustBeCaught(t, "TestFaultyRouter$/^close", []fault{
		{"sneaky: Close returns before the last message", "Close returned while 400 messages had not been delivered"},
		{"sneaky: Close drops all but one that wait", "messages that were taken had not been delivered"},
	})
}

func TestSneakyRoutersThatNeverAnswer(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaughtWaiting(t, "TestFaultyRouter", []fault{
		{"sneaky: loses room at each refusal", "it has lost room"},
		{"sneaky: Send waits when full", "Send to a name whose handler is held has not returned"},
		{"sneaky: handles under a lock", "has not returned"},
		{"sneaky: handles under the lock of the name", "has not returned"},
		{"sneaky: registers under a lock that handlers hold", "Register or Send after Unregister has not returned"},
		{"sneaky: Unregister waits until no handler is at work", "came to a stop"},
		{"sneaky: stops after ten panics", "handlers had panicked"},
		{"sneaky: Close waits for a handler that panicked", "Close has not returned"},
		{"sneaky: serves who is not busy last", "got nothing for"},
		{"sneaky: Close forgets to return beside senders", "Close has not returned"},
	})
}

// TestSneakyRouterWithoutFault: it is the fault that is caught, and not the
// router.
func TestSneakyRouterWithoutFault(t *testing.T) { mustPass(t, "TestFaultyRouter", sneaky+"sound") }

var errSneakyRouter = routertest.Errors{
	Unknown: errors.New("nobody of that name"), Taken: errors.New("somebody has that name"),
	Full: errors.New("mailbox full"), Closed: errors.New("router closed"),
}

// sneakyRouter is a plain router: a map of names under one lock, and a slice of
// messages for each, which a goroutine delivers while there are any.
type sneakyRouter struct {
	fault   string
	mailbox int

	mu     sync.RWMutex // held for writing by what changes names
	names  map[string]*sneakyBox
	before map[string]*sneakyBox // lives that are over
	closed bool
	full   atomic.Int32 // names that are
	sends  atomic.Int64

	delivering             sync.WaitGroup
	handling               sync.Mutex
	panics, refused, boxes atomic.Int64
	working                atomic.Int64
	late                   []*sneakyBox // of those that are served last
	busy                   int
	kept                   []any
	keeping                sync.Mutex
}

type sneakyBox struct {
	handle func(routertest.Message)

	mu      sync.Mutex
	waiting []routertest.Message
	running int // goroutines that deliver
	lost    int // of the room
	taken   int
	idle    time.Time // since when
	full    bool
	deaf    bool
	gone    bool
	at      sync.Mutex // work on a message
}

func newSneakyRouter(cfg routertest.Config) routertest.Router {
	r := &sneakyRouter{fault: strings.TrimPrefix(planted, sneaky), mailbox: cfg.Mailbox,
		names: make(map[string]*sneakyBox), before: make(map[string]*sneakyBox)}
	if r.fault == "leaves a goroutine for each router" {
		go func() { select {} }()
	}
	return r
}

func (r *sneakyRouter) Errors() routertest.Errors { return errSneakyRouter }

func (r *sneakyRouter) Register(name string, handle func(routertest.Message)) error {
	if r.fault == "registers under a lock that handlers hold" {
		r.handling.Lock()
		defer r.handling.Unlock()
	}
	if r.fault == "lets two have a name" {
		r.mu.RLock()
		free := r.names[name] == nil
		r.mu.RUnlock()
		if free {
			time.Sleep(time.Microsecond)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.names[name] = &sneakyBox{handle: handle, idle: time.Now()}
			return nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	box := &sneakyBox{handle: handle, idle: time.Now()}
	old := r.names[name]
	switch {
	case r.closed:
		return errSneakyRouter.Closed
	case old != nil && r.fault == "a registration that was refused takes the name":
		old.handle = handle
		return errSneakyRouter.Taken
	case old != nil && r.fault == "says taken by another error":
		return errors.New("somebody has that name")
	case old != nil:
		return errSneakyRouter.Taken
	}
	box.deaf = r.boxes.Add(1)%1500 == 0 && r.fault == "loses the 1,500th name"
	if last := r.before[name]; last != nil && r.fault == "gives a new life what waited in the old one" {
		last.mu.Lock()
		box.waiting, last.waiting = last.waiting, nil
		last.mu.Unlock()
		if len(box.waiting) > 0 {
			r.start(box)
		}
	}
	if r.fault == "keeps names that are gone" {
		r.kept = append(r.kept, box)
	}
	r.names[name] = box
	return nil
}

func (r *sneakyRouter) Unregister(name string) error {
	if r.fault == "lets two give up a name" {
		r.mu.RLock()
		known := r.names[name] != nil
		r.mu.RUnlock()
		if known {
			time.Sleep(time.Microsecond)
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.names, name)
			return nil
		}
	}
	for r.fault == "Unregister waits until no handler is at work" && r.working.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	box := r.names[name]
	if box == nil {
		return errSneakyRouter.Unknown
	}
	switch r.fault {
	case "takes what comes to a name that is gone":
		box.mu.Lock()
		box.gone = true
		box.mu.Unlock()
		r.before[name] = box
	case "gives a new life what waited in the old one", "sends to the life before":
		r.before[name] = box
	case "loses the last that waits at unregister":
		box.mu.Lock()
		if n := len(box.waiting); n > 50 {
			box.waiting = box.waiting[:n-1]
		}
		box.mu.Unlock()
	}
	delete(r.names, name)
	return nil
}

func (r *sneakyRouter) Send(name string, m routertest.Message) error {
	if r.fault == "handles under a lock" {
		r.handling.Lock()
		defer r.handling.Unlock()
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := r.sends.Add(1)
	box := r.names[name]
	switch {
	case r.closed && r.fault == "takes during Close what it drops":
		if r.busy == 0 { // it is still closing
			return nil
		}
	case r.closed && r.fault == "takes after Close":
		return nil
	case box == nil && r.fault == "takes what comes to a name that is gone" && r.before[name] != nil:
		return nil
	case box == nil && r.fault == "says closed where nobody is":
		return errSneakyRouter.Closed
	}
	if r.closed {
		return errSneakyRouter.Closed
	}
	if box == nil {
		return errSneakyRouter.Unknown
	}
	if last := r.before[name]; last != nil && r.fault == "sends to the life before" && n%100 == 0 {
		box = last
	}
	if n%100_000 == 0 {
		switch r.fault {
		case "gives one in 100,000 to another name":
			for _, other := range r.names {
				if other != box {
					box = other
					break
				}
			}
		case "damages one in 100,000":
			m.Sum++
		}
	}
	return r.put(box, m)
}

// put puts a message into a mailbox. The lock is held for reading.
func (r *sneakyRouter) put(box *sneakyBox, m routertest.Message) error {
	if r.fault == "handles under the lock of the name" {
		box.at.Lock()
		defer box.at.Unlock()
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	for r.fault == "Send waits when full" && len(box.waiting) >= r.mailbox {
		box.mu.Unlock()
		time.Sleep(time.Millisecond)
		box.mu.Lock()
	}
	held := len(box.waiting)
	if r.fault == "is full beside a full name" && r.full.Load() > 0 && !box.full {
		return errSneakyRouter.Full
	}
	if held >= r.mailbox-box.lost {
		switch refused := r.refused.Add(1); r.fault {
		case "loses room at each refusal":
			box.lost++
		case "is full beside a full name":
			if !box.full {
				box.full = true
				r.full.Add(1)
			}
		case "takes one when full and drops it":
			if refused%50 == 0 {
				return nil
			}
		case "delivers one that it refused as full":
			if refused%50 == 0 {
				box.waiting = append(box.waiting, m)
			}
		}
		return errSneakyRouter.Full
	}
	box.taken++
	lose := false
	switch r.fault {
	case "loses the first message of a name":
		lose = box.taken == 1
	case "loses the 1,000th message of a name":
		lose = box.taken == 1000
	case "loses the 1,500th name":
		lose = box.deaf
	case "loses what comes while the last is handled":
		lose = box.running > 0 && held == 0
	case "loses what comes after idling":
		lose = box.running == 0 && time.Since(box.idle) > 100*time.Millisecond && box.taken > 1 && len(r.names) > 500
	}
	if lose {
		return nil
	}
	box.waiting = append(box.waiting, m)
	swap := false
	switch r.fault {
	case "doubles when the mailbox is nearly full":
		if held == r.mailbox-2 {
			box.waiting = append(box.waiting, m)
		}
	case "swaps where the mailbox wraps round":
		swap = box.taken%r.mailbox == 0
	case "swaps when the mailbox is half full":
		swap = held == r.mailbox/2
	case "keeps messages that were handled":
		r.keeping.Lock()
		r.kept = append(r.kept, m)
		r.keeping.Unlock()
	}
	if swap && held > 0 {
		box.waiting[held], box.waiting[held-1] = box.waiting[held-1], box.waiting[held]
	}
	if box.running == 0 || box.running == 1 && held > 50 &&
		r.fault == "calls a handler twice at once beside a long mailbox" {
		r.start(box)
	}
	return nil
}

// start has a mailbox delivered.
func (r *sneakyRouter) start(box *sneakyBox) {
	box.running++
	r.delivering.Add(1)
	if r.fault == "serves who is not busy last" {
		r.handling.Lock()
		defer r.handling.Unlock()
		if r.busy > 0 {
			r.late = append(r.late, box)
			return
		}
		r.busy++
	}
	go r.deliver(box)
}

func (r *sneakyRouter) deliver(box *sneakyBox) {
	defer r.delivering.Done()
	for {
		box.mu.Lock()
		if len(box.waiting) == 0 {
			box.running--
			box.idle = time.Now()
			if box.full {
				box.full = false
				r.full.Add(-1)
			}
			box.mu.Unlock()
			break
		}
		m := box.waiting[0]
		box.waiting = slices.Delete(box.waiting, 0, 1)
		box.mu.Unlock()
		if r.fault == "stops after ten panics" && r.panics.Load() >= 10 {
			continue
		}
		r.call(box, m)
	}
	if r.fault == "serves who is not busy last" {
		r.handling.Lock()
		defer r.handling.Unlock()
		r.busy--
		if len(r.late) > 0 && r.busy == 0 {
			next := r.late[0]
			r.late = r.late[1:]
			r.busy++
			go r.deliver(next)
		}
	}
}

func (r *sneakyRouter) call(box *sneakyBox, m routertest.Message) {
	defer func() {
		if recover() == nil {
			return
		}
		r.panics.Add(1)
		switch r.fault {
		case "leaves a goroutine at each panic":
			go func() { select {} }()
		case "Close waits for a handler that panicked":
			r.delivering.Add(1)
		}
	}()
	switch r.fault {
	case "handles under a lock", "registers under a lock that handlers hold":
		r.handling.Lock()
		defer r.handling.Unlock()
	case "handles under the lock of the name":
		box.at.Lock()
		defer box.at.Unlock()
	}
	r.working.Add(1)
	defer r.working.Add(-1)
	box.handle(m)
}

func (r *sneakyRouter) Close() error {
	r.mu.Lock()
	r.closed = true
	waiting := 0
	for _, box := range r.names {
		box.mu.Lock()
		if r.fault == "Close drops all but one that wait" && len(box.waiting) > 1 {
			box.waiting = box.waiting[:1]
		}
		waiting += len(box.waiting)
		box.mu.Unlock()
	}
	r.mu.Unlock()
	switch {
	case r.fault == "Close returns before the last message":
		return nil
	case r.fault == "Close forgets to return beside senders" && waiting > 0:
		select {}
	}
	r.delivering.Wait()
	if r.fault == "takes during Close what it drops" {
		r.mu.Lock()
		r.busy = 1
		r.mu.Unlock()
	}
	return nil
}
