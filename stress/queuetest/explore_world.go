package queuetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
)

// model is a broker of the subject for one program, and what must hold of it.
type model struct {
	*programs.Program
	cfg    Config
	broker Broker
	dead   DeadLetter // nil: no message becomes a dead letter
	full   error      // nil: the queues have no bound
	batch  Batching   // nil: the subject takes one message at a time

	mu         programs.Lock // of what follows
	tick       int           // counts calls and returns: their order
	began      time.Time     // when the acts of this stage did
	asleep     time.Time     // until when some of them do nothing
	callers    []*caller
	messages   []*message
	deliveries []*delivery
	fresh      []*delivery   // since the last rest
	left       map[place]int // consumers that left with an error
	leftNow    map[place]bool
	under      map[string]int // calls under way that wait for nobody, by name
	moves      int            // counts what was seen to happen
	passedOver *wrong         // a message that should have come before another
	closing    bool
	closed     bool
}

// place is where messages wait: a queue, or its dead letters.
type place struct {
	queue int
	dead  bool
}

func (p place) String() string {
	if p.dead {
		return fmt.Sprintf("the dead letters of queue %d", p.queue)
	}
	return fmt.Sprintf("queue %d", p.queue)
}

// caller is one call of Publish or Receive.
type caller struct {
	name   string
	at     place
	sends  []*message // none: it receives
	most   int        // how many it receives; 0 for one, by Receive
	ctx    context.Context
	cancel context.CancelFunc
	until  time.Time // the deadline, if there is one
	left   bool      // its context was ended

	asked, returned int // ticks, 0 for not yet
	since           time.Time
	late            bool // it called when Close had returned
	err             error
	got             []*delivery
	waited          bool // for room, over a rest
}

// message is one that was published, or is being.
type message struct {
	number int
	by     *caller
	body   []byte

	attempts int       // deliveries that were seen
	latest   *delivery // nil: never delivered
	due      time.Time // when it has come back for sure, if its latest holder does not acknowledge it
	from     int       // tick since which it may be ready
	ready    int       // tick since which it is for sure, 0 if it may not be
	buried   bool      // it was received as a dead letter
	buriedAt int       // the tick
	mayDie   int       // tick since which it may be a dead letter, 0 for not known
	died     int       // tick since which it is for sure
	acked    bool
	gone     int  // the tick
	doubtful bool // it may not be there
	absent   bool // it was not, at the last rest
}

// delivery is a message that was received.
type delivery struct {
	Delivery
	m         *message
	by        *caller
	at        place
	attempt   int
	returned  int
	from      int // of the message, as it was
	ready     int
	until     time.Time // the lease lasts at least so long
	acking    bool
	acked     bool
	nacking   bool
	nacked    bool
	notBefore time.Time // the end of the delay, where it was refused for a while
	claimed   bool      // an act of this stage uses it
}

// exploredVisibility is virtual. It is longer than the kit waits at rest for what
// must happen by itself, so that a lease which nobody has does not pass for a pause.
const exploredVisibility = 20 * time.Second

// lateness is how late a subject may heed a limit in time, in times the limit: it
// may look only now and then.
const lateness = 2

// newModel makes a broker whose queues, attempts and bounds are drawn.
func newModel(p *programs.Program, tb testing.TB, open func(testing.TB, Config) Broker, o offers) *model {
	m := &model{Program: p}
	m.cfg = Config{Queues: [...]int{1, 2, 1, 3}[p.Draw(4)], Visibility: exploredVisibility}
	if o.dead {
		m.cfg.MaxAttempts = [...]int{0, 2, 1, 3, 0}[p.Draw(5)]
	}
	if o.bounded {
		m.cfg.MaxLen = [...]int{0, 2, 1, 3, 0, 0}[p.Draw(6)]
		m.cfg.Reject = m.cfg.MaxLen > 0 && p.Draw(3) == 2
	}
	m.make(tb, open)
	return m
}

// make opens the broker.
func (m *model) make(tb testing.TB, open func(testing.TB, Config) Broker) {
	m.broker = open(tb, m.cfg)
	m.left, m.leftNow, m.under = make(map[place]int), make(map[place]bool), make(map[string]int)
	if m.cfg.MaxAttempts > 0 {
		m.dead, _ = m.broker.(DeadLetter)
	}
	if b, ok := m.broker.(Bounded); ok && m.cfg.MaxLen > 0 {
		m.full = b.Full()
	}
	m.batch, _ = m.broker.(Batching)
	m.began = time.Now()
	m.Step(m.setup())
}

