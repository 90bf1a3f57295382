package queue

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// replay is what a log says of the queues, as far as it was read.
type replay map[string]*replayed

type replayed struct {
	last     uint64 // highest ID ever given
	messages map[uint64]*message
}

func (r replay) queue(name string) *replayed {
	q := r[name]
	if q == nil {
		q = &replayed{messages: make(map[uint64]*message)}
		r[name] = q
	}
	return q
}

// seen makes sure that an ID is not given again.
func (q *replayed) seen(id uint64) { q.last = max(q.last, id) }

func (q *replayed) put(id uint64, attempts int32, body []byte, segment uint64) {
	q.seen(id)
	q.messages[id] = &message{id: id, attempts: attempts, body: bytes.Clone(body), segment: segment}
}

// apply takes one record in. One that this package did not write is an error:
// there is no saying what would be lost by passing over it.
func (r replay) apply(segment uint64, payload []byte) error {
	if len(payload) == 0 {
		return fmt.Errorf("%w: it is empty", ErrFormat)
	}
	d := decoder{rest: payload[1:]}
	switch kind := payload[0]; kind {
	case recordPublish:
		name, id, attempts := d.name(), d.id(), d.attempts()
		if d.fault == nil {
			r.queue(name).put(id, attempts, d.rest, segment)
		}
	case recordDeliver:
		for name := d.name(); len(d.rest) > 0; {
			id, attempts := d.id(), d.attempts()
			if d.fault != nil {
				break
			}
			q := r.queue(name)
			q.seen(id)
			if m := q.messages[id]; m != nil {
				m.attempts = attempts
			}
		}
	case recordAck:
		for name := d.name(); len(d.rest) > 0; {
			if id := d.id(); d.fault == nil {
				q := r.queue(name)
				q.seen(id)
				delete(q.messages, id)
			}
		}
	case recordBury:
		from, id, to, newID := d.name(), d.id(), d.name(), d.id()
		if d.fault == nil {
			q := r.queue(from)
			q.seen(id)
			delete(q.messages, id)
			r.queue(to).put(newID, 0, d.rest, segment)
		}
	case recordLast:
		// 0 if the queue has never held anything.
		if name, last := d.name(), d.number(1<<63-1); d.fault == nil {
			r.queue(name).seen(last)
		}
	case recordDelete:
		if name := d.name(); d.fault == nil {
			delete(r, name)
		}
	default:
		return fmt.Errorf("%w: its kind is %d, must be 1 to %d", ErrFormat, kind, recordDelete)
	}
	return d.fault
}

// restore makes the queues of b what the log says.
func (r replay) restore(b *Broker) {
	for name, from := range r {
		q := b.add(name)
		q.last.Store(from.last)
		q.held = len(from.messages)
		inOrder := func(a, b *message) int { return cmp.Compare(a.id, b.id) }
		for _, m := range slices.SortedFunc(maps.Values(from.messages), inOrder) {
			q.ready.push(m)
		}
		if q.held > 0 {
			b.found.Queues[name] = q.held
		}
	}
}
