package measure

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ledgerSenders = 3
	ledgerEach    = 40
	ledgerTo      = 4
)

// exchange is a flawless exchange of messages: each is sent, and has arrived
// when that is done.
type exchange struct {
	*Ledger
	skip map[uint64]bool // those that do not arrive
	n    int
}

func newExchange() *exchange {
	n := ledgerSenders * ledgerEach
	return &exchange{NewLedger(n, ledgerEach, ledgerTo), map[uint64]bool{}, n}
}

func to(id uint64) int { return int(id) % ledgerTo }

func (e *exchange) run() {
	for id := range uint64(e.n) {
		e.Send(id, to(id))
		if !e.skip[id] {
			e.Arrive(id, to(id), true)
		}
	}
}

// TestEveryFaultIsCountedExactly plants one kind of fault at a time, once and
// several times.
func TestEveryFaultIsCountedExactly(t *testing.T) {
	for _, times := range []int{1, 7} {
		victims := make([]uint64, times)
		for i := range victims {
			victims[i] = uint64(i*13 + 4)
		}
		for _, c := range []struct {
			fault string
			plant func(e *exchange)
			want  Account
		}{
			{"none", func(e *exchange) { e.run() }, Account{Sent: 120, Delivered: 120}},
			{"lost", func(e *exchange) {
				for _, v := range victims {
					e.skip[v] = true
				}
				e.run()
			}, Account{Sent: 120, Delivered: 120 - times, Lost: times}},
			{"duplicated", func(e *exchange) {
				e.run()
				for _, v := range victims {
					e.Arrive(v, to(v), true)
				}
			}, Account{Sent: 120, Delivered: 120, Duplicated: times}},
			{"duplicated twice", func(e *exchange) {
				e.run()
				for _, v := range victims {
					e.Arrive(v, to(v), true)
					e.Arrive(v, to(v), true)
				}
			}, Account{Sent: 120, Delivered: 120, Duplicated: 2 * times}},
			{"reordered", func(e *exchange) {
				for _, v := range victims {
					e.skip[v] = true // and the next to the same destination comes first
				}
				for id := range uint64(e.n) {
					e.Send(id, to(id))
					if !e.skip[id] {
						e.Arrive(id, to(id), true)
					}
					if id >= ledgerTo && e.skip[id-ledgerTo] {
						e.Arrive(id-ledgerTo, to(id), true)
					}
				}
			}, Account{Sent: 120, Delivered: 120, Reordered: times}},
			{"corrupted", func(e *exchange) {
				for _, v := range victims {
					e.skip[v] = true
					e.Arrive(v, to(v), false)
				}
				e.run()
			}, Account{Sent: 120, Delivered: 120 - times, Corrupted: times, Lost: times}},
			{"misrouted", func(e *exchange) {
				for _, v := range victims {
					e.skip[v] = true
				}
				e.run()
				for _, v := range victims {
					e.Arrive(v, (to(v)+1)%ledgerTo, true)
				}
			}, Account{Sent: 120, Delivered: 120 - times, Misrouted: times, Lost: times}},
			{"misrouted to nowhere", func(e *exchange) {
				e.run()
				for _, v := range victims {
					e.Arrive(v, -1, true)
				}
			}, Account{Sent: 120, Delivered: 120, Misrouted: times}},
			{"phantom: never sent", func(e *exchange) {
				for _, v := range victims {
					e.Arrive(v, to(v), true)
					e.skip[v] = true
				}
				e.run() // sent only now, and lost
			}, Account{Sent: 120, Delivered: 120 - times, Lost: times, Phantom: times}},
			{"phantom: does not exist", func(e *exchange) {
				e.run()
				for _, v := range victims {
					e.Arrive(v+1000, to(v), true)
				}
			}, Account{Sent: 120, Delivered: 120, Phantom: times}},
			{"phantom: refused", func(e *exchange) {
				e.run()
				for _, v := range victims {
					e.Refused(v)
				}
			}, Account{Sent: 120, Delivered: 120 - times, Refused: times, Phantom: times}},
			{"refused, which is no fault", func(e *exchange) {
				for _, v := range victims {
					e.skip[v] = true
					e.Refused(v)
				}
				e.run()
			}, Account{Sent: 120, Delivered: 120 - times, Refused: times}},
		} {
			e := newExchange()
			c.plant(e)
			got := e.Audit(true)
			assert.Equal(t, got.Clean(), len(got.Examples) == 0, "%s: examples", c.fault)
			assert.LessOrEqual(t, len(got.Examples), MaxExamples)
			got.Examples = nil
			assert.Equal(t, c.want, got, c.fault)
			if !got.Clean() {
				kind, _, _ := strings.Cut(strings.Fields(c.fault)[0], ":")
				assert.Contains(t, got.String(), " "+kind, "the sentence names the fault")
			} else {
				assert.Contains(t, got.String(), "clean")
			}
			unordered := e.Audit(false)
			assert.Zero(t, unordered.Reordered)
			assert.Equal(t, c.want.Lost, unordered.Lost)
		}
	}
}

func TestOrderIsOfOneSenderToOneDestination(t *testing.T) {
	l := NewLedger(6, 3, 2)
	for id, to := range []int{0, 1, 0, 0, 0, 0} {
		l.Send(uint64(id), to)
	}
	// Sender 1 before sender 0, destination 1 before destination 0: all free.
	for _, id := range []uint64{3, 1, 4, 0, 5, 2} {
		l.Arrive(id, []int{0, 1, 0, 0, 0, 0}[id], true)
	}
	assert.True(t, l.Audit(true).Clean(), l.Audit(true))
}

