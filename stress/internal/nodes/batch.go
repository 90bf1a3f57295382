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

// Batch are calls that a program has one node make to another, and what is done with
// them there.
type Batch struct {
	ID       int           `json:"id"` // unlike that of any other, from 1 to MostBatches
	Calls    int           `json:"calls"`
	Size     int           `json:"size"` // bytes of each request, payload.MinRequest or more
	Answer   Answer        `json:"answer,omitempty"`
	Later    time.Duration `json:"later,omitempty"`     // of AnswerLater
	Frees    int           `json:"frees,omitempty"`     // the batch whose replies are given once all of this has arrived
	InFlight int           `json:"in_flight,omitempty"` // at most, at once; 0 for no bound
	OneWay   bool          `json:"one_way,omitempty"`
}

// MostBatches and mostCalls are what fits into the number of a message.
const (
	MostBatches = 1<<16 - 1
	mostCalls   = 1 << 24
)

// Answer is what a handler does with a call.
type Answer int

// The ways in which a call is answered.
const (
	AtOnce      Answer = iota
	Elsewhere          // at once, from another goroutine
	AnswerLater        // after a while, from another goroutine
	Held               // when the program says so
	Twice              // at once, and once more when the program says so
	Never
)

// BatchState is how far a batch has come, where it is made.
type BatchState struct {
	Begun    int           // calls for which Call, or Send, was called
	Returned int           // calls for which it has returned
	Ended    int           // calls, by their first end
	Answered int           // calls that ended with their reply; messages that were taken
	NoRoom   int           // calls that ended with the error for that
	Failed   int           // calls that ended with another error
	First    string        // the first such error
	Early    time.Duration // least that it took until one failed so
	Slowest  time.Duration // most that it took until one ended
	Oldest   time.Duration // age of the oldest call that has not ended
	Inside   time.Duration // how long Call, or Send, has not returned

	// What must not be, and an example of each.
	Twice, Misrouted, Corrupted int
	Examples                    []string
}

// batch is a Batch under way.
type batch struct {
	Batch
	t    *traffic
	node node.Node
	to   string
	room chan struct{} // nil for no bound
	from time.Time     // the times below are since then, in ns

	begun, returned    atomic.Int64
	beganAt            []atomic.Int64
	ends               []atomic.Uint32
	answered, noRoom   atomic.Int64
	failed, ended      atomic.Int64
	first              atomic.Pointer[string]
	early, slowest     atomic.Int64
	twice              atomic.Int64
	odd                measure.Oddities
	told               sync.Mutex
	misrouted, damaged int
	examples           []string
}

func (b *batch) id(i int) payload.RequestID {
	return payload.NewRequestID(0, payload.NodeNumber(b.t.self), payload.NodeNumber(b.to), uint64(b.ID)<<24|uint64(i))
}

// make begins a batch. It does not wait for it.
func (c *child) make(o Order) (any, error) {
	b := &batch{Batch: *o.Batch, t: &c.traffic, node: c.subject, to: o.To[0], from: time.Now(),
		beganAt: make([]atomic.Int64, o.Batch.Calls), ends: make([]atomic.Uint32, o.Batch.Calls)}
	if b.ID < 1 || b.ID > MostBatches || b.Calls > mostCalls || b.Size < payload.MinRequest {
		return nil, fmt.Errorf("no such batch can be made: %+v", b.Batch)
	}
	if b.InFlight > 0 {
		b.room = make(chan struct{}, b.InFlight)
	}
	c.traffic.program.add(b)
	go b.run()
	return nil, nil
}

func (b *batch) run() {
	request := make([]byte, b.Size)
	flags := script(b.Batch)
	for i := range b.Calls {
		if b.room != nil {
			b.room <- struct{}{}
		}
		payload.FillRequest(request, b.id(i), flags)
		b.beganAt[i].Store(int64(time.Since(b.from)))
		b.begun.Add(1)
		if b.OneWay {
			b.end(i, nil, b.node.Send(b.to, request))
		} else {
			b.node.Call(b.to, request, func(got []byte, err error) { b.end(i, got, err) })
		}
		b.returned.Add(1)
	}
}

// end takes in how a call has ended.
func (b *batch) end(i int, got []byte, err error) {
	if b.ends[i].Add(1) > 1 {
		b.odd.Note(&b.twice, "%s ended twice", b.name(i))
		return
	}
	took := int64(time.Since(b.from)) - b.beganAt[i].Load()
	raise(&b.slowest, took)
	switch {
	case err == nil && b.OneWay:
		b.answered.Add(1)
	case err == nil:
		b.check(i, got)
	case errors.Is(err, b.node.Errors().Overloaded) && b.node.Errors().Overloaded != nil:
		b.noRoom.Add(1)
	default:
		text := err.Error()
		b.first.CompareAndSwap(nil, &text)
		b.soonest(max(took, 1))
		b.failed.Add(1)
	}
	b.ended.Add(1)
	if b.room != nil {
		<-b.room
	}
}

// soonest keeps the least time until a call failed.
func (b *batch) soonest(took int64) {
	for now := b.early.Load(); now == 0 || took < now; now = b.early.Load() {
		if b.early.CompareAndSwap(now, took) {
			return
		}
	}
}

// check takes in a reply.
func (b *batch) check(i int, got []byte) {
	switch id, _, ok := payload.ReadRequest(got, payload.Inverted); {
	case !ok:
		b.odd.Note(&b.odd.Corrupted, "the reply to %s is %d bytes that are no reply to any", b.name(i), len(got))
	case id != b.id(i):
		b.odd.Note(&b.odd.Misrouted, "%s was given the reply to %s", b.name(i), callName(id))
	case len(got) != b.Size:
		b.odd.Note(&b.odd.Corrupted, "the reply to %s has %d bytes, and not %d", b.name(i), len(got), b.Size)
	default:
		b.answered.Add(1)
	}
}

func (b *batch) name(i int) string { return callName(b.id(i)) }

// callName is how a program speaks of a call.
func callName(id payload.RequestID) string {
	return fmt.Sprintf("call %d.%d of node-%d to node-%d", id.Seq()>>24, id.Seq()&(mostCalls-1), id.From(), id.To())
}

// state is how far the batch has come.
func (b *batch) state() BatchState {
	now := int64(time.Since(b.from))
	s := BatchState{Returned: int(b.returned.Load()), Ended: int(b.ended.Load()), Answered: int(b.answered.Load()),
		NoRoom: int(b.noRoom.Load()), Failed: int(b.failed.Load()), Early: time.Duration(b.early.Load()),
		Slowest: time.Duration(b.slowest.Load()), Twice: int(b.twice.Load())}
	s.Begun = int(b.begun.Load()) // after those that have ended
	if text := b.first.Load(); text != nil {
		s.First = *text
	}
	for i := range s.Begun {
		if b.ends[i].Load() == 0 {
			s.Oldest = time.Duration(now - b.beganAt[i].Load())
			break
		}
	}
	if s.Begun > s.Returned {
		s.Inside = time.Duration(now - b.beganAt[s.Begun-1].Load())
	}
	b.told.Lock()
	defer b.told.Unlock()
	a := b.odd.Take() // what was told once is told again
	b.misrouted, b.damaged = b.misrouted+a.Misrouted, b.damaged+a.Corrupted
	b.examples = append(b.examples, a.Examples...)
	b.examples = b.examples[:min(len(b.examples), measure.MaxExamples)]
	s.Misrouted, s.Corrupted, s.Examples = b.misrouted, b.damaged, b.examples
	return s
}
