package session

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// peer is another node, as this one sends operations to it.
//
// Operations that come while others are on their way are sent together: so
// batches are as large as the load makes them, and nobody waits for a timer.
type peer struct {
	name   string
	store  *Store
	asking atomic.Bool // a beat is on its way, out of turn

	mu      sync.Mutex
	line    []*batch // to be sent; only the last is being added to
	waiting int      // operations in line
	out     int      // batches on their way
}

const (
	// batchesOut is how many batches are on their way to a peer at once: one is
	// answered while another travels, and the rest gathers meanwhile.
	batchesOut = 2
	// batchSize is the length in bytes at which a batch is full.
	batchSize = 64 << 10
	// maxWaiting bounds what waits for a peer that does not keep up, in operations
	// and in batches. What comes beyond counts as not answered.
	maxWaiting = 64 << 10
	maxBatches = 128
	// fullReply is the length in bytes of a reply that takes no more records: the
	// one before it may have been the longest there is.
	fullReply = MaxMessage - 2*batchSize - MaxValue
)

// batch is operations in one message, and who waits for their answers.
type batch struct {
	request []byte
	waiters []waiter
	first   time.Time // when the first of them is not to be sent any more
}

type waiter struct {
	call *call
	kind byte
	end  int // of the operation in the request
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch() *batch {
	b := batches.Get().(*batch)
	b.request, b.waiters = append(b.request[:0], msgOperations), b.waiters[:0]
	return b
}

// expire takes out the operations whose time is over, and returns who waits for
// them. An operation that is sent after its Timeout could be older than what is
// remembered of deletions.
func (b *batch) expire(now time.Time) (expired []waiter) {
	if now.Before(b.first) {
		return nil
	}
	kept, from, to := b.waiters[:0], 1, 1
	for _, w := range b.waiters {
		operation := b.request[from:w.end]
		from = w.end
		if !now.Before(w.call.until) {
			expired = append(expired, w)
			continue
		}
		to += copy(b.request[to:], operation)
		w.end = to
		kept = append(kept, w)
	}
	b.waiters, b.request = kept, b.request[:to]
	return expired
}

// peer is the node of a name as this one sends to it; nil for this node.
func (s *Store) peer(name string) *peer {
	if name == s.cfg.Name {
		return nil
	}
	s.peersMu.Lock()
	defer s.peersMu.Unlock()
	p := s.peers[name]
	if p == nil {
		p = &peer{name: name, store: s}
		s.peers[name] = p
	}
	return p
}

// send puts an operation in line for the peer.
func (p *peer) send(kind byte, epoch uint64, payload []byte, c *call) {
	p.mu.Lock()
	if p.waiting == maxWaiting || len(p.line) == maxBatches {
		p.mu.Unlock()
		c.fail()
		return
	}
	if n := len(p.line); n == 0 || len(p.line[n-1].request) > batchSize {
		p.line = append(p.line, newBatch())
	}
	b := p.line[len(p.line)-1]
	b.request = append(b.request, kind)
	b.request = binary.AppendUvarint(b.request, epoch)
	b.request = append(b.request, payload...)
	if len(b.waiters) == 0 || c.until.Before(b.first) {
		b.first = c.until
	}
	b.waiters = append(b.waiters, waiter{c, kind, len(b.request)})
	p.waiting++
	p.next()
}

// next sends the first batch in line if there may be one more on its way. It
// unlocks the peer.
func (p *peer) next() {
	if p.out == batchesOut || len(p.line) == 0 {
		p.mu.Unlock()
		return
	}
	b := p.line[0]
	p.line = slices.Delete(p.line, 0, 1)
	p.waiting -= len(b.waiters)
	expired := b.expire(time.Now())
	if len(b.waiters) > 0 {
		p.out++
	}
	p.mu.Unlock()
	for _, w := range expired {
		w.call.fail()
	}
	if len(b.waiters) == 0 {
		batches.Put(b)
		p.mu.Lock()
		p.next()
		return
	}
	p.store.net.Go(p.name, b.request, func(reply []byte, err error) {
		p.mu.Lock()
		p.out--
		p.next()
		p.store.answered(p, b.waiters, reply, err)
		clear(b.waiters)
		batches.Put(b)
	})
}

// answered hands the answers of a batch to those who wait for them.
func (s *Store) answered(from *peer, waiters []waiter, reply []byte, err error) {
	d := decoder{rest: reply, bad: err != nil}
	for _, w := range waiters {
		a := d.answer(w.kind)
		if a.status == statusRefused && a.epoch > s.state.Load().chain.epoch() {
			from.catchUp()
		}
		if d.bad || a.status != statusDone {
			w.call.fail()
			continue
		}
		w.call.answer(a)
	}
}

// answer decodes what appendAnswer encoded.
func (d *decoder) answer(kind byte) (a answer) {
	switch a.status = d.byte(); {
	case a.status == statusRefused:
		a.epoch = d.uvarint()
	case a.status != statusDone || kind == opStore:
	case kind == opVersion:
		a.found.version = d.version()
		a.mark, a.fence = d.uvarint(), d.uvarint()
	default:
		if d.byte() == 1 {
			_, a.found = d.record()
		}
		a.mark, a.fence = d.uvarint(), d.uvarint()
	}
	return a
}

// operations answers a batch. Each operation stands for itself, so those before
// one that is garbled have been carried out.
func (s *Store) operations(from string, d *decoder) ([]byte, error) {
	reply := make([]byte, 0, len(d.rest))
	behind, now := false, s.moment()
	for len(d.rest) > 0 {
		kind, epoch := d.byte(), d.uvarint()
		var key []byte
		var r record
		var fetched token
		switch kind {
		case opVersion, opRead:
			key = d.bytes(MaxKey)
		case opStore:
			fetched = d.token()
			key, r = d.record()
		default:
			d.fail()
		}
		if d.bad {
			return nil, errGarbled
		}
		if len(reply) > fullReply {
			reply = append(reply, statusBusy)
			continue
		}
		a := s.parts[partitionOf(key)].perform(kind, epoch, key, r, fetched, now)
		behind = behind || a.status == statusRefused && a.epoch < epoch
		reply = appendAnswer(reply, kind, key, &a)
	}
	if behind {
		if p := s.peer(from); p != nil {
			p.catchUp()
		}
	}
	return reply, nil
}

func appendAnswer(b []byte, kind byte, key []byte, a *answer) []byte {
	b = append(b, a.status)
	switch {
	case a.status == statusRefused:
		return binary.AppendUvarint(b, a.epoch)
	case a.status != statusDone || kind == opStore:
		return b
	case kind == opVersion:
		b = appendVersion(b, a.found.version)
	case a.found.version == Version{}:
		b = append(b, 0)
	default:
		b = appendRecord(append(b, 1), key, &a.found)
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, a.mark), a.fence)
}

// handle answers a request of another node.
func (s *Store) handle(from string, request []byte) ([]byte, error) {
	d := &decoder{rest: request}
	switch d.byte() {
	case msgOperations:
		return s.operations(from, d)
	case msgBeat:
		return s.beaten(from, d)
	case msgTell:
		return s.told(d)
	case msgPromise, msgAccept:
		return s.vote(request[0], d)
	case msgFound:
		return s.promise(d)
	case msgRelay:
		return s.handOn(from, d)
	case msgRelayed:
		return s.handedOn(d)
	case msgWitness:
		return s.witness(d)
	case msgSync:
		return s.compared(d)
	case msgHold, msgMark, msgForget:
		return s.forgetting(request[0], d)
	}
	return nil, errGarbled
}

// Handle answers the request of a store at the node from. It does not block and
// does not keep request. Its error is for requests that no store has sent.
func (s *Store) Handle(from string, request []byte) (reply []byte, err error) {
	select {
	case <-s.closed:
		return nil, ErrClosed
	default:
	}
	return s.handle(from, request)
}
