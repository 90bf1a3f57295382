package stress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/measure"
)

// A request of the kit, little endian: an id, flags, a checksum over both and
// the length, and bytes that follow from the id. The id tells the load that it
// belongs to, the node that sends it, the one it is for, and its number between
// the two. A reply is the request with every bit inverted, so it proves to have
// been there and back.
const (
	minSize   = 24
	smallSize = 64

	flagHold = 1 // reply when the kit says so
)

type requestID uint64

// newID numbers nodes by the last part of their names.
func newID(load, from, to int, seq uint64) requestID {
	return requestID(uint64(load)<<56 | uint64(from&0xff)<<48 | uint64(to&0xff)<<40 | seq)
}

func (i requestID) load() int   { return int(i >> 56) }
func (i requestID) from() int   { return int(i >> 48 & 0xff) }
func (i requestID) to() int     { return int(i >> 40 & 0xff) }
func (i requestID) seq() uint64 { return uint64(i) & (1<<40 - 1) }

func (i requestID) String() string {
	return fmt.Sprintf("message %d of node-%d to node-%d", i.seq(), i.from(), i.to())
}

// nodeNumber is the number at the end of a node's name, or -1.
func nodeNumber(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return -1
	}
	return n
}

const oddly = 0x9E3779B97F4A7C15

func requestSum(id requestID, flags uint64, size int) uint64 {
	return (uint64(id)*oddly+flags)*oddly ^ uint64(size)
}

// fillRequest writes a request over all of b.
func fillRequest(b []byte, id requestID, flags uint64) {
	binary.LittleEndian.PutUint64(b, uint64(id))
	binary.LittleEndian.PutUint64(b[8:], flags)
	binary.LittleEndian.PutUint64(b[16:], requestSum(id, flags, len(b)))
	rest, word := b[minSize:], uint64(id)
	for ; len(rest) >= 8; rest = rest[8:] {
		word += oddly
		binary.LittleEndian.PutUint64(rest, word)
	}
	for i := range rest {
		rest[i] = byte(word) + byte(i)
	}
}

// readRequest checks every byte; inverted is all ones for a reply.
func readRequest(b []byte, inverted uint64) (id requestID, flags uint64, ok bool) {
	if len(b) < minSize {
		return 0, 0, false
	}
	id = requestID(binary.LittleEndian.Uint64(b) ^ inverted)
	flags = binary.LittleEndian.Uint64(b[8:]) ^ inverted
	bad := binary.LittleEndian.Uint64(b[16:]) ^ inverted ^ requestSum(id, flags, len(b))
	rest, word := b[minSize:], uint64(id)
	for ; len(rest) >= 8; rest = rest[8:] {
		word += oddly
		bad |= binary.LittleEndian.Uint64(rest) ^ inverted ^ word
	}
	for i := range rest {
		bad |= uint64(rest[i] ^ byte(inverted) ^ (byte(word) + byte(i)))
	}
	return id, flags, bad == 0
}

const reply = ^uint64(0)

// invert writes the reply to a request.
func invert(to, request []byte) {
	for len(request) >= 8 {
		binary.LittleEndian.PutUint64(to, ^binary.LittleEndian.Uint64(request))
		to, request = to[8:], request[8:]
	}
	for i, b := range request {
		to[i] = ^b
	}
}

// traffic is what a node process sends and receives for the kit.
type traffic struct {
	self string
	node Node

	expects atomic.Pointer[expectation] // of the load that is on; nil for none
	calls   calls                       // that it has made

	mu   sync.Mutex
	held []func()         // replies that are held back
	odd  measure.Oddities // what it saw of messages that was wrong by itself
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
	id, flags, ok := readRequest(request, 0)
	switch {
	case len(request) < minSize: // of the phase that tries sizes
	case !ok:
		t.odd.Note(&t.odd.Corrupted, "%d bytes from %s arrived at %s that are no message of the kit", len(request), from, t.self)
	case id.to() != nodeNumber(t.self) || id.from() != nodeNumber(from):
		t.odd.Note(&t.odd.Misrouted, "%v arrived at %s, from %s", id, t.self, from)
	case id.load() != 0:
		t.count(id)
	}
	if answer == nil {
		return
	}
	buf := replies.Get().(*[]byte)
	*buf = append((*buf)[:0], request...)
	invert(*buf, request)
	if flags&flagHold != 0 && ok {
		t.mu.Lock()
		t.held = append(t.held, func() { answer(*buf); replies.Put(buf) })
		t.mu.Unlock()
		return
	}
	answer(*buf)
	replies.Put(buf)
}

func (t *traffic) count(id requestID) {
	if e := t.expects.Load(); e != nil && e.load == id.load() {
		if arrived := e.arrived[id.from()]; id.seq() < uint64(len(arrived)) {
			arrived[id.seq()].Add(1)
			return
		}
	}
	t.odd.Note(&t.odd.Phantom, "%v arrived, which was not sent now", id)
}

// callOnce calls a member and checks the reply.
func (t *traffic) callOnce(to string, size int) error {
	request := make([]byte, size)
	id := newID(0, nodeNumber(t.self), nodeNumber(to), 0)
	if size >= minSize {
		fillRequest(request, id, 0)
	}
	want := make([]byte, size)
	invert(want, request)
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
	late := time.NewTimer(callWithin)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		return errNeverEnded
	}
}

var errNeverEnded = errors.New("the call never ended, neither with a reply nor with an error")

// serve prepares for a load.
func (c *nodeChild) serve(o nodeOrder) (any, error) {
	e := &expectation{load: o.Load.ID}
	for _, from := range o.To {
		e.arrived[nodeNumber(from)] = make([]atomic.Uint32, o.Load.Each)
	}
	c.traffic.odd.Take() // what was odd before has been told
	c.traffic.expects.Store(e)
	return nil, nil
}

// served answers what has arrived of the messages that each node has sent.
func (c *nodeChild) served(o nodeOrder) (any, error) {
	t := &c.traffic
	e := t.expects.Load()
	a := t.odd.Take()
	for _, from := range o.To {
		arrived := e.arrived[nodeNumber(from)]
		for seq := range arrived[:min(o.Load.Sent[from], len(arrived))] {
			id := newID(e.load, nodeNumber(from), nodeNumber(t.self), uint64(seq))
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
