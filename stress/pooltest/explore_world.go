package pooltest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/pipe"
	"tensile/stress/internal/programs"
)

// model is a pool of the subject with the seams around it, for one program, and what
// must hold of it.
type model struct {
	*programs.Program
	cfg      Config
	pool     Pool
	ordered  bool
	overflow error // nil: the subject does not bound its waiters
	limits   Limits

	mu      programs.Lock // of what follows
	stage   int           // counts the times at rest
	callers []*caller
	fresh   []*caller // served since the last rest
	wires   []*wire
	open    int        // connections, and dials under way
	plans   []dialPlan // how the next dials go
	dials   []*dialling
	checks  []*dialling // health checks that hang
	working int         // acts that must end before anything is at rest
	moves   int         // counts what was seen to happen
	hangs   int         // how many of the next health checks do
	refused bool        // a dial has failed
	gone    bool        // a context has ended
	closing bool
	closed  bool
}

// state is where a caller stands.
type state int

const (
	waiting state = iota // its Acquire has not returned
	holding
	done
)

// caller is one call of Acquire, and the lease that came of it.
type caller struct {
	name   string
	stage  int // in which it called
	ctx    context.Context
	cancel context.CancelFunc
	until  time.Time // the deadline, if there is one
	asked  time.Time
	crowd  int  // most others that were in Acquire meanwhile
	late   bool // it asked when Close had returned

	state   state
	err     error
	lease   Lease
	wire    *wire
	claimed bool // an act of this stage ends the lease, or uses it
	left    bool // its context was ended
}

// wire is a connection in memory to a peer that echoes.
type wire struct {
	*pipe.Conn
	m      *model
	peer   *pipe.Conn
	number int
	born   time.Time
	freed  time.Time // when it was given back, or dialled
	sound  time.Time // when the health check found it fit

	holder    *caller
	dead      bool // the peer has gone
	sick      bool // as the health check will find
	failed    bool // in a Read or a Write
	discarded bool
	closed    bool
}

// dialPlan says how a dial goes.
type dialPlan int

const (
	dialAtOnce dialPlan = iota
	dialFails
	dialSlow  // takes a while
	dialHangs // until it is told to go on, or its context ends
	dialLate  // until it is told to go on, whatever its context does
	dialDead  // the peer has gone by then
)

// dialling is a dial, or a health check, that hangs.
type dialling struct {
	late bool // it does not heed its context
	told chan error
	gone bool // its context had ended, or a caller left meanwhile
}

var (
	errDial  = errors.New("dial refused, on purpose")
	errCheck = errors.New("the kit has made this connection unhealthy")
)

// The limits in time, which are virtual, and how late a subject may heed them: it
// may look only now and then, database/sql once a second at most.
const (
	exploredIdle     = 2 * time.Second
	exploredLifetime = 3 * time.Second
	exploredCheck    = 500 * time.Millisecond
	lateness         = 2 // times the limit
	slowDial         = 10 * time.Millisecond
)

// sizes are those of pools, the smallest most often.
var sizes = [...]int{1, 1, 2, 2, 8}

// newModel makes a pool whose size, bound and limits are drawn.
func newModel(p *programs.Program, tb testing.TB, open func(testing.TB, Config) Pool) *model {
	m := &model{Program: p}
	m.cfg = Config{Size: sizes[p.Draw(len(sizes))], MaxWaiters: p.Draw(4)}
	if limits := p.Draw(10); limits < 8 {
		if limits&1 != 0 {
			m.cfg.MaxIdleTime = exploredIdle
		}
		if limits&2 != 0 {
			m.cfg.MaxLifetime = exploredLifetime
		}
		if limits&4 != 0 {
			m.cfg.Check, m.cfg.CheckAfter = m.check, exploredCheck
		}
	}
	m.make(tb, open)
	return m
}

// make opens the pool, and asks for its abilities.
func (m *model) make(tb testing.TB, open func(testing.TB, Config) Pool) {
	m.cfg.Dial, m.cfg.DialTo = m.dial, m.dialTo
	m.pool = open(tb, m.cfg)
	_, unordered := m.pool.(Unordered)
	m.ordered = !unordered
	if b, ok := m.pool.(Bounded); ok && m.cfg.MaxWaiters > 0 {
		m.overflow = b.Overflow()
	}
	if l, ok := m.pool.(Limited); ok {
		m.limits = l.Limits()
	}
	m.Step(m.setup())
}

func (m *model) setup() string {
	text := fmt.Sprintf("a pool of %d", m.cfg.Size)
	if m.overflow != nil {
		text += fmt.Sprintf(", %d may wait", m.cfg.MaxWaiters)
	}
	if m.limits.Idle && m.cfg.MaxIdleTime > 0 {
		text += fmt.Sprintf(", idle at most %v", m.cfg.MaxIdleTime)
	}
	if m.limits.Lifetime && m.cfg.MaxLifetime > 0 {
		text += fmt.Sprintf(", at most %v old", m.cfg.MaxLifetime)
	}
	if m.limits.Health && m.cfg.Check != nil {
		text += fmt.Sprintf(", checked after %v", m.cfg.CheckAfter)
	}
	return text
}

func (m *model) dialTo(context.Context, string, string) (net.Conn, error) {
	return nil, fmt.Errorf("a server of the subject's own: %w", errors.ErrUnsupported)
}

