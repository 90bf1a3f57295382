package nodes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/load"
	"tensile/stress/measure"
)

// Load is a load that one node process offers, or its part of one.
type Load struct {
	ID       int           `json:"id"` // unique, from 1 to 255; messages of load 0 are not counted where they arrive
	At       int64         `json:"at"` // when it begins, in ns of the wall clock, which all processes share
	Size     int           `json:"size"`
	Each     int           `json:"each"` // messages to each member
	InFlight int           `json:"in_flight,omitempty"`
	Hold     bool          `json:"hold,omitempty"`
	Rate     float64       `json:"rate,omitempty"`
	Arrivals load.Arrivals `json:"arrivals,omitempty"`
	Seed     uint64        `json:"seed,omitempty"`
	For      time.Duration `json:"for,omitempty"`
	Bound    int           `json:"bound,omitempty"` // bytes in flight beyond which the subject has no bound
	// Sent is how many messages each node has sent to the node that is asked what has
	// arrived.
	Sent map[string]int `json:"sent,omitempty"`
}

// Result is the outcome of the calls of one node.
type Result struct {
	Account measure.Account // of replies; Refused are calls that ended with an error
	Late    int             // of those, calls whose time was up
	First   string          // the first error
	Sent    map[string]int  // messages that were numbered, by member
	Peak    int             // most in flight
	Began   int64           // by the wall clock
	Ended   int64
	Open    load.Open // of an open load
	Samples []byte    // of an open load, as a Recorder exports them
}

// calls keeps the account of all calls of a node process.
type calls struct {
	load.InFlight
}

// callSet keeps the account of the calls of one load.
type callSet struct {
	t       *traffic
	load    Load
	flags   uint64
	members []calledMember
	waits   bool // Call waits for room, so it must not be called where other calls wait

	delivered, failed, duplicated atomic.Int64
	late                          atomic.Int64 // of those that failed
	odd                           measure.Oddities
	first                         atomic.Pointer[error]
	flight                        load.InFlight
}

type calledMember struct {
	name  string
	next  atomic.Int64    // number of the next message
	ended []atomic.Uint32 // how often each call has
}

func newCallSet(t *traffic, l Load, to []string) *callSet {
	c := &callSet{t: t, load: l, members: make([]calledMember, len(to)), waits: t.node.Errors().Overloaded == nil}
	if l.Hold {
		c.flags |= payload.FlagHold
	}
	for i, name := range to {
		c.members[i].name, c.members[i].ended = name, make([]atomic.Uint32, l.Each)
	}
	return c
}

func (c *callSet) overloaded(err error) bool {
	return !c.waits && errors.Is(err, c.t.node.Errors().Overloaded)
}

// call is a call in flight.
type call struct {
	c       *callSet
	member  *calledMember
	seq     uint64
	current atomic.Uint64 // id of the request + 1; 0 while nothing is in flight
	began   time.Time
	request []byte
}

func (k *call) id() payload.RequestID {
	return payload.NewRequestID(k.c.load.ID, payload.NodeNumber(k.c.t.self), payload.NodeNumber(k.member.name), k.seq)
}

// send makes the call with the number in seq. done is passed to Call.
func (k *call) send(done func([]byte, error)) {
	id := k.id()
	payload.FillRequest(k.request, id, k.c.flags)
	k.began = time.Now()
	k.current.Store(uint64(id) + 1)
	k.c.flight.Start()
	k.c.t.calls.Start()
	k.c.t.node.Call(k.member.name, k.request, done)
}

// ends records how a call has ended, and reports whether it has. It has not if this is a
// repeated reply to an earlier call, or if there was no room for it.
func (k *call) ends(got []byte, err error) (ended, refused bool) {
	c, now := k.c, k.current.Load()
	var id payload.RequestID
	var odd func()
	if err == nil {
		var ok bool
		id, _, ok = payload.ReadRequest(got, payload.Inverted)
		switch {
		case !ok:
			odd = func() {
				c.odd.Note(&c.odd.Corrupted, "the reply to %v is %d bytes that are no reply to any", k.id(), len(got))
			}
		case uint64(id)+1 == now:
		case c.hasEnded(id):
			c.twice("the reply to %v came again", id)
			return false, false
		default:
			odd = func() { c.odd.Note(&c.odd.Misrouted, "the caller of %v was given the reply to %v", k.id(), id) }
		}
	}
	if now == 0 || !k.current.CompareAndSwap(now, 0) {
		c.twice("%v was answered twice", k.id())
		return false, false
	}
	c.flight.End()
	c.t.calls.End()
	switch {
	case c.overloaded(err):
		return false, true
	case err != nil:
		c.failed.Add(1)
		if time.Since(k.began) >= c.t.timeout*lateShare/100 {
			c.late.Add(1)
		}
		c.first.CompareAndSwap(nil, &err)
	case odd != nil:
		odd()
	default:
		c.delivered.Add(1)
	}
	k.member.ended[k.seq].Add(1)
	return true, false
}

