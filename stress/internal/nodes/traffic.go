package nodes

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/measure"
	"tensile/stress/node"
)

// traffic is what a node process sends and receives for the kit.
type traffic struct {
	self    string
	node    caller
	timeout time.Duration // of a call

	program program
	expects atomic.Pointer[expectation] // of the load that is on; nil for none
	calls   calls                       // that it has made

	mu   sync.Mutex
	held []func()         // replies that are held back
	odd  measure.Oddities // what it saw of messages that was wrong by itself
}

// caller is what calls are made with: the subject, or the control.
type caller interface {
	Call(to string, request []byte, done func(reply []byte, err error))
	Errors() node.Errors
}

// expectation is what is to arrive in a load: how often each message has.
type expectation struct {
	load    int
	arrived [256][]atomic.Uint32 // by the number of the sender
}

// replies are buffers for them.
var replies = sync.Pool{New: func() any { return new([]byte) }}

// handle is the handler of a node of the kit.
func (t *traffic) handle(from string, request []byte, answer func([]byte)) {
	id, flags, ok := payload.ReadRequest(request, 0)
	switch {
	case len(request) < payload.MinRequest: // of the phase that tries sizes
	case !ok:
		t.odd.Note(&t.odd.Corrupted, "%d bytes from %s arrived at %s that are no message of the kit", len(request), from,
			t.self)
	case id.To() != payload.NodeNumber(t.self) || id.From() != payload.NodeNumber(from):
		t.odd.Note(&t.odd.Misrouted, "%v arrived at %s, from %s", id, t.self, from)
	case id.Load() != 0:
		t.count(id)
	}
	if ok && flags&flagProgram != 0 {
		t.program.take(id, flags, request, answer)
		return
	}
	if answer == nil {
		return
	}
	buf := replies.Get().(*[]byte)
	*buf = append((*buf)[:0], request...)
	payload.Invert(*buf, request)
	if flags&payload.FlagHold != 0 && ok {
		t.mu.Lock()
		t.held = append(t.held, func() { answer(*buf); replies.Put(buf) })
		t.mu.Unlock()
		return
	}
	answer(*buf)
	replies.Put(buf)
}

func (t *traffic) count(id payload.RequestID) {
	if e := t.expects.Load(); e != nil && e.load == id.Load() {
		if arrived := e.arrived[id.From()]; id.Seq() < uint64(len(arrived)) {
			arrived[id.Seq()].Add(1)
			return
		}
	}
	t.odd.Note(&t.odd.Phantom, "%v arrived, which was not sent now", id)
}

// callOnce calls a member and checks the reply.
func (t *traffic) callOnce(to string, size int) error {
	request := make([]byte, size)
	id := payload.NewRequestID(0, payload.NodeNumber(t.self), payload.NodeNumber(to), 0)
	if size >= payload.MinRequest {
		payload.FillRequest(request, id, 0)
	}
	want := make([]byte, size)
	payload.Invert(want, request)
	ended := make(chan error, 1)
	go t.node.Call(to, request, func(got []byte, err error) {
		if err == nil && string(got) != string(want) {
			err = fmt.Errorf("the reply of %d bytes does not belong to the request of %d", len(got), len(want))
		}
		select {
		case ended <- err:
		default: // a second time; loads look for that
		}
	})
	late := time.NewTimer(t.callWithin())
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return errNeverEnded
	}
}

// callWithin bounds how long a call may take to end, with a reply or an error.
func (t *traffic) callWithin() time.Duration { return CallWithin(t.timeout) }

var errNeverEnded = errors.New("the call never ended, neither with a reply nor with an error")

// serve prepares for a load.
func (c *child) serve(o Order) (any, error) {
	t, e := c.loaded(o), &expectation{load: o.Load.ID}
	for _, from := range o.To {
		e.arrived[payload.NodeNumber(from)] = make([]atomic.Uint32, o.Load.Each)
	}
	t.odd.Take() // what was odd before has been told
	t.expects.Store(e)
	return nil, nil
}

// served answers what has arrived of the messages that each node has sent.
func (c *child) served(o Order) (any, error) {
	t := c.loaded(o)
	e := t.expects.Load()
	a := t.odd.Take()
	for _, from := range o.To {
		arrived := e.arrived[payload.NodeNumber(from)]
		for seq := range arrived[:min(o.Load.Sent[from], len(arrived))] {
			id := payload.NewRequestID(e.load, payload.NodeNumber(from), payload.NodeNumber(t.self), uint64(seq))
			switch n := arrived[seq].Load(); {
			case n == 1:
				a.Delivered++
			case n == 0:
				a.Lost++
				a.Examples = append(a.Examples, fmt.Sprintf("%v never arrived", id))
			default:
				a.Delivered++
				a.Duplicated += int(n) - 1
				a.Examples = append(a.Examples, fmt.Sprintf("%v arrived %d times", id, n))
			}
		}
	}
	a.Examples = a.Examples[:min(len(a.Examples), measure.MaxExamples)]
	return a, nil
}
