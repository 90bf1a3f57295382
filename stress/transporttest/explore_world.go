package transporttest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// world is a cluster with the program that runs on it, and with what the kit knows of
// that.
type world struct {
	*programs.Program
	*cluster

	over atomic.Bool // the program is given up

	mu    sync.Mutex // guards what follows, and the members: acts go on beside Rest
	made  []*made
	first int // number of the program's first batch
	later int // answers that are still to be given by themselves

	// Of a stage.
	alone  bool // what is done must have the nodes to itself
	struck bool // something is done to a node or a link: once is enough

	// What has been done to the pairs of nodes in this program.
	harmed [programNodes][programNodes]bool // what was in flight may be late, or end with an error
	broken [programNodes][programNodes]bool // it may be lost
}

// made is a batch that the program has had made.
type made struct {
	nodes.Batch
	from, to *member
	gone     bool  // the node that made it: nothing is known any more
	blind    bool  // the node that was called: what arrived there is not known
	ended    int64 // connections between the two, when it was made
	lost     int   // how often one had lost sight of the other then
	last     nodes.BatchState
	arrived  nodes.Arrived

	suspected time.Time // when it was first seen that calls had failed early; zero if none has
}

// open has a program take the cluster over that others have left, or a new one.
func (k *kit) open(p *programs.Program, site *proc.Site) *world {
	if c := k.explored; c != nil && c.dirty {
		c.kill()
		k.explored = nil
	}
	if k.explored == nil {
		c, err := k.newCluster(p.Context(), site)
		if err != nil {
			if c != nil {
				c.kill()
			}
			p.Check(p.Context().Err() != nil, "%d nodes were started, and %v", programNodes, err)
			p.FailNow()
		}
		k.explored = c
	}
	k.explored.dirty = true // until the program has ended well
	return &world{Program: p, cluster: k.explored, first: k.explored.batches + 1}
}

func (k *kit) vocabulary(site *proc.Site) *programs.Vocabulary[*world] {
	return &programs.Vocabulary[*world]{
		New:  func(p *programs.Program, _ testing.TB) *world { return k.open(p, site) },
		Ops:  operations(),
		Deal: true, Stages: mostStages, Beside: []int{1, 1, 2, 2, 4, 6},
		Apart: apart(),
	}
}

// mostStages is how many a program has: each takes as long as a call may.
const mostStages = 3

// make has a node make a batch. It returns nil where that node is gone meanwhile.
func (w *world) make(from, to *member, b nodes.Batch) *made {
	m := w.plan(from, to, b)
	w.begin(m)
	return m
}

// plan notes a batch that is to be made, at rest.
func (w *world) plan(from, to *member, b nodes.Batch) *made {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = w.batches%nodes.MostBatches + 1
	b.ID = w.batches
	m := &made{Batch: b, from: from, to: to, ended: w.links.Ended(from.i, to.i), lost: lostSight(from, to)}
	w.made = append(w.made, m)
	return m
}

// begin has a planned batch made.
func (w *world) begin(m *made) {
	err := m.from.process.Ask(w.Context(), nodes.Order{Do: "make", To: []string{m.to.name}, Batch: &m.Batch}, nil)
	w.check(m.from, err)
}

// check ends the program if a node does not do what it is told, unless it is to be gone.
func (w *world) check(m *member, err error) {
	switch {
	case err == nil || w.Context().Err() != nil || !m.up.Load():
	case errors.Is(err, proc.ErrEnded):
		w.Check(false, "the process of %s has ended by itself: what it printed is beside the report", m.name)
	default:
		w.Check(false, "%s: %v", m.name, err)
	}
}

// arrives waits until all of a batch has arrived, or so long as calls may take.
func (w *world) arrives(batches ...*made) bool {
	return w.until(4*programTimeout, func() bool {
		for _, b := range batches {
			if b.arrived.N < b.Calls {
				return false
			}
		}
		return true
	})
}

// until looks again and again, and waits for something to be so, or for d. It reports
// which it was, and ends its goroutine where the program has ended.
func (w *world) until(d time.Duration, so func() bool) bool {
	late := time.Now().Add(d)
	for {
		if w.seen(so) {
			return true
		}
		if time.Now().After(late) {
			return false
		}
		w.pause()
	}
}

// seen looks once, and reports whether something is so.
func (w *world) seen(so func() bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	return so()
}

// pause is between two looks. It ends its goroutine where the program has ended.
func (w *world) pause() {
	if w.over.Load() {
		w.FailNow()
	}
	select {
	case <-w.Context().Done():
		w.FailNow()
	case <-time.After(lookPause):
	}
}

const lookPause = 3 * time.Millisecond

// look asks all nodes that run how far the program has come, and judges what must not be.
// Callers are asked before those that they call.
func (w *world) look() {
	w.later = 0
	running := w.running()
	for round := range 2 {
		for _, m := range running {
			var s nodes.ProgramState
			if err := m.process.Ask(w.Context(), nodes.Order{Do: "program"}, &s); err != nil {
				w.check(m, err)
				if w.Context().Err() != nil {
					w.FailNow()
				}
				continue
			}
			if round == 0 {
				w.callers(m, s)
				continue
			}
			w.later += s.Later
			w.called(m, s)
		}
	}
}