func TestAccountsAddUp(t *testing.T) {
	times := func(n int, examples ...string) Account {
		return Account{
			Sent: n, Refused: 2 * n, Delivered: 3 * n, Lost: 4 * n, Duplicated: 5 * n, Reordered: 6 * n,
			Corrupted: 7 * n, Misrouted: 8 * n, Phantom: 9 * n, Examples: examples,
		}
	}
	a, b := times(1, "a"), times(10, "b")
	assert.Equal(t, times(11, "a", "b"), a.Add(b))
	assert.Equal(t, []string{"a"}, a.Examples, "the summands stay as they are")
	assert.Equal(t, 4+5+6+7+8+9, a.Faults())
}

func TestLedgerIsSmall(t *testing.T) {
	assert.EqualValues(t, 16, unsafe.Sizeof(message{}))
}

// TestLedgerUnderConcurrency has many destinations take what many senders sent
// at once, a few of it twice.
func TestLedgerUnderConcurrency(t *testing.T) {
	const senders, each, destinations = 8, 2000, 16
	l := NewLedger(senders*each, each, destinations)
	lines := make([]chan uint64, destinations)
	var sending, receiving sync.WaitGroup
	for d := range lines {
		lines[d] = make(chan uint64, 64)
		receiving.Go(func() {
			for id := range lines[d] {
				l.Arrive(id, d, true)
				if id%1000 == 0 {
					l.Arrive(id, d, true)
				}
			}
		})
	}
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				id := uint64(s*each + i)
				d := int(id*7) % destinations
				l.Send(id, d)
				lines[d] <- id
			}
		})
	}
	sending.Wait()
	for _, line := range lines {
		close(line)
	}
	receiving.Wait()
	a := l.Audit(true)
	assert.Equal(t, senders*each, a.Delivered)
	assert.Equal(t, senders*each/1000, a.Duplicated)
	assert.Equal(t, senders*each/1000, a.Faults())
}

// modelLedger is an account kept the obvious way: what was sent, and the list
// of what arrived.
type modelLedger struct {
	perSender int
	sent      []int // destination of each; -1 while not sent
	refused   []bool
	arrivals  []uint64 // in order, of those that came out where they should
	account   Account
}

func (m *modelLedger) arrive(id uint64, at int, intact bool) {
	switch {
	case !intact:
		m.account.Corrupted++
	case id >= uint64(len(m.sent)) || m.sent[id] < 0:
		m.account.Phantom++
	case m.sent[id] != at:
		m.account.Misrouted++
	default:
		m.arrivals = append(m.arrivals, id)
	}
}

func (m *modelLedger) audit() Account {
	a := m.account
	first := func(id int) int { // place of the first arrival; -1 for none
		for place, arrived := range m.arrivals {
			if arrived == uint64(id) {
				return place
			}
		}
		return -1
	}
	for id, to := range m.sent {
		if to < 0 {
			continue
		}
		a.Sent++
		times := 0
		for _, arrived := range m.arrivals {
			if arrived == uint64(id) {
				times++
			}
		}
		switch {
		case m.refused[id]:
			a.Refused++
			if times > 0 {
				a.Phantom++
			}
			continue
		case times == 0:
			a.Lost++
			continue
		}
		a.Delivered++
		a.Duplicated += times - 1
		for earlier := range id {
			sameWay := m.sent[earlier] == to && earlier/m.perSender == id/m.perSender && !m.refused[earlier]
			if sameWay && first(earlier) > first(id) {
				a.Reordered++
				break
			}
		}
	}
	return a
}

// play has both ledgers see the same: three bytes make one event.
func play(t *testing.T, perSender uint8, events []byte) {
	const n, destinations = 24, 3
	each := int(perSender)%n + 1
	l := NewLedger(n, each, destinations)
	m := &modelLedger{perSender: each, sent: make([]int, n), refused: make([]bool, n)}
	for id := range m.sent {
		m.sent[id] = -1
	}
	for ; len(events) >= 3; events = events[3:] {
		id, at := uint64(events[1])%(n+2), int(events[2])%(destinations+1)
		known := id < n
		switch what := events[0] % 8; {
		case what < 2 && known && m.sent[id] < 0 && at < destinations:
			l.Send(id, at)
			m.sent[id] = at
		case what == 2 && known:
			l.Refused(id)
			m.refused[id] = true
		case what == 3:
			l.Arrive(id, at, false)
			m.arrive(id, at, false)
		case what > 4 && known && m.sent[id] >= 0: // where it should
			l.Arrive(id, m.sent[id], true)
			m.arrive(id, m.sent[id], true)
		case what == 4:
			l.Arrive(id, at, true)
			m.arrive(id, at, true)
		}
	}
	got := l.Audit(true)
	require.LessOrEqual(t, len(got.Examples), MaxExamples)
	got.Examples = nil
	require.Equal(t, m.audit(), got)
}

func TestLedgerAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		events := make([]byte, 3*random.IntN(150))
		for i := range events {
			events[i] = byte(random.Uint32())
		}
		play(t, byte(random.Uint32()), events)
	}
}

func FuzzLedger(f *testing.F) {
	f.Add(byte(7), []byte("\x00\x00\x00\x00\x01\x00\x05\x01\x00\x05\x00\x00\x05\x00\x00"))
	f.Add(byte(2), []byte("\x04\x00\x00\x02\x01\x00\x03\x19\x03"))
	f.Fuzz(func(t *testing.T, perSender byte, events []byte) {
		if len(events) <= 3000 {
			play(t, perSender, events)
		}
	})
}