// lateShare is how many hundredths of its time a call that ran out of it has taken: a
// subject may look at its clock now and then.
const lateShare = 90

func (c *callSet) twice(format string, args ...any) { c.odd.Note(&c.duplicated, format, args...) }

func (c *callSet) hasEnded(id payload.RequestID) bool {
	for i := range c.members {
		m := &c.members[i]
		if payload.NodeNumber(m.name) == id.To() && id.Load() == c.load.ID && id.Seq() < uint64(len(m.ended)) {
			return m.ended[id.Seq()].Load() > 0
		}
	}
	return false
}

// settle waits until finished is closed, or until no call has ended for as long as one may
// take.
func (c *callSet) settle(finished <-chan struct{}) {
	clock := time.NewTicker(c.t.callWithin() / 100)
	defer clock.Stop()
	last, since := -1, time.Now()
	for {
		select {
		case <-finished:
			return
		case <-clock.C:
		}
		if now := c.flight.Ended(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > c.t.callWithin() {
			return
		}
	}
}

// result is the account, in which calls still in flight count as lost.
func (c *callSet) result(began time.Time) Result {
	r := Result{Account: c.odd.Take(), Sent: make(map[string]int), Peak: c.flight.Peak(), Began: began.UnixNano(),
		Ended: time.Now().UnixNano()}
	r.Late = int(c.late.Load())
	a := &r.Account
	a.Delivered, a.Refused, a.Lost, a.Duplicated = int(c.delivered.Load()), int(c.failed.Load()), c.flight.Now(),
		int(c.duplicated.Load())
	for i := range c.members {
		m := &c.members[i]
		r.Sent[m.name] = min(int(m.next.Load()), c.load.Each)
		a.Sent += r.Sent[m.name]
	}
	if first := c.first.Load(); first != nil {
		r.First = (*first).Error()
	}
	if a.Lost > 0 {
		a.Examples = append(a.Examples, fmt.Sprintf("%d calls never ended", a.Lost))
	}
	return r
}

// closedLoop keeps a number of calls in flight: whenever one ends, the next begins.
type closedLoop struct {
	*callSet
	running  sync.WaitGroup // slots
	finished chan struct{}
	noRoom   waitingRoom
}

// slot is one of the calls in flight, over and over.
type slot struct {
	call
	loop *closedLoop
	done func([]byte, error)
	wake chan struct{} // of the slot's goroutine, if Call waits
}

// closedLoad offers a closed load.
func (c *child) closedLoad(o Order) (any, error) {
	l := &closedLoop{callSet: newCallSet(c.loaded(o), *o.Load, o.To), finished: make(chan struct{})}
	slots := make([]*slot, o.Load.InFlight)
	for i := range slots {
		s := &slot{loop: l, call: call{c: l.callSet, member: &l.members[i%len(l.members)],
			request: make([]byte, o.Load.Size)}}
		s.done = s.ended
		slots[i] = s
	}
	l.running.Add(len(slots))
	go func() { l.running.Wait(); close(l.finished) }()
	time.Sleep(time.Until(time.Unix(0, o.Load.At)))
	began := time.Now()
	for _, s := range slots {
		if l.waits {
			s.wake = make(chan struct{}, 1)
			go s.wait()
			s.wake <- struct{}{}
		} else {
			s.next()
		}
	}
	go l.noRoom.serve(l.finished)
	l.settle(l.finished)
	return l.result(began), nil
}

// next makes the slot's next call, if one is left.
func (s *slot) next() {
	seq := s.member.next.Add(1) - 1
	if seq >= int64(s.c.load.Each) {
		if s.wake != nil {
			close(s.wake)
		}
		s.loop.running.Done()
		return
	}
	s.seq = uint64(seq)
	s.send(s.done)
}

// wait makes the calls of a slot whose Call waits.
func (s *slot) wait() {
	for range s.wake {
		s.next()
	}
}

func (s *slot) ended(got []byte, err error) {
	switch ended, refused := s.ends(got, err); {
	case refused:
		s.loop.noRoom.add(func() { s.send(s.done) })
	case !ended:
	case s.wake != nil:
		s.wake <- struct{}{}
	default:
		s.next()
	}
}

// waitingRoom retries calls for which there was no room.
type waitingRoom struct {
	mu    sync.Mutex
	calls []func()
}

func (w *waitingRoom) add(again func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, again)
}

