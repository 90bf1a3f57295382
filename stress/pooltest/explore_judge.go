package pooltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/programs"
)

// caller makes a caller who has not called yet.
func (m *model) caller(ctx context.Context, cancel context.CancelFunc) *caller {
	c := &caller{name: programs.Letter(len(m.callers)), ctx: ctx, cancel: cancel}
	m.callers = append(m.callers, c)
	return c
}

// is says where a caller stands.
func (c *caller) is() string {
	switch {
	case c.asked.IsZero():
		return "not yet"
	case c.state == waiting:
		return "waits"
	case c.err != nil:
		return c.err.Error()
	case c.wire != nil:
		return fmt.Sprintf("connection %d", c.wire.number)
	}
	return "served"
}

// over tells whether the caller's context has ended, at rest: to ask the context
// would be a point of the schedule.
func (c *caller) over() bool {
	return c.left || !c.until.IsZero() && !time.Now().Before(c.until)
}

// acquire calls Acquire and judges what it returns. It reports whether the caller
// then holds a connection.
func (m *model) acquire(c *caller) bool {
	m.mu.Lock()
	m.moves++
	c.asked, c.stage, c.late = time.Now(), m.stage, m.closed
	if m.overflow != nil {
		now := m.in(waiting)
		for _, other := range now {
			other.crowd = max(other.crowd, len(now)-1)
		}
	}
	m.mu.Unlock()
	l, err := m.pool.Acquire(c.ctx)
	over := c.ctx.Err()
	if err == nil && l == nil {
		m.Violate("served", "Acquire of %s returned neither a lease nor an error", c.name)
	}
	if err != nil {
		m.fails(c, err, over)
		return false
	}
	return m.serves(c, l)
}

// fails judges an error of Acquire. over is what the context says.
func (m *model) fails(c *caller, err, over error) {
	m.mu.Lock()
	m.moves++
	c.state, c.err = done, err
	closing, refused := m.closing, m.refused
	m.mu.Unlock()
	switch {
	case over != nil && errors.Is(err, over):
		m.Tried("deadline")
	case m.overflow != nil && errors.Is(err, m.overflow):
		m.Tried("overflow")
		if c.crowd < m.cfg.MaxWaiters {
			m.Violate("overflow", "%s was refused with %q, though at most %d others were waiting: %d may",
				c.name, err, c.crowd, m.cfg.MaxWaiters)
		}
	case closing:
		m.Tried("close")
	case refused && errors.Is(err, errDial):
	case over != nil:
		m.Violate("deadline", "Acquire of %s returned %q when its context had ended: must be %q", c.name, err, over)
	default:
		m.Violate("served", "Acquire of %s returned %q, though its context had not ended and the pool was open", c.name, err)
	}
}

// serves judges what Acquire has lent.
func (m *model) serves(c *caller, l Lease) bool {
	w := unwrap[*wire](l.Conn())
	if w == nil {
		m.Violate("exclusive", "%s was lent %T, which the kit did not dial", c.name, l.Conn())
	}
	m.busy(func() { m.lends(c, l, w) })
	return true
}

// lends judges the connection that a caller was lent.
func (m *model) lends(c *caller, l Lease, w *wire) {
	m.mu.Lock()
	c.state, c.lease, c.wire = holding, l, w
	other := w.holder
	w.holder = c
	m.fresh = append(m.fresh, c)
	lent := m.lent()
	m.mu.Unlock()
	m.Tried("exclusive")
	switch {
	case other != nil:
		m.Violate("exclusive", "%s and %s hold connection %d at once", other.name, c.name, w.number)
	case w.discarded:
		m.Violate("broken", "%s was lent connection %d, which had been discarded as broken", c.name, w.number)
	case w.closed:
		m.Violate("broken", "%s was lent connection %d, which is closed", c.name, w.number)
	case c.late:
		m.Violate("close", "Acquire of %s succeeded after Close had returned", c.name)
	case lent > m.cfg.Size:
		m.Violate("bound", "%d connections are lent by a pool of size %d", lent, m.cfg.Size)
	}
	m.inTime(c, w)
	m.use(c)
}

