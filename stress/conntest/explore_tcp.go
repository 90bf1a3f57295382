package conntest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
)

// tcpPrograms is the vocabulary of programs for servers over TCP, which h opens one after
// the other: in real time, in a process of their own.
func tcpPrograms(h *host) *programs.Vocabulary[*model] {
	return &programs.Vocabulary[*model]{
		New: func(p *programs.Program, tb testing.TB) *model { return newTCPModel(p, tb, h) },
		Ops: append(operations(),
			programs.Op[*model]{Name: "close its half", Weight: 5, Begin: (*model).beginCloseHalf}),
		Events: events(),
		Apart:  []programs.Pair{{"Close", "Close"}}, // there is one in a program
		Deal:   true,
	}
}

// overTCP is the seam of a server over TCP.
type overTCP struct {
	m       *model
	h       *host
	address string
	own     int // descriptors that the process has without connections
	each    int // and for one
	left    int // peers that had left when it was last looked

	mu    sync.Mutex // of what follows
	seen  int        // moves, when there was one
	since time.Time
}

// newTCPModel opens a server and has it serve; one connection has come and gone.
func newTCPModel(p *programs.Program, tb testing.TB, h *host) *model {
	m := &model{Program: p, serves: true}
	s := &overTCP{m: m, h: h}
	m.via = s
	r, err := s.ask(doServe)
	if err != nil {
		tb.Fatal(err)
	}
	s.address = r.Address
	context.AfterFunc(m.Context(), s.abandon)
	m.Step("Serve, and one connection that asks")
	c := m.peer(roomOfServer, endless)
	c.connects()
	c.sends(c.requests(1, 0), "")
	m.Rest()
	with := s.descriptors()
	c.leave(hangsUp)
	m.Rest()
	s.calibrate(with)
	return m
}

// calibrate waits until the process has fewer descriptors than with one connection.
func (s *overTCP) calibrate(with int) {
	for began := time.Now(); ; time.Sleep(longestLook) {
		s.own = s.descriptors()
		if s.each = with - s.own; s.each > 0 || with == 0 {
			return
		}
		if time.Since(began) > scenario.Settle {
			s.m.Violate("close", "the first connection has hung up after its reply, and the server has not closed it")
		}
	}
}

// ask has the process of the server do something.
func (s *overTCP) ask(do string) (r hostReply, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*scenario.Settle)
	defer cancel()
	err = s.h.process.Ask(ctx, hostRequest{Do: do}, &r)
	return r, err
}

// descriptors is how many the process has; 0 where that is not known.
func (s *overTCP) descriptors() int {
	r, err := s.ask(doCount)
	if err != nil {
		s.m.Check(false, "survival: %v", err)
	}
	if r.Now.Descriptors == nil {
		return 0
	}
	return *r.Now.Descriptors
}

func (s *overTCP) dial(c *peer) {
	d := net.Dialer{Timeout: scenario.Settle, KeepAlive: -1, Control: smallBuffers}
	conn, err := d.DialContext(s.m.Context(), networkTCP, s.address)
	m := s.m
	m.mu.Lock()
	c.wire.accepted, c.wire.refused = err == nil, err != nil
	closing := m.closing
	if err == nil {
		c.conn = conn
	}
	m.mu.Unlock()
	if err != nil && !closing && m.Context().Err() == nil {
		m.Violate("survival", "%s cannot connect: %v", c.name, err)
	}
}

func (s *overTCP) pause() { time.Sleep(time.Millisecond) }

const (
	// fewBytes are what sockets of programs buffer; the kernel makes it some more.
	fewBytes = 4096
	// So many requests are more than there is room for the replies to, and for the
	// requests too.
	fillsReplies  = 800
	fillsRequests = 400
)

func (s *overTCP) fill(_ *peer, both bool) int {
	if both {
		return fillsReplies + fillsRequests
	}
	return fillsReplies
}

func (s *overTCP) leave(c *peer, how way) {
	conn := c.conn.(*net.TCPConn)
	if how == closesHalf {
		_ = conn.CloseWrite() // refused by one that has failed
		return
	}
	if how == resets {
		_ = conn.SetLinger(0) // the same
	}
	s.m.mu.Lock()
	c.wire.closed = true // what the server does can not be seen
	s.m.mu.Unlock()
	_ = conn.Close() // the other end may have gone
}

func (s *overTCP) shut() *wrong {
	r, err := s.ask(doShut)
	switch {
	case err != nil:
		return violation("close", "%v", err)
	case r.Fault != "":
		return violation("close", "%s", r.Fault)
	case !r.Leaks.None():
		return violation("close", "after Close %s", r.Leaks)
	}
	s.m.mu.Lock()
	s.m.serves = false
	peers := slices.Clone(s.m.peers)
	s.m.mu.Unlock()
	for _, c := range peers {
		c.willRead(endless) // so as to see the end
	}
	return nil
}

