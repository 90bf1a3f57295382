package queuetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tensile/stress/internal/powercut"
)

// powerLedger is what the ledger of the calls says of each message.
type powerLedger struct {
	published map[int]bool // called, and whether it was confirmed
	queue     map[int]int
	touched   map[int]bool // may have been received
	acked     map[int]bool // an acknowledgement was called, and whether it was confirmed
}

func newPowerLedger(p powerProgram, l powercut.Ledger) powerLedger {
	s := powerLedger{make(map[int]bool), make(map[int]int), make(map[int]bool), make(map[int]bool)}
	unknown := make(map[int]bool) // queues of which something may have been received
	for n, op := range p.Ops {
		e := l[n]
		if !e.Begun() {
			continue
		}
		switch op.Verb {
		case powerPublish:
			for i := range op.Count {
				s.published[n*powerBatch+i], s.queue[n*powerBatch+i] = e.Confirmed(), op.Queue
			}
		case powerReceive:
			if !e.Confirmed() {
				unknown[op.Queue] = true
			}
			for _, m := range receivedBy(e) {
				s.touched[m] = true
			}
		case powerAck:
			for _, m := range receivedBy(l[op.Of]) {
				s.acked[m] = s.acked[m] || e.Confirmed()
			}
			if !l[op.Of].Confirmed() { // it may have received something all the same
				for m, q := range s.queue {
					if _, known := s.acked[m]; q == op.Queue && !known {
						s.acked[m] = false
					}
				}
			}
		}
	}
	for m, q := range s.queue {
		s.touched[m] = s.touched[m] || unknown[q]
	}
	return s
}

// receivedBy are the messages that a receive has returned.
func receivedBy(e powercut.Entry) (all []int) {
	for _, field := range strings.Fields(e.Result) {
		if n, err := strconv.Atoi(field); err == nil {
			all = append(all, n)
		}
	}
	return all
}

func judgePower(p powerProgram, l powercut.Ledger, found powerFound) *powercut.Violation {
	wrong := func(kind, format string, args ...any) *powercut.Violation {
		return &powercut.Violation{Kind: kind, Text: fmt.Sprintf(format, args...)}
	}
	s := newPowerLedger(p, l)
	seen := make(map[int]bool)
	for q, list := range found.Queues {
		last := -1 // of those that nobody can have received
		for at, m := range slices.Concat(list, found.Dead[q]) {
			dead := at >= len(list)
			_, published := s.published[m.Number]
			_, acking := s.acked[m.Number]
			switch {
			case m.Wrong != "":
				return wrong("in part", "queue %d has %s", q, m.Wrong)
			case !published || s.queue[m.Number] != q:
				return wrong("invented", "queue %d has message %d, which was not published to it", q, m.Number)
			case acking && s.acked[m.Number]:
				return wrong("came back", "message %d came back from queue %d though its acknowledgement had been confirmed",
					m.Number, q)
			case seen[m.Number]:
				return wrong("twice", "message %d was acknowledged after the cut and came again", m.Number)
			case dead && !s.touched[m.Number]:
				return wrong("buried", "message %d is a dead letter of queue %d, and nobody had received it", m.Number, q)
			}
			seen[m.Number] = seen[m.Number] || m.Acked
			if dead || s.touched[m.Number] {
				continue
			}
			if m.Number < last {
				return wrong("reordered", "message %d came behind message %d, which was published later", m.Number, last)
			}
			last = m.Number
		}
	}
	there := func(m int) bool {
		has := func(all []powerMessage) bool {
			return slices.ContainsFunc(all, func(x powerMessage) bool { return x.Number == m })
		}
		return has(found.Queues[s.queue[m]]) || has(found.Dead[s.queue[m]])
	}
	for n, op := range p.Ops {
		for i := range op.Count {
			m := n*powerBatch + i
			_, acking := s.acked[m]
			if op.Verb == powerPublish && s.published[m] && !acking && !there(m) {
				return wrong("lost", "message %d was confirmed and is not there", m)
			}
		}
	}
	switch {
	case len(found.Damaged) > 0:
		return wrong("damage", "the broker reports damage at offset %d of %s, and the power had only been cut",
			found.Damaged[0].Offset, found.Damaged[0].File)
	case found.Later != "":
		return wrong("unstable", "%s", found.Later)
	}
	return nil
}

// samePower compares the messages that nobody can have received: when those come that
// somebody had is a matter of time.
func samePower(p powerProgram, l powercut.Ledger, a, b powerFound) string {
	s := newPowerLedger(p, l)
	untouched := func(f powerFound, q int) (all []int) {
		for _, m := range f.Queues[q] {
			if !s.touched[m.Number] {
				all = append(all, m.Number)
			}
		}
		return all
	}
	for q := range min(len(a.Queues), len(b.Queues)) {
		if first, second := untouched(a, q), untouched(b, q); !slices.Equal(first, second) {
			return fmt.Sprintf("opened a second time queue %d has %s, and had %s", q, powerNumbers(second), powerNumbers(first))
		}
	}
	return ""
}

// printPower says what was found, and what should have been.
func printPower(p powerProgram, l powercut.Ledger, found powerFound) string {
	s := newPowerLedger(p, l)
	var lines []string
	for q, list := range found.Queues {
		var has, dead, owed []string
		for _, m := range list {
			has = append(has, strings.TrimSpace(fmt.Sprintf("%d %s", m.Number, m.Wrong)))
		}
		for _, m := range found.Dead[q] {
			dead = append(dead, strings.TrimSpace(fmt.Sprintf("%d %s", m.Number, m.Wrong)))
		}
		for n, op := range p.Ops {
			for i := range op.Count {
				m := n*powerBatch + i
				confirmed, published := s.published[m]
				acked, acking := s.acked[m]
				switch {
				case op.Verb != powerPublish || op.Queue != q || !published || acked:
				case confirmed && !acking:
					owed = append(owed, strconv.Itoa(m))
				default:
					owed = append(owed, fmt.Sprintf("%d or not", m))
				}
			}
		}
		line := fmt.Sprintf("queue %d has [%s], and owes [%s]", q, strings.Join(has, ", "), strings.Join(owed, ", "))
		if len(dead) > 0 {
			line += fmt.Sprintf("; its dead letters are [%s]", strings.Join(dead, ", "))
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