// inTime judges the limits in time of a connection that was lent.
func (m *model) inTime(c *caller, w *wire) {
	from := c.asked // who waits is lent what is given back then
	if w.freed.After(from) {
		from = w.freed
	}
	if limit := m.cfg.MaxLifetime; m.limits.Lifetime && limit > 0 {
		if age := from.Sub(w.born); age >= lateness*limit {
			m.Violate("lifetime", "%s was lent connection %d at the age of %v, the limit is %v",
				c.name, w.number, age, limit)
		}
		m.Tried("lifetime")
	}
	idle := c.asked.Sub(w.freed)
	if limit := m.cfg.MaxIdleTime; m.limits.Idle && limit > 0 {
		if idle >= lateness*limit {
			m.Violate("idle", "%s was lent connection %d, which had been idle for %v, the limit is %v",
				c.name, w.number, idle, limit)
		}
		m.Tried("idle")
	}
	if after := m.cfg.CheckAfter; m.limits.Health && m.cfg.Check != nil && idle >= lateness*after {
		if c.asked.Sub(w.sound) >= lateness*after {
			m.Violate("health", "%s was lent connection %d without a health check that found it fit, after %v idle; "+
				"checks are due after %v", c.name, w.number, idle, after)
		}
		m.Tried("health")
	}
}

// use sends a request over the connection that a caller holds, and judges the reply.
func (m *model) use(c *caller) {
	var f, reply echo.Frame
	id := uint64(c.wire.number)<<32 | uint64(c.stage)
	f.Request(id)
	err := exchangeOver(c.lease.Conn(), &f, &reply)
	over := c.ctx.Err()
	m.mu.Lock()
	dead, mine := c.wire.dead, c.wire.holder == c
	m.mu.Unlock()
	got, ok := reply.Answers()
	switch {
	case err != nil && (dead || over != nil): // it will be discarded
	case errors.Is(err, os.ErrDeadlineExceeded):
		m.Violate("exclusive", "connection %d fails while %s holds it, with %q: "+
			"somebody has set a deadline on it, and not its holder", c.wire.number, c.name, err)
	case err != nil && mine:
		m.Violate("broken", "connection %d fails while %s holds it, with %q, and its peer is there",
			c.wire.number, c.name, err)
	case err == nil && (!ok || got != id):
		m.Violate("crosstalk", "%s got a reply over connection %d that is not to its request", c.name, c.wire.number)
	}
	m.Tried("crosstalk")
}

// giveBack ends a lease: a connection that failed is discarded.
func (m *model) giveBack(c *caller, discard bool) {
	m.mu.Lock()
	w := c.wire
	discard = discard || w.failed
	c.state, w.holder, w.freed = done, nil, time.Now()
	w.discarded = w.discarded || discard
	m.mu.Unlock()
	m.busy(func() {
		if discard {
			c.lease.Discard()
		} else {
			c.lease.Release()
		}
	})
}

// leave ends the context of a caller.
func (m *model) leave(c *caller) {
	m.mu.Lock()
	c.left, m.gone = true, true
	for _, d := range m.dials {
		d.gone = true
	}
	waits := c.state == waiting
	m.mu.Unlock()
	if waits {
		m.Event(leaves)
	}
	c.cancel()
}

// shut calls Close.
func (m *model) shut() {
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	err := m.pool.Close()
	m.mu.Lock()
	m.closed = true
	holders := m.in(holding)
	m.mu.Unlock()
	if err != nil {
		m.Violate("close", "Close returned %q", err)
	}
	if len(holders) > 0 {
		m.Violate("close", "Close returned while %s held connection %d", holders[0].name, holders[0].wire.number)
	}
	m.Tried("close")
}

// busy does what must have ended before anything is at rest.
func (m *model) busy(f func()) {
	m.mu.Lock()
	m.working++
	m.mu.Unlock()
	f()
	m.mu.Lock()
	m.working--
	m.moves++
	m.mu.Unlock()
}

