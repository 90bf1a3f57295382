package queuetest

import "time"

// wrong is a promise that does not hold.
type wrong struct {
	criterion, format string
	args              []any
	at                place
	late              *message // that should have come before another
}

func violation(criterion, format string, args ...any) *wrong {
	return &wrong{criterion: criterion, format: format, args: args}
}

func (w *wrong) happens(m *model) { m.Violate(w.criterion, w.format, w.args...) }

const (
	// restFor is more than time may pass ahead of the last instant at which nothing
	// could run. Where nothing has moved for so long, all that came before has got
	// as far as it can.
	restFor = 60 * time.Millisecond
	// A subject may go on by itself, but not forever.
	mostMoves = 200
	// A subject may look only now and then whether something is to be done: what
	// is wrong must be so for long, in virtual time. Together it is less than
	// exploredVisibility.
	restTimes = 7
)

// Rest waits until nothing goes on any more, and judges.
func (m *model) Rest() {
	m.judge()
	if o := m.passedOver; o != nil {
		for came := m.closing; !came; { // does the other come at all?
			c := m.consumer(o.at)
			m.judge()
			came = len(c.got) == 0 || c.got[0].m == o.late
		}
		o.happens(m)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = nil
	clear(m.leftNow)
	m.began = time.Now()
	for _, d := range m.deliveries {
		d.claimed = false
	}
	for _, c := range m.callers {
		c.waited = c.waits()
	}
}

// judge waits until what must hold at rest does.
func (m *model) judge() {
	pause := restFor
	for try := 0; ; try++ {
		m.settle(pause)
		w := m.wrong()
		switch {
		case w == nil:
			return
		case try == restTimes:
			w.happens(m)
		case try == restTimes/2 && w.criterion == "redelivery" && m.dead != nil: // has it died?
			m.consumer(place{queue: w.at.queue, dead: true})
		}
		pause *= 2
	}
}

// settle waits until nothing has moved for so long.
func (m *model) settle(pause time.Duration) {
	for range mostMoves {
		m.mu.Lock()
		before := m.moves
		sleep := max(time.Until(m.asleep), 0) + pause
		m.mu.Unlock()
		time.Sleep(sleep)
		m.mu.Lock()
		still := m.moves == before && len(m.under) == 0
		m.mu.Unlock()
		if still {
			return
		}
	}
}

// wrong says what does not hold at rest.
func (m *model) wrong() *wrong {
	m.mu.Lock()
	defer m.mu.Unlock()
	for what := range m.under {
		return violation("lost", "%s has not returned", what)
	}
	consumers := make(map[place]*caller) // of those who wait, one at each place
	var publishers []*caller
	for _, c := range m.callers {
		switch {
		case !c.waits():
		case c.over():
			return violation("deadline", "%s has not returned, though its context has ended", c.call())
		case m.closed:
			return violation("close", "%s has not returned, though Close has", c.call())
		case len(c.sends) > 0:
			publishers = append(publishers, c)
		case consumers[c.at] == nil:
			consumers[c.at] = c
		}
	}
	if m.closing {
		return nil
	}
	m.look(consumers)
	if w := m.waitInVain(consumers); w != nil {
		return w
	}
	if m.passedOver == nil {
		m.passedOver = m.outOfOrder()
	}
	return m.outOfBounds(publishers)
}

// call names a call.
func (c *caller) call() string {
	if len(c.sends) > 0 {
		return "Publish of " + c.sent()
	}
	return "Receive of " + c.name
}

// look notes which messages are ready for sure, and which are not there.
func (m *model) look(consumers map[place]*caller) {
	now := time.Now()
	m.tick++
	for _, s := range m.messages {
		if s.there() && s.ready == 0 && s.back(now) {
			m.isReady(s)
		}
		if s.doubtful && s.back(now) && m.awaited(s, consumers) != nil {
			s.absent = true
		}
	}
}

// isReady notes that a message is ready for sure, and whether it has died.
func (m *model) isReady(s *message) {
	s.ready = m.tick
	if queue, _ := m.home(s); !queue && s.died == 0 {
		s.died = m.tick
	}
}

// awaited is a consumer who waits where a message must be. Where it may be in
// several places one waits in each.
func (m *model) awaited(s *message, consumers map[place]*caller) (c *caller) {
	queue, dead := m.home(s)
	for _, at := range [...]struct {
		place
		may bool
	}{{place{queue: s.by.at.queue}, queue}, {place{queue: s.by.at.queue, dead: true}, dead}} {
		if at.may {
			if c = consumers[at.place]; c == nil {
				return nil
			}
		}
	}
	return c
}

// waitInVain finds a consumer who waits though a message is ready.
func (m *model) waitInVain(consumers map[place]*caller) *wrong {
	for _, s := range m.messages {
		if s.ready == 0 || !s.there() {
			continue
		}
		c := m.awaited(s, consumers)
		if c == nil {
			continue
		}
		var w *wrong
		switch {
		case s.latest == nil:
			w = violation("lost", "%s waits at %v, though message %d was published to it and nothing else happens",
				c.name, c.at, s.number)
		case c.at.dead && !s.latest.at.dead:
			w = violation("dead_letter", "%s waits at %v, though message %d has had its %d attempts and nothing else happens",
				c.name, c.at, s.number, m.cfg.MaxAttempts)
		case s.latest.nacked:
			w = violation("redelivery", "%s waits at %v, though %s has refused message %d and nothing else happens",
				c.name, c.at, s.latest.by.name, s.number)
		default:
			w = violation("redelivery", "%s waits at %v, though the lease of message %d, which %s held, has ended",
				c.name, c.at, s.number, s.latest.by.name)
		}
		w.at = c.at
		return w
	}
	return nil
}

// outOfOrder finds a message that was delivered though one that had been published
// before it was ready all the time. Whether that one comes later, or never, is seen
// when the queue is drained.
func (m *model) outOfOrder() *wrong {
	for i, d := range m.fresh {
		if m.leftNow[d.at] {
			continue // what a consumer leaves with comes back a moment later
		}
		from := max(d.by.asked, d.from)
		for j, e := range m.fresh {
			later := e.by.asked > d.returned || e.by == d.by && j > i
			if later && e.at == d.at && e.ready > 0 && e.ready < from && m.first(e.m, d) {
				return m.misplaced(e.m, d)
			}
		}
		for _, s := range m.messages {
			if s.ready > 0 && s.ready < from && s.there() && m.at(s) == d.at && m.first(s, d) {
				return m.misplaced(s, d)
			}
		}
		m.Tried("reordered")
	}
	return nil
}

// at is where a message that is ready must be; the zero place with a queue of -1 if
// it may be in several.
func (m *model) at(s *message) place {
	queue, dead := m.home(s)
	if queue && dead {
		return place{queue: -1}
	}
	return place{queue: s.by.at.queue, dead: dead}
}

// first tells whether a message must be delivered before another, where both are
// ready. Dead letters come in the order in which they became such; so that of two
// which died in one stage nothing is known.
func (m *model) first(s *message, d *delivery) bool {
	return s != d.m && s.before(d.m) && (!d.at.dead || s.died > 0 && s.died < d.m.mayDie)
}

func (m *model) misplaced(s *message, d *delivery) *wrong {
	w := violation("reordered",
		"%s received message %d from %v, though message %d was ready, which had been published before",
		d.by.name, d.m.number, d.at, s.number)
	w.at, w.late = d.at, s
	switch {
	case s.latest == nil:
		return w
	case s.latest.nacked:
		w.format += ", and which %s had refused"
	default:
		w.format += ", and whose lease by %s had ended"
	}
	w.args = append(w.args, s.latest.by.name)
	return w
}

// counts tells whether a message is one of those that the bound of its queue is for, for sure:
// it is there, and can not be a dead letter yet.
func (m *model) counts(s *message, now time.Time) bool {
	if !s.there() || s.latest != nil && s.latest.at.dead {
		return false
	}
	_, dead := m.home(s)
	return !dead || s.latest != nil && s.latest.holds(now)
}

// outOfBounds finds a queue that holds more than it may, or has publishers wait for
// room that there is.
func (m *model) outOfBounds(publishers []*caller) *wrong {
	if m.full == nil {
		return nil
	}
	held, least := make([]int, m.cfg.Queues), make([]int, m.cfg.Queues)
	now := time.Now()
	for _, s := range m.messages {
		q := s.by.at.queue
		if s.by.returned > 0 && !s.acked && !s.absent && !s.buried {
			held[q]++
		}
		if m.counts(s, now) {
			least[q]++
		}
	}
	for q, n := range least {
		if n > m.cfg.MaxLen+m.left[place{queue: q}] {
			return violation("bounded", "queue %d holds %d messages, with those that were received and not acknowledged: "+
				"it may hold %d", q, n, m.cfg.MaxLen)
		}
	}
	most := make([]*caller, m.cfg.Queues)
	for _, c := range publishers {
		if q := c.at.queue; most[q] == nil || len(c.sends) > len(most[q].sends) {
			most[q] = c
		}
	}
	for q, c := range most {
		if c == nil {
			continue
		}
		m.Tried("bounded")
		if held[q]+len(c.sends) <= m.cfg.MaxLen {
			return violation("bounded", "Publish of %s waits for room, though queue %d holds at most %d messages of %d",
				c.sent(), q, held[q], m.cfg.MaxLen)
		}
		if m.cfg.Reject {
			return violation("bounded", "Publish of %s waits, though a full queue is to refuse", c.sent())
		}
	}
	return nil
}
