package routertest

import (
	"slices"
	"time"

	"tensile/stress/internal/programs"
)

// wrong is a promise that does not hold.
type wrong struct {
	criterion, format string
	args              []any
	waits             *letter // has not come; or nil
}

const (
	// restFor is more than time may pass ahead of the last instant at which nothing
	// could run. Where nothing has moved for so long, all that came before has got
	// as far as it can.
	restFor = 60 * time.Millisecond
	// A subject may look only now and then whether something is to be done: what
	// is wrong must be so for long, in virtual time.
	restTimes = 8
)

// Rest waits until nothing goes on any more, and judges.
func (m *model) Rest() {
	pause := restFor
	for try := 0; ; try++ {
		programs.Settle(pause, m.seen)
		for _, n := range m.names {
			if c := m.explain(n); c != nil {
				m.blame(c)
			}
		}
		w := m.wrong()
		if w == nil {
			break
		}
		if try == restTimes {
			m.accuse(w)
		}
		pause *= 2
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rested, m.acts, m.asleep = m.clock, 0, false
}

// seen is how much has moved, and how many acts must end before anything is at rest.
func (m *model) seen() (moves, working int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moves, m.working
}

// wrong says what does not hold at rest.
func (m *model) wrong() *wrong {
	m.mu.Lock()
	inside, undelivered := m.inside(), m.undelivered()
	m.mu.Unlock()
	busy := make(map[*name]int) // lives whose handler is at work
	for _, l := range inside {
		busy[l.name]++
	}
	if w := m.stuck(busy); w != nil {
		return w
	}
	held := make(map[*life]int)
	for _, x := range undelivered {
		if busy[x.name] == 0 {
			return &wrong{waits: x}
		}
		if len(x.among) == 1 {
			held[x.among[0]]++
		}
	}
	for _, l := range inside {
		if held[l] > m.bound {
			return &wrong{"full", "%s holds %d messages beside the one that its handler is at work on: it must hold %d",
				[]any{l, held[l], m.bound}, nil}
		}
	}
	if m.closing && !m.closed && len(inside) == 0 {
		return &wrong{"close", "Close has not returned, though no message waits and no handler is at work", nil, nil}
	}
	return nil
}

// stuck finds a call that does not return. Unregister may wait for what its name has
// taken, and Register for an Unregister.
func (m *model) stuck(busy map[*name]int) *wrong {
	for _, n := range m.names {
		leaving := false
		pending := n.pending()
		for _, c := range pending {
			leaving = leaving || c.kind == callsUnregister
		}
		for _, c := range pending {
			switch {
			case leaving && c.kind != callsSend && busy[n] > 0:
			case c.by != nil:
				return &wrong{"handlers", "%s by the handler of %s has not returned, and nothing else happens", []any{c, c.by}, nil}
			default:
				return &wrong{"errors", "%s has not returned, and nothing else happens", []any{c}, nil}
			}
		}
	}
	return nil
}

// pending are the calls for a name that have not returned.
func (n *name) pending() (found []*call) {
	for _, c := range slices.Concat(n.open, n.fresh) {
		if c.end == 0 {
			found = append(found, c)
		}
	}
	return found
}

// accuse says what is wrong. Where a message does not come it tells apart whether it
// was held up by the handler of another name, or is lost.
func (m *model) accuse(w *wrong) {
	x := w.waits
	if x == nil {
		m.Violate(w.criterion, w.format, w.args...)
		return
	}
	others := m.inside()
	for _, n := range m.names {
		m.letGo(n, 0)
	}
	programs.Settle(restFor, m.seen)
	if len(others) > 0 && x.life != nil {
		m.Violate("fair", "message %d to %s did not come while %d handlers of other names were at work, such as that of %s",
			x.id, x.name.text, len(others), others[0])
	}
	m.Violate("lost", "message %d to %s, which was accepted, does not come, though its handler is not at work "+
		"and nothing else happens", x.id, x.name.text)
}