// abandon ends all connections when a program is over.
func (s *overTCP) abandon() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	for _, c := range s.m.peers {
		if c.conn != nil {
			_ = c.conn.Close() // it may be closed
		}
	}
}

const (
	shortestLook = 100 * time.Microsecond
	longestLook  = 5 * time.Millisecond
	// A call of Write to a server that does not read, as its own replies are not read,
	// has come to rest when nothing has moved for so long.
	still = 50 * time.Millisecond
)

// rest looks until nothing is wrong, or nothing has moved for as long as a server may
// take.
func (s *overTCP) rest() *wrong {
	began := time.Now()
	for pause := shortestLook; s.m.Context().Err() == nil; pause = min(2*pause, longestLook) {
		w := s.wrong()
		at, moved := s.moved()
		if w == nil && (at == 0 || time.Since(moved) > still) {
			return nil
		}
		if w != nil && time.Since(moved) > scenario.Settle && time.Since(began) > scenario.Settle {
			return w
		}
		time.Sleep(pause)
	}
	return nil // it is over
}

// moved is how many acts wait at rest, and since when nothing has moved.
func (s *overTCP) moved() (waiting int, since time.Time) {
	m := s.m
	m.mu.Lock()
	moves := m.moves
	waiting = m.waiting()
	m.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if moves != s.seen || s.since.IsZero() {
		s.seen, s.since = moves, time.Now()
	}
	return waiting, s.since
}

// waiting is how many acts may wait at rest: they send, and their peers do not read; the
// lock is held.
func (m *model) waiting() (n int) {
	for _, c := range m.peers {
		if c.sending && c.reads != endless && c.left == stays && !c.wire.closed {
			n++
		}
	}
	return n
}

// wrong is what does not hold.
func (s *overTCP) wrong() *wrong {
	m := s.m
	if w := m.wrong(); w != nil {
		return w
	}
	m.mu.Lock()
	over, closing := m.acting-m.waiting(), m.closing
	open, gone := 0, []*peer(nil)
	for _, c := range m.peers {
		switch {
		case c.wire.refused || c.conn == nil:
		case c.left == stays && !c.wire.closed:
			open++
		default:
			gone = append(gone, c)
		}
	}
	m.mu.Unlock()
	switch {
	case over > 0:
		return violation("lost", "%d calls have not returned, and nothing else happens", over)
	case closing || s.own == 0 || len(gone) == s.left:
		return nil
	}
	if more := s.descriptors() - s.own - open*s.each; more > 0 {
		c := gone[len(gone)-1]
		return violation("close", "%d descriptors have stayed of %d connections whose peers have left: the last %v %s",
			more, len(gone), c.left, c.standing())
	}
	s.left = len(gone)
	return nil
}

// beginCloseHalf has a peer close its half of the connection.
func (m *model) beginCloseHalf(choice int) *programs.Act {
	return m.leaving(choice, closesHalf, "closes its half")
}

// tcp runs programs over TCP, if there is a server for it.
func (k *kit) tcp(ctx context.Context, t *testing.T) {
	for _, d := range k.kinds {
		if d.Network != networkTCP {
			continue
		}
		h, err := k.start("TCP programs", hostConfig{Config: d.Config, Anew: true})
		if err != nil {
			k.Fail("memory: %v", err)
			return
		}
		v := tcpPrograms(h)
		v.Report(k.Scenario, v.Try(ctx, t, k.Seed, tcpBudget))
		if err := h.process.Close(); err != nil {
			k.Fail("memory, %s: %v", h.name, err)
		}
	}
}

var tcpBudget = programs.Budget{Short: 700 * time.Millisecond, Full: 8 * time.Second, Least: 30,
	One: 6 * scenario.Settle, Shrink: 2 * scenario.Settle}

// doAnew is what a host of programs is asked for.
func (h *hostState) doAnew(ctx context.Context, r hostRequest) error {
	h.reply = hostReply{}
	switch r.Do {
	case doServe:
		h.baseline = measure.TakeBaseline()
		return h.serveAnew()
	case doShut:
		h.shutAnew(ctx)
	case doCount:
		h.reply.Now.Descriptors = measure.CountDescriptors()
	}
	return nil
}

// serveAnew opens a server of its own for a program. One that was left behind by a
// program that failed is not waited for.
func (h *hostState) serveAnew() error {
	if old := h.server; old != nil {
		go func() { _ = old.close() }() // nobody looks at it any more
	}
	subject := h.open()
	if subject == nil {
		return fmt.Errorf("open returned no server for %+v, though it did before", h.Config)
	}
	l, err := listenTCP(smallBuffers)
	if err != nil {
		return err
	}
	h.server = serve(subject, l)
	h.reply.Address = l.Addr().String()
	return nil
}

// shutAnew closes the server of a program, and looks what is left of it.
func (h *hostState) shutAnew(ctx context.Context) {
	if err := h.server.close(); err != nil {
		h.reply.Fault = err.Error()
		return
	}
	h.server = nil
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	h.reply.Leaks = h.baseline.Leaks(ctx)
}