func (m *model) setup() string {
	text := "1 queue"
	if n := m.cfg.Queues; n > 1 {
		text = fmt.Sprintf("%d queues", n)
	}
	text += fmt.Sprintf(", leases of %v", m.cfg.Visibility)
	if m.dead != nil {
		text += fmt.Sprintf(", dead after %d attempts", m.cfg.MaxAttempts)
	}
	switch {
	case m.full != nil && m.cfg.Reject:
		text += fmt.Sprintf(", %d messages at most, refuses more", m.cfg.MaxLen)
	case m.full != nil:
		text += fmt.Sprintf(", %d messages at most", m.cfg.MaxLen)
	}
	return text
}

// caller makes a caller who has not called yet.
func (m *model) caller(at place, ctx context.Context, cancel context.CancelFunc) *caller {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &caller{name: programs.Letter(len(m.callers)), at: at, ctx: ctx, cancel: cancel}
	m.callers = append(m.callers, c)
	return c
}

// publisher makes a caller who is to publish n messages in a call.
func (m *model) publisher(queue, n int, ctx context.Context, cancel context.CancelFunc) *caller {
	c := m.caller(place{queue: queue}, ctx, cancel)
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		s := &message{number: len(m.messages) + 1, by: c}
		s.body = payload.Body(uint64(s.number))
		m.messages = append(m.messages, s)
		c.sends = append(c.sends, s)
	}
	return c
}

// is says where a caller stands.
func (c *caller) is() string {
	switch {
	case c.asked == 0:
		return "not yet"
	case c.returned == 0:
		return "waits"
	case c.err != nil:
		return c.err.Error()
	case len(c.sends) > 0:
		return "done"
	case len(c.got) == 0:
		return "nothing"
	}
	text := fmt.Sprintf("message %d, attempt %d", c.got[0].m.number, c.got[0].attempt)
	if n := len(c.got); n > 1 {
		text = fmt.Sprintf("%d messages from %d", n, c.got[0].m.number)
	}
	return text
}

// sent names the messages of a publisher.
func (c *caller) sent() string {
	first, last := c.sends[0].number, c.sends[len(c.sends)-1].number
	if first == last {
		return fmt.Sprintf("message %d", first)
	}
	return fmt.Sprintf("messages %d to %d", first, last)
}

// over tells whether the caller's context has ended, at rest: to ask the context
// would be a point of the schedule.
func (c *caller) over() bool {
	return c.left || !c.until.IsZero() && !time.Now().Before(c.until)
}

// waits tells whether the call is under way.
func (c *caller) waits() bool { return c.asked > 0 && c.returned == 0 }

// home is where a message is once it is ready. Deliveries to consumers that left may
// count as attempts: both may be so then.
func (m *model) home(s *message) (queue, dead bool) {
	switch {
	case m.dead == nil:
		return true, false
	case s.buried, s.attempts >= m.cfg.MaxAttempts:
		return false, true
	}
	return true, s.attempts+m.left[place{queue: s.by.at.queue}] >= m.cfg.MaxAttempts
}

// confirmed tells whether Publish returned nil.
func (s *message) confirmed() bool { return s.by.returned > 0 && s.by.err == nil }

// there tells whether a message is in the broker for sure.
func (s *message) there() bool {
	return !s.acked && !s.doubtful && (s.confirmed() || s.latest != nil)
}

// back tells whether nobody can hold a message any more.
func (s *message) back(now time.Time) bool {
	return s.latest == nil || !now.Before(s.due)
}

// before tells whether a message was published before another for sure.
func (s *message) before(other *message) bool {
	if s.by == other.by {
		return s.number < other.number
	}
	return s.confirmed() && s.by.returned < other.by.asked
}

// holds tells whether a delivery is a lease for sure.
func (d *delivery) holds(now time.Time) bool {
	return d.m.latest == d && !d.m.acked && !d.acking && !d.nacking && !d.nacked && now.Before(d.until)
}