// in are the callers in a state; the lock is held, or all is at rest.
func (m *model) in(s state) (found []*caller) {
	for _, c := range m.callers {
		if c.state == s && !c.asked.IsZero() {
			found = append(found, c)
		}
	}
	return found
}

// lent is the number of connections that somebody holds; the lock is held.
func (m *model) lent() (n int) {
	for _, c := range m.callers {
		if c.state == holding {
			n++
		}
	}
	return n
}

// wrong is a promise that does not hold.
type wrong struct {
	criterion, format string
	args              []any
}

const (
	// restFor is more than time may pass ahead of the last instant at which nothing
	// could run. Where nothing has moved for so long, all that came before has got
	// as far as it can.
	restFor = 60 * time.Millisecond
	// A subject may go on by itself, but not forever.
	mostMoves = 200
	// A subject may look only now and then whether something is to be done: what
	// is wrong must be so for long, in virtual time.
	restTimes = 9
)

// Rest waits until nothing goes on any more, and judges.
func (m *model) Rest() {
	pause := restFor
	for try := 0; ; try++ {
		m.settle(pause)
		w := m.wrong()
		if w == nil {
			break
		}
		if try == restTimes {
			m.Violate(w.criterion, w.format, w.args...)
		}
		pause *= 2
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stage++
	m.fresh = nil
	for _, c := range m.callers {
		c.claimed = false
	}
}

// settle waits until nothing has moved for so long.
func (m *model) settle(pause time.Duration) {
	for range mostMoves {
		m.mu.Lock()
		before := m.moves
		m.mu.Unlock()
		time.Sleep(pause)
		m.mu.Lock()
		still := m.moves == before && m.working == 0
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
	var over []*caller // who wait though their context has ended
	var wait []*caller
	for _, c := range m.in(waiting) {
		if c.over() {
			over = append(over, c)
		} else {
			wait = append(wait, c)
		}
	}
	heedless := slices.ContainsFunc(m.dials, func(d *dialling) bool { return d.late })
	if len(over) > 0 && !heedless {
		return &wrong{"deadline", "Acquire of %s has not returned, though its context has ended", []any{over[0].name}}
	}
	if len(m.dials)+len(m.checks) > 0 {
		return nil // the rest depends on these
	}
	if w := m.outOfOrder(wait); w != nil {
		return w
	}
	lent := m.lent()
	switch {
	case len(wait) > 0 && m.closing && lent == 0:
		return &wrong{"close", "%s waits in a pool that was closed, and nothing is lent", []any{wait[0].name}}
	case len(wait) > 0 && !m.closing && lent < m.cfg.Size:
		return &wrong{"served", "%s waits, though %d of %d connections are lent and nothing else happens",
			[]any{wait[0].name, lent, m.cfg.Size}}
	case m.overflow != nil && len(wait) > m.cfg.MaxWaiters:
		return &wrong{"overflow", "%d callers wait, of whom %d may", []any{len(wait), m.cfg.MaxWaiters}}
	case m.closing && !m.closed && lent == 0:
		return &wrong{"close", "Close has not returned, though every connection is home", nil}
	case m.closed && m.open > 0:
		return &wrong{"leaks", "%d connections are open after Close has returned", []any{m.open}}
	}
	for _, w := range m.wires {
		if w.discarded && !w.closed {
			return &wrong{"broken", "connection %d was discarded and is still open", []any{w.number}}
		}
	}
	return nil
}

// outOfOrder finds who was served before somebody who waited when it came.
func (m *model) outOfOrder(wait []*caller) *wrong {
	if !m.ordered || len(wait) == 0 {
		return nil
	}
	first := slices.MinFunc(wait, func(a, b *caller) int { return a.stage - b.stage })
	for _, c := range m.fresh {
		if first.stage < c.stage {
			return &wrong{"order", "%s was served while %s waits, which had come before it", []any{c.name, first.name}}
		}
		m.Tried("order")
	}
	return nil
}
