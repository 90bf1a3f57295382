package measure

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// Ledger is the exact account of n messages from senders to destinations. It
// costs 16 bytes a message and 4 a destination, and no lock where nothing is
// wrong. Send, Refused and Arrive are safe for concurrent use; Audit belongs to
// after the last of them.
//
// Messages are numbered from 0. Sender s sends those from s*perSender up to the
// next sender's, in that order; so the order in which the messages of one
// sender to one destination must arrive is known without being written down.
type Ledger struct {
	perSender int
	messages  []message
	arrivals  []atomic.Uint32 // of each destination
	oddities  Oddities
}

// message is what is known of one message.
type message struct {
	to     atomic.Uint32 // destination + 1; 0 while never sent
	stamp  atomic.Uint32 // which arrival at its destination it was, from 1
	count  atomic.Uint32 // times it arrived where it should
	refuse atomic.Uint32 // 1 once the subject refused it
}

// Oddities counts what arrived and should not have, and keeps the first few in
// words. Safe for concurrent use; the zero value is ready.
type Oddities struct {
	Corrupted, Misrouted, Phantom atomic.Int64
	mu                            sync.Mutex
	examples                      []string
}

// MaxExamples is how many of the faults of a ledger are told in words.
const MaxExamples = 5

// Note counts one, by one of the counters or another, with its example.
func (o *Oddities) Note(counter *atomic.Int64, format string, args ...any) {
	counter.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.examples) < MaxExamples {
		o.examples = append(o.examples, fmt.Sprintf(format, args...))
	}
}

// Take returns what was counted and begins anew.
func (o *Oddities) Take() Account {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := Account{Corrupted: int(o.Corrupted.Swap(0)), Misrouted: int(o.Misrouted.Swap(0)),
		Phantom: int(o.Phantom.Swap(0)), Examples: o.examples}
	o.examples = nil
	return a
}

// NewLedger returns a ledger for messages 0 to n-1, perSender of them by each
// sender, to destinations 0 to destinations-1.
func NewLedger(n, perSender, destinations int) *Ledger {
	return &Ledger{
		perSender: max(perSender, 1),
		messages:  make([]message, n),
		arrivals:  make([]atomic.Uint32, destinations),
	}
}

// Send records that message id is about to be handed to the subject.
func (l *Ledger) Send(id uint64, to int) { l.messages[id].to.Store(uint32(to) + 1) }

// Refused records that the subject did not take message id, which therefore
// must not arrive.
func (l *Ledger) Refused(id uint64) { l.messages[id].refuse.Store(1) }

// Arrive records that a message with that id came out at destination at.
// intact says whether its content matched its checksum: otherwise its id is
// not to be believed, and the message that it was stays lost.
func (l *Ledger) Arrive(id uint64, at int, intact bool) {
	if !intact {
		l.oddities.Note(&l.oddities.Corrupted, "a corrupted message arrived at %d", at)
		return
	}
	if id >= uint64(len(l.messages)) {
		l.oddities.Note(&l.oddities.Phantom, "message %d arrived at %d and does not exist", id, at)
		return
	}
	m := &l.messages[id]
	switch to := m.to.Load(); {
	case to == 0:
		l.oddities.Note(&l.oddities.Phantom, "message %d arrived at %d and was never sent", id, at)
	case int(to-1) != at:
		l.oddities.Note(&l.oddities.Misrouted, "message %d to %d arrived at %d", id, to-1, at)
	default:
		stamp := l.arrivals[at].Add(1)
		if m.count.Add(1) == 1 {
			m.stamp.Store(stamp)
		}
	}
}

// Account is the outcome of a ledger.
type Account struct {
	Sent      int `json:"sent"`      // handed to the subject
	Refused   int `json:"refused"`   // not taken by it
	Delivered int `json:"delivered"` // taken, and arrived where it should

	Lost       int `json:"lost"`       // taken, and never arrived
	Duplicated int `json:"duplicated"` // arrivals beyond the first
	Reordered  int `json:"reordered"`  // arrived before an earlier one of the same sender
	Corrupted  int `json:"corrupted"`  // arrived with another content
	Misrouted  int `json:"misrouted"`  // arrived at another destination
	Phantom    int `json:"phantom"`    // arrived, and was never sent or was refused

	// Examples are the first few faults, in words.
	Examples []string `json:"examples,omitempty"`
}