// callers takes in how far the batches of a node have come.
func (w *world) callers(m *member, s nodes.ProgramState) {
	for _, b := range w.made {
		if is, ok := s.Batches[b.ID]; ok && b.from == m && !b.gone {
			b.last = is
			w.judgeCaller(b)
		}
	}
}

// called takes in what has arrived at a node.
func (w *world) called(m *member, s nodes.ProgramState) {
	w.judgeOdd(m, s)
	for _, a := range s.Arrived {
		if a.Batch < w.first {
			continue // of a program before, whose call is over
		}
		for _, b := range w.made {
			if b.ID != a.Batch || b.from.i != a.From {
				continue
			}
			if b.to != m {
				w.Violate("once", "%s arrived at %s", a.Which, m.name)
			}
			if !b.blind {
				b.arrived = a
				w.judgeCalled(b)
			}
		}
	}
}

// Rest waits until all calls have ended that nobody holds back, and all messages have
// arrived.
func (w *world) Rest() {
	w.settle()
	w.alone, w.struck = false, false
}

func (w *world) settle() {
	progress, since := -1, time.Now()
	for {
		acting := w.Acting()
		if !w.over.Load() && w.seen(func() bool {
			busy, done := w.onTheWay()
			if done != progress || acting > 0 {
				progress, since = done, time.Now()
			}
			w.judgeWait(busy, time.Since(since))
			return busy == "" && acting == 0
		}) {
			return
		}
		w.pause()
	}
}

// onTheWay says what is, or "", and counts what has come to its end so far.
func (w *world) onTheWay() (busy string, done int) {
	if w.later > 0 {
		busy = fmt.Sprintf("%d answers are still to be given", w.later)
	}
	for _, b := range w.made {
		done += b.last.Ended + b.last.Returned + b.arrived.N
		if busy == "" {
			busy = w.busy(b)
		}
	}
	return busy, done - w.later
}

// busy says what of a batch is still in flight, or "".
func (w *world) busy(b *made) string {
	s := b.last
	switch {
	case b.gone:
	case w.suspect(b):
		return fmt.Sprintf("calls of %s to %s have failed early", b.from.name, b.to.name)
	case b.to.stopped.Load() || !b.to.up.Load(): // Call may wait for it
		if !b.OneWay && s.Ended < s.Begun {
			return fmt.Sprintf("%d calls of %s to %s have not ended", s.Begun-s.Ended, b.from.name, b.to.name)
		}
	case b.from.stopped.Load():
	case s.Returned < b.Calls:
		return fmt.Sprintf("of %d calls of %s to %s %d were made", b.Calls, b.from.name, b.to.name, s.Returned)
	case b.held() && s.Ended < s.Begun && b.arrived.N < b.Calls || !b.held() && s.Ended < b.Calls:
		return fmt.Sprintf("of %d calls of %s to %s %d have ended", b.Calls, b.from.name, b.to.name, s.Ended)
	case b.OneWay && b.arrived.N < s.Answered && !w.excused(b):
		return fmt.Sprintf("of %d messages of %s to %s %d have arrived", s.Answered, b.from.name, b.to.name, b.arrived.N)
	}
	return ""
}

// held tells whether calls of the batch may well go on for as long as they may take.
func (b *made) held() bool { return b.Answer == nodes.Held }

// tell has all nodes that run do something.
func (w *world) tell(do string) {
	for _, m := range w.running() {
		w.check(m, m.process.Ask(w.Context(), nodes.Order{Do: do}, nil))
	}
}

// release gives the replies that are held at a node: of a batch, or of all.
func (w *world) release(at *member, of *made) {
	o := nodes.Order{Do: "answer"}
	if of != nil {
		o.Batch = &of.Batch
	}
	w.check(at, at.process.Ask(w.Context(), o, nil))
}

// giveUp ends the program without a verdict.
func (w *world) giveUp(format string, args ...any) {
	if w.Context().Err() == nil {
		w.k.Logf("programs: one is given up: "+format, args...)
		w.k.givenUp++
	}
	w.over.Store(true)
	w.FailNow()
}

// Finish ends every program alike: what is held is answered, all nodes call each other,
// and nothing of the program is left.
func (w *world) Finish() {
	w.tell("answer")
	w.settle()
	w.waitEnded()
	w.tell("never") // a node may keep what it needs for a reply
	w.settle()
	w.mends()
	w.seen(func() bool { return true })
	w.tell("forget")
	w.judgeQuiet()
	w.dirty = false
}

// waitEnded waits until calls have ended that nobody will answer.
func (w *world) waitEnded() {
	w.until(programTimeout+2*scenario.Settle, func() bool {
		for _, b := range w.made {
			if !b.gone && b.last.Ended < b.last.Begun {
				return false
			}
		}
		return true
	})
}

// usage is what the processes of nodes take now.
func (w *world) usage(members ...*member) map[*member]nodes.Usage {
	all, err := ask[nodes.Usage](w.Context(), members, nodes.Order{Do: "usage"})
	if err != nil {
		w.check(members[0], err)
		w.FailNow()
	}
	return all
}