// dial is Config.Dial.
func (m *model) dial(ctx context.Context) (net.Conn, error) {
	m.mu.Lock()
	plan := dialAtOnce
	if len(m.plans) > 0 {
		plan, m.plans = m.plans[0], m.plans[1:]
	}
	m.moves++
	m.open++
	open := m.open
	m.mu.Unlock()
	if open > m.cfg.Size {
		m.Violate("bound", "%d connections are open or being dialled in a pool of size %d", open, m.cfg.Size)
	}
	err := m.wait(ctx, plan)
	m.mu.Lock()
	m.moves++
	if err != nil {
		m.open--
		m.mu.Unlock()
		return nil, err
	}
	w := &wire{m: m, number: len(m.wires) + 1, born: time.Now(), freed: time.Now()}
	w.Conn, w.peer = pipe.New()
	m.wires = append(m.wires, w)
	m.mu.Unlock()
	w.peer.OnReadable(w.answer)
	if plan == dialDead {
		m.Event(deadDial)
		w.die()
	}
	return w, nil
}

// wait is for as long as a dial takes.
func (m *model) wait(ctx context.Context, plan dialPlan) error {
	switch plan {
	case dialFails:
		m.Event(failedDial)
		m.mu.Lock()
		m.refused = true
		m.mu.Unlock()
		return errDial
	case dialSlow:
		time.Sleep(slowDial)
	case dialHangs, dialLate:
		var err error
		m.During(slowDialling, func() { err = m.hang(ctx, plan == dialLate, &m.dials) })
		return err
	}
	return ctx.Err()
}

// hang is until the program tells what hangs to go on.
func (m *model) hang(ctx context.Context, late bool, among *[]*dialling) error {
	d := &dialling{late: late, told: make(chan error, 1)}
	m.mu.Lock()
	*among = append(*among, d)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		*among = slices.DeleteFunc(*among, func(other *dialling) bool { return other == d })
		m.mu.Unlock()
	}()
	over := ctx.Done()
	if late {
		over = nil
	}
	select {
	case err := <-d.told:
		m.arrived(d, err)
		return err
	case <-over:
		m.Event(abandoned)
		return ctx.Err()
	}
}

// arrived notes what a dial that hung met.
func (m *model) arrived(d *dialling, err error) {
	m.mu.Lock()
	closing := m.closing
	m.refused = m.refused || err != nil
	m.mu.Unlock()
	if d.gone {
		m.Event(lateDial)
	}
	if closing {
		m.Event(dialAfterClose)
	}
}

// tell has what hangs go on.
func (m *model) tell(outcome error) {
	m.mu.Lock()
	all := slices.Concat(m.dials, m.checks)
	m.mu.Unlock()
	for _, d := range all {
		select {
		case d.told <- outcome:
		default: // it has been told
		}
	}
}

// check is Config.Check.
func (m *model) check(ctx context.Context, c net.Conn) error {
	w := unwrap[*wire](c)
	m.mu.Lock()
	hangs := m.hangs > 0
	if hangs {
		m.hangs--
	}
	m.mu.Unlock()
	if hangs {
		var err error
		m.During(slowCheck, func() { err = m.hang(ctx, false, &m.checks) })
		if err != nil {
			w.condemn()
			return err
		}
	}
	m.mu.Lock()
	unfit := w == nil || w.sick || w.dead
	m.moves++
	if !unfit {
		w.sound = time.Now()
	}
	m.mu.Unlock()
	if unfit {
		m.Event(failedCheck)
		return errCheck
	}
	return nil
}

// answer is the peer: it returns each frame inverted.
func (w *wire) answer() {
	var f echo.Frame
	for {
		if n, _ := w.peer.Readable(); n < len(f) {
			return
		}
		if _, err := w.peer.Read(f[:]); err != nil {
			return
		}
		f.Invert()
		if _, err := w.peer.Write(f[:]); err != nil {
			return
		}
	}
}

// condemn gives the pool a reason to close the connection.
func (w *wire) condemn() {
	if w != nil {
		w.m.mu.Lock()
		w.sick = true
		w.m.mu.Unlock()
	}
}

// die has the peer go away.
func (w *wire) die() {
	w.m.mu.Lock()
	w.dead = true
	w.m.mu.Unlock()
	_ = w.peer.Close()
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.saw(err)
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.saw(err)
	return n, err
}

func (w *wire) saw(err error) {
	if err != nil {
		w.m.mu.Lock()
		w.failed = true
		w.m.mu.Unlock()
	}
}

// Close is called by the pool.
func (w *wire) Close() error {
	m := w.m
	m.mu.Lock()
	holder, unfit := w.holder, w.discarded || w.failed || w.dead
	idle, age := time.Since(w.freed), time.Since(w.born)
	reason := unfit || w.sick || w.closed || holder != nil || m.closing || m.gone
	m.moves++
	if !w.closed {
		w.closed = true
		m.open--
	}
	m.mu.Unlock()
	if holder != nil && !unfit {
		m.Violate("exclusive", "connection %d was closed while %s held it", w.number, holder.name)
	}
	if !reason {
		m.early(w, idle, age)
	}
	return w.Conn.Close()
}

// early judges that a pool closes a connection by itself, for which there is no
// reason but the limits in time.
func (m *model) early(w *wire, idle, age time.Duration) {
	byIdle := m.limits.Idle && m.cfg.MaxIdleTime > 0
	byAge := m.limits.Lifetime && m.cfg.MaxLifetime > 0
	switch {
	case byIdle && idle >= m.cfg.MaxIdleTime/2, byAge && age >= m.cfg.MaxLifetime/2:
		m.Event(limitPassed)
	case byIdle:
		m.Violate("idle", "connection %d was closed after it had been idle for %v, the limit is %v",
			w.number, idle, m.cfg.MaxIdleTime)
	case byAge:
		m.Violate("lifetime", "connection %d was closed at the age of %v, the limit is %v", w.number, age, m.cfg.MaxLifetime)
	}
}
