package queue

import "container/heap"

// message is one that a queue holds. The lock of the queue guards it. At any
// time it is in one of five places: ready, returned, leased, timed, or parked.
type message struct {
	next, prev *message // in a list
	body       []byte
	id         uint64
	lease      uint64 // of the delivery under way; 0 while there is none
	due        int64  // end of the lease or of the delay, in ns since the broker opened
	segment    uint64 // of the log that keeps it
	attempts   int32  // deliveries, the one under way included
	at         int32  // index in a heap; notInHeap elsewhere
}

const notInHeap = -1

// list is a queue of messages that any of them can leave in constant time.
type list struct{ first, last *message }

func (l *list) push(m *message) {
	m.prev, m.next, m.at = l.last, nil, notInHeap
	if l.last == nil {
		l.first = m
	} else {
		l.last.next = m
	}
	l.last = m
}

func (l *list) remove(m *message) {
	if m.prev == nil {
		l.first = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		l.last = m.prev
	} else {
		m.next.prev = m.prev
	}
	m.next, m.prev = nil, nil
}

// ordered is a heap of messages.
type ordered struct {
	messages []*message
	before   func(a, b *message) bool
}

func byID(a, b *message) bool { return a.id < b.id }

func byDue(a, b *message) bool { return a.due < b.due || a.due == b.due && a.id < b.id }

func (o *ordered) add(m *message)    { heap.Push(o, m) }
func (o *ordered) remove(m *message) { heap.Remove(o, int(m.at)) }

// first is the message before all others, or nil.
func (o *ordered) first() *message {
	if len(o.messages) == 0 {
		return nil
	}
	return o.messages[0]
}

// Len implements heap.Interface.
func (o *ordered) Len() int { return len(o.messages) }

// Less implements heap.Interface.
func (o *ordered) Less(i, j int) bool { return o.before(o.messages[i], o.messages[j]) }

// Swap implements heap.Interface.
func (o *ordered) Swap(i, j int) {
	o.messages[i], o.messages[j] = o.messages[j], o.messages[i]
	o.messages[i].at, o.messages[j].at = int32(i), int32(j)
}

// Push implements heap.Interface.
func (o *ordered) Push(x any) {
	m := x.(*message)
	m.at = int32(len(o.messages))
	o.messages = append(o.messages, m)
}

// Pop implements heap.Interface.
func (o *ordered) Pop() any {
	n := len(o.messages) - 1
	m := o.messages[n]
	o.messages[n] = nil
	o.messages = o.messages[:n]
	if n == 0 && cap(o.messages) > keptMessages {
		o.messages = nil
	}
	m.at = notInHeap
	return m
}

// keptMessages is how many messages a queue keeps for the next, so that a burst
// does not pin its memory.
const keptMessages = 1024