// retryPause is how long a call waits to be retried if there was no room for it.
const retryPause = time.Millisecond

// serve makes the calls until finished is closed.
func (w *waitingRoom) serve(finished <-chan struct{}) {
	clock := time.NewTicker(retryPause)
	defer clock.Stop()
	for {
		select {
		case <-finished:
			return
		case <-clock.C:
		}
		w.mu.Lock()
		again := w.calls
		w.calls = nil
		w.mu.Unlock()
		for _, call := range again {
			call()
		}
	}
}

// openLoad offers an open load.
func (c *child) openLoad(o Order) (any, error) {
	l := newCallSet(c.loaded(o), *o.Load, o.To)
	n := o.Load.Each * len(o.To)
	rec := measure.NewRecorder(n)
	var running sync.WaitGroup
	running.Add(1)
	finished := make(chan struct{})
	go func() { running.Wait(); close(finished) }()
	var noRoom waitingRoom
	go noRoom.serve(finished)
	request := make([]byte, o.Load.Size)
	time.Sleep(time.Until(time.Unix(0, o.Load.At)))
	began := time.Now()
	out := load.Steady(context.Background(),
		load.Plan{Rate: o.Load.Rate, Count: n, Arrivals: o.Load.Arrivals, Seed: o.Load.Seed, Inline: true},
		func(began time.Time, _ *load.InFlight) { rec.Begin(began) },
		func(i int, due int64) {
			k := &call{c: l, member: &l.members[i%len(o.To)], seq: uint64(i / len(o.To)), request: request}
			k.member.next.Add(1)
			running.Add(1)
			var done func([]byte, error)
			done = func(got []byte, err error) {
				switch ended, refused := k.ends(got, err); {
				case refused: // the wait for room is part of its latency
					noRoom.add(func() {
						k.request = make([]byte, o.Load.Size)
						k.send(done)
					})
					return
				case !ended:
					return
				case err != nil:
					rec.Failed(i)
				default:
					rec.Done(i, due)
				}
				running.Done()
			}
			k.send(done)
		})
	running.Done()
	l.settle(finished)
	r := l.result(began)
	r.Open, r.Samples = out, rec.Export()
	return r, nil
}

// oneWay sends messages that have no reply.
func (c *child) oneWay(o Order) (any, error) {
	l := newCallSet(&c.traffic, *o.Load, o.To)
	request := make([]byte, o.Load.Size)
	time.Sleep(time.Until(time.Unix(0, o.Load.At)))
	began := time.Now()
	for seq := range o.Load.Each {
		for i := range l.members {
			k := call{c: l, member: &l.members[i], seq: uint64(seq)}
			payload.FillRequest(request, k.id(), 0)
			k.member.next.Add(1)
			for {
				err := c.subject.Send(k.member.name, request)
				if l.overloaded(err) && time.Since(began) < c.traffic.callWithin() {
					time.Sleep(retryPause)
					continue
				}
				if err != nil {
					return nil, fmt.Errorf("message %d to %s: %w", seq, k.member.name, err)
				}
				break
			}
		}
	}
	return l.result(began), nil
}

// flight answers how many calls of this node are in flight.
func (c *child) flight(Order) (any, error) { return c.traffic.calls.Now(), nil }

// release sends the replies that were held back.
func (c *child) release(Order) (any, error) {
	c.traffic.mu.Lock()
	held := c.traffic.held
	c.traffic.held = nil
	c.traffic.mu.Unlock()
	for _, answer := range held {
		answer()
	}
	return len(held), nil
}

