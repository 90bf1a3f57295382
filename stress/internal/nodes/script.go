package nodes

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/measure"
	"tensile/stress/node"
)

// A message of a program carries in its flags what its handler is to do.
const (
	flagProgram = 1 << 1
	answerShift = 4  // 4 bits
	laterShift  = 8  // 16 bits, in ms
	freesShift  = 24 // 16 bits
	callsShift  = 40 // 24 bits
)

func script(b Batch) uint64 {
	return flagProgram | uint64(b.Answer)<<answerShift | uint64(b.Later.Milliseconds())&0xffff<<laterShift |
		uint64(b.Frees)<<freesShift | uint64(b.Calls&(mostCalls-1))<<callsShift
}

// program is what a node process does for a program: the batches that it makes, and
// what has come of those of others.
type program struct {
	mu      sync.Mutex
	batches map[int]*batch
	arrived map[batchKey]*arrival
	held    map[batchKey][]func()
	later   int // answers that are still to be given
}

// batchKey is a batch of another node. Replies that are never given are kept apart, until
// the program is over: a subject may keep what it needs for them.
type batchKey struct {
	from, batch int
	never       bool
}

// arrival is what has arrived of a batch: how often each message has.
type arrival struct {
	times []uint8
	n     int // different ones
	most  uint8
	which payload.RequestID // one that arrived most often
}

func (p *program) add(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batches == nil {
		p.batches = make(map[int]*batch)
	}
	p.batches[b.ID] = b
}

// take counts a message, and answers it as it asks for.
func (p *program) take(id payload.RequestID, flags uint64, request []byte, answer func([]byte)) {
	key := batchKey{from: id.From(), batch: int(id.Seq() >> 24)}
	all := p.count(key, id) == int(flags>>callsShift&(mostCalls-1))
	if frees := int(flags >> freesShift & 0xffff); all && frees != 0 {
		defer func() { go p.release(batchKey{from: key.from, batch: frees}) }()
	}
	if answer == nil {
		return
	}
	reply := make([]byte, len(request))
	payload.Invert(reply, request)
	hold := func(key batchKey) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held == nil {
			p.held = make(map[batchKey][]func())
		}
		p.held[key] = append(p.held[key], func() { answer(reply) })
	}
	switch Answer(flags >> answerShift & 0xf) {
	case AtOnce:
		answer(reply)
	case Elsewhere:
		go answer(reply)
	case AnswerLater:
		p.wait(1)
		time.AfterFunc(time.Duration(flags>>laterShift&0xffff)*time.Millisecond, func() {
			answer(reply)
			p.wait(-1)
		})
	case Held:
		hold(key)
	case Never:
		hold(batchKey{key.from, key.batch, true})
	case Twice:
		hold(key)
		go answer(reply)
	}
}

func (p *program) wait(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.later += n
}

// count returns how many different messages of the batch have arrived.
func (p *program) count(key batchKey, id payload.RequestID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.arrived == nil {
		p.arrived = make(map[batchKey]*arrival)
	}
	a := p.arrived[key]
	if a == nil {
		a = new(arrival)
		p.arrived[key] = a
	}
	i := int(id.Seq() & (mostCalls - 1))
	if i >= len(a.times) {
		a.times = append(a.times, make([]uint8, i+1-len(a.times))...)
	}
	if a.times[i] < 255 {
		a.times[i]++
	}
	if a.times[i] == 1 {
		a.n++
	}
	if a.times[i] > a.most {
		a.most, a.which = a.times[i], id
	}
	return a.n
}

// release gives the replies that are held of a batch.
func (p *program) release(of batchKey) {
	for _, answer := range p.takeHeld(func(key batchKey) bool { return key == of }) {
		answer()
	}
}

// takeHeld returns some of the replies that are held, which are then held no more.
func (p *program) takeHeld(which func(batchKey) bool) (held []func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, answers := range p.held {
		if which(key) {
			held = append(held, answers...)
			delete(p.held, key)
		}
	}
	return held
}

// Arrived is what has arrived of a batch.
type Arrived struct {
	From  int // number of the node
	Batch int
	N     int    // different messages
	Most  int    // times that one of them has
	Which string // that one
	Last  int    // the highest number that has arrived, from 0
}

// ProgramState is what a node process says of a program.
type ProgramState struct {
	Batches map[int]BatchState
	Arrived []Arrived
	Later   int // answers that are still to be given by themselves
	Members map[string]node.State
	Odd     measure.Account // messages that were wrong by themselves, since the last answer
}

// programState answers how far the program has come.
func (c *child) programState(Order) (any, error) {
	p := &c.traffic.program
	s := ProgramState{Batches: make(map[int]BatchState)}
	if !c.ended.Load() {
		s.Members = c.members()
	}
	s.Odd = c.traffic.odd.Take()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, b := range p.batches {
		s.Batches[id] = b.state()
	}
	for key, a := range p.arrived {
		s.Arrived = append(s.Arrived, Arrived{From: key.from, Batch: key.batch, N: a.n, Most: int(a.most),
			Which: callName(a.which), Last: len(a.times) - 1})
	}
	slices.SortFunc(s.Arrived, func(a, b Arrived) int { return cmp.Or(a.Batch-b.Batch, a.From-b.From) })
	s.Later = p.later
	return s, nil
}

// giveReplies gives the replies that are held, of one batch or of all.
func (c *child) giveReplies(o Order) (any, error) {
	return c.give(func(key batchKey) bool { return !key.never && (o.Batch == nil || o.Batch.ID == key.batch) })
}

// giveNever gives those that were never to be given.
func (c *child) giveNever(Order) (any, error) {
	return c.give(func(key batchKey) bool { return key.never })
}

// give gives some of the replies that are held. It does not wait for them: a second answer
// may be one that is not taken.
func (c *child) give(which func(batchKey) bool) (any, error) {
	p := &c.traffic.program
	held := p.takeHeld(which)
	p.wait(1)
	go func() {
		for _, answer := range held {
			answer()
		}
		p.wait(-1)
	}()
	return nil, nil
}

// forget ends a program: what was of it is given up.
func (c *child) forget(Order) (any, error) {
	p := &c.traffic.program
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batches, p.arrived, p.held = nil, nil, nil
	return nil, nil
}