// Fault is a kind of fault, and how many of it there are.
type Fault struct {
	Name string
	N    int
}

// Kinds are all kinds of faults, those of which there are none too.
func (a Account) Kinds() []Fault {
	return []Fault{
		{"lost", a.Lost}, {"duplicated", a.Duplicated}, {"reordered", a.Reordered},
		{"corrupted", a.Corrupted}, {"misrouted", a.Misrouted}, {"phantom", a.Phantom},
	}
}

// Clean tells whether nothing is wrong.
func (a Account) Clean() bool { return a.Faults() == 0 }

// Faults is the number of all that is wrong.
func (a Account) Faults() int {
	return a.Lost + a.Duplicated + a.Reordered + a.Corrupted + a.Misrouted + a.Phantom
}

// String names what is wrong, or says that nothing is.
func (a Account) String() string {
	if a.Clean() {
		return fmt.Sprintf("clean: %d sent, %d delivered, %d refused", a.Sent, a.Delivered, a.Refused)
	}
	var parts []string
	for _, f := range a.Kinds() {
		if f.N > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", f.N, f.Name))
		}
	}
	return fmt.Sprintf("of %d messages sent %s (%s)", a.Sent, strings.Join(parts, ", "), strings.Join(a.Examples, "; "))
}

// Add adds the figures of another account.
func (a Account) Add(b Account) Account {
	return Account{
		Sent: a.Sent + b.Sent, Refused: a.Refused + b.Refused, Delivered: a.Delivered + b.Delivered,
		Lost: a.Lost + b.Lost, Duplicated: a.Duplicated + b.Duplicated, Reordered: a.Reordered + b.Reordered,
		Corrupted: a.Corrupted + b.Corrupted, Misrouted: a.Misrouted + b.Misrouted, Phantom: a.Phantom + b.Phantom,
		Examples: append(append([]string(nil), a.Examples...), b.Examples...),
	}
}

// Audit compares what was sent with what arrived. ordered says whether the
// messages of one sender to one destination had to arrive in order.
func (l *Ledger) Audit(ordered bool) Account {
	a := Account{
		Corrupted: int(l.oddities.Corrupted.Load()),
		Misrouted: int(l.oddities.Misrouted.Load()),
		Phantom:   int(l.oddities.Phantom.Load()),
		Examples:  append([]string(nil), l.oddities.examples...),
	}
	example := func(format string, args ...any) {
		if len(a.Examples) < MaxExamples {
			a.Examples = append(a.Examples, fmt.Sprintf(format, args...))
		}
	}
	// The newest arrival at each destination of the sender that is being
	// looked at: messages are numbered sender by sender, so one table serves
	// all, and the sender it holds for is kept beside it.
	type newest struct {
		sender uint32
		stamp  uint32
		id     uint32
	}
	last := make([]newest, len(l.arrivals))
	for id := range l.messages {
		m := &l.messages[id]
		to := int(m.to.Load()) - 1
		if to < 0 {
			continue
		}
		a.Sent++
		count, sender := int(m.count.Load()), uint32(id/l.perSender)+1
		switch {
		case m.refuse.Load() == 1:
			a.Refused++
			if count > 0 {
				a.Phantom++
				example("message %d to %d was refused and arrived all the same", id, to)
			}
			continue
		case count == 0:
			a.Lost++
			example("message %d of sender %d to %d never arrived", id, sender-1, to)
			continue
		case count > 1:
			a.Duplicated += count - 1
			example("message %d of sender %d to %d arrived %d times", id, sender-1, to, count)
		}
		a.Delivered++
		if !ordered {
			continue
		}
		n := &last[to]
		stamp := m.stamp.Load()
		if n.sender == sender && stamp < n.stamp {
			a.Reordered++
			example("message %d of sender %d to %d arrived before message %d", id, sender-1, to, n.id)
			continue
		}
		*n = newest{sender, stamp, uint32(id)}
	}
	return a
}