// Flooding is the outcome of calls to a member that reads nothing.
type Flooding struct {
	Accepted    int           // calls that were not refused
	Outstanding int           // most bytes in flight at once
	Growth      int           // of the resident memory, in bytes; -1 where it is not known
	Lost        int           // calls that never ended
	Slowest     time.Duration // to end, of those that did
	Deadline    time.Duration // of each: twice as long if it waits for room first
	Stuck       bool
}

// floodTimes is how many times as long a flood goes on at most, while every call is
// accepted and the bytes in flight have not exceeded the bound.
const floodTimes = 10

// flood calls a member as fast as calls are accepted, for a while, and until it is clear
// whether there is a bound.
func (c *child) flood(o Order) (any, error) {
	l := newCallSet(&c.traffic, *o.Load, o.To)
	memory := measure.StartSampler(time.Now(), 2*time.Millisecond, nil)
	start := time.Now()
	var accepted, slowest atomic.Int64
	pressed := false // a call was refused, or had to wait
	goesOn := func() bool {
		took := time.Since(start)
		return took < o.Load.For ||
			!pressed && l.flight.Now()*o.Load.Size <= o.Load.Bound && took < floodTimes*o.Load.For
	}
	stuck := make(chan struct{})
	go func() {
		defer close(stuck)
		request := make([]byte, o.Load.Size)
		for seq := 0; seq < o.Load.Each && goesOn(); {
			k := &call{c: l, member: &l.members[0], seq: uint64(seq), request: request}
			began := time.Now()
			atOnce := make(chan bool, 1) // it has failed, and whether for lack of room
			k.send(func(got []byte, err error) {
				ended, refused := k.ends(got, err)
				if ended {
					raise(&slowest, int64(time.Since(began)))
				}
				if err != nil && (ended || refused) {
					atOnce <- refused
				}
			})
			pressed = pressed || time.Since(began) > o.Load.For/2
			select {
			case refused := <-atOnce:
				pressed = true
				// Continuing at once would take the processors from everything else.
				time.Sleep(retryPause)
				if refused {
					continue
				}
			default:
			}
			accepted.Add(1)
			seq++
		}
	}()
	f := Flooding{Growth: -1, Deadline: c.traffic.timeout}
	if l.waits {
		f.Deadline *= 2
	}
	select {
	case <-stuck:
	case <-time.After(floodTimes*o.Load.For + c.traffic.callWithin()):
		f.Stuck = true
	}
	drained := make(chan struct{})
	go func() {
		for l.flight.Now() > 0 {
			select {
			case <-drained:
				return
			case <-time.After(retryPause):
			}
		}
		close(drained)
	}()
	l.settle(drained)
	use := memory.Stop()
	if use.Before.RSS != nil && use.Peak.RSS != nil {
		f.Growth = int(*use.Peak.RSS - *use.Before.RSS)
	}
	f.Accepted, f.Outstanding, f.Lost = int(accepted.Load()), l.flight.Peak()*o.Load.Size, l.flight.Now()
	f.Slowest = time.Duration(slowest.Load())
	return f, nil
}

// raise sets a value to the greater of it and another.
func raise(most *atomic.Int64, to int64) {
	for now := most.Load(); to > now && !most.CompareAndSwap(now, to); now = most.Load() {
	}
}

// Refusal is how calls to a member that is dead ended.
type Refusal struct {
	Slowest     time.Duration
	Err         string
	Unreachable bool // all of them
	Answered    bool // one was
	NeverEnded  bool // one did not
}

// refused calls a member that is dead.
func (c *child) refused(o Order) (any, error) {
	const calls = 20
	r := Refusal{Unreachable: true}
	for range calls {
		began := time.Now()
		err := c.traffic.callOnce(o.To[0], payload.SmallRequest)
		r.Slowest = max(r.Slowest, time.Since(began))
		switch {
		case err == nil:
			r.Answered = true
		case errors.Is(err, errNeverEnded):
			r.NeverEnded = true
			return r, nil
		default:
			r.Err = err.Error()
			r.Unreachable = r.Unreachable && errors.Is(err, c.subject.Errors().Unreachable)
		}
	}
	return r, nil
}
