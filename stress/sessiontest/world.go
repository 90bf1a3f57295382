package sessiontest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"tensile/stress/internal/programs"
	"tensile/stress/internal/wait"
)

// sessionCount is how many sessions a program is about.
const sessionCount = 4

// world is a cluster under faults, for one program.
//
// What a store owes is that a session survives the loss of any one node. So at most one node is
// stopped or cut off at a time, none beside a link that is cut, and none is killed meanwhile.
// One that was killed has forgotten everything: another may follow once the store says that
// it has made up for that. Where a store does not say so, the sessions are not judged any more
// that may have lost their second copy.
type world struct {
	*programs.Program
	*explorer
	pulse    *pulse
	patience time.Duration // with what is wrong, of time in which the machine is able
	began    time.Time
	sessions []*session   // of the acts
	witness  []*session   // one for each node, which writes it while there is a fault
	struck   []*session   // were written at a node when something happened to it
	values   atomic.Int64 // written so far

	down   map[*member]bool // were killed
	out    *member          // is stopped or cut off; nil for nobody
	links  bool             // some are cut
	lately *member          // was the last to lose its memory, for which nothing may have made up

	// Of the stage.
	busy     bool // it has a fault already
	lost     bool // somebody has lost its memory, for which a Replicated has to make up
	fault    string
	watched  func() // ends watch; nil for none
	expiring func() // waits for live; nil for none
}

// having are the nodes of which something is so.
func (w *world) having(is func(*member) bool) []*member {
	return slices.DeleteFunc(slices.Clone(w.k.nodes), func(n *member) bool { return !is(n) })
}

// serving are the nodes that must serve.
func (w *world) serving() []*member {
	return w.having(func(n *member) bool { return !w.down[n] && n != w.out })
}

// Rest waits until the acts have ended, and what was lost is made up for. Then every node that
// must serve has to serve what it should.
func (w *world) Rest() {
	for w.Acting() > 0 {
		w.pause(time.Millisecond)
	}
	if w.expiring != nil {
		w.expiring()
	}
	defer w.endStage()
	if w.links { // what the nodes can know then is their own matter
		return
	}
	if w.lost && w.k.abilities().Replicates && len(w.serving()) > nodeCount/2 { // a minority takes nothing over
		w.Tried("replication")
		w.must("replication", "sessions are not fully replicated", func(ctx context.Context) error {
			return w.k.replicated(ctx, w.serving(), time.Second)
		})
		w.lately, w.lost = nil, false
	}
	w.endStage()
	w.readAll()
	for _, s := range w.all() {
		w.expire(s, w.serving())
		w.judge(s)
	}
}

// judge ends the program where something is wrong with what was read of a session.
func (w *world) judge(s *session) {
	if criterion, sentence := s.wrong(); sentence != "" {
		w.Violate(criterion, "%s%s", sentence, w.after())
	}
}

// readAll reads every session at every node that must serve it.
func (w *world) readAll() {
	all, at := w.all(), w.serving()
	failed := make([]bool, len(all)*len(at))
	read := func(ctx context.Context, i int) error {
		return w.do(ctx, all[i/len(at)], at[i%len(at)], operation{kind: opGet}).err
	}
	wait.All(len(failed), func(i int) { failed[i] = read(w.Context(), i) != nil })
	for i, again := range failed {
		if again {
			w.must("latest", fmt.Sprintf("%s cannot be read at %s", all[i/len(at)].key, at[i%len(at)].name),
				func(ctx context.Context) error { return read(ctx, i) })
		}
	}
}

// endStage ends what went on beside the stage.
func (w *world) endStage() {
	if w.watched != nil {
		w.watched()
	}
	w.busy, w.watched, w.expiring = false, nil, nil
}

// after says what has happened last.
func (w *world) after() string {
	if w.fault == "" {
		return ", without any fault"
	}
	return ", after " + w.fault
}

// must does something until it succeeds, for as long as the patience.
func (w *world) must(criterion, not string, do func(context.Context) error) {
	for began := time.Now(); ; w.pause(5 * time.Millisecond) {
		err := do(w.Context())
		if err == nil {
			return
		}
		if w.pulse.able(began) >= w.patience {
			w.Violate(criterion, "%s%s, for %v in which every process answered the kit within %v: %v", not, w.after(),
				w.patience, ableWithin, err)
		}
	}
}

// expire reads a session whose life is over until it is gone. It may be late by expiryGrace, of time
// in which the machine is able.
func (w *world) expire(s *session, at []*member) {
	due, value := s.due()
	if value == "" || time.Now().Before(due) {
		return
	}
	w.Tried("expiry")
	for _, n := range at {
		for {
			able := w.pulse.able(due)
			r := w.do(w.Context(), s, n, operation{kind: opGet})
			if r.err == nil && string(r.value) != value {
				break
			}
			if able >= expiryGrace && r.err == nil {
				w.Violate("expiry", "%s is there at %s %v after its time to live was over%s", s.key, n.name,
					time.Since(due).Round(time.Millisecond), w.after())
			}
			w.pause(5 * time.Millisecond)
		}
	}
}

// pause lets time pass, and ends the program where it has failed or its time is up.
func (w *world) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.Context().Done():
	}
	if w.Context().Err() != nil {
		w.FailNow()
	}
}

// opBound is the time for one operation.
const opBound = time.Second

// do has a node perform an operation on a session, and keeps what came of it, unless it was a read
// that failed.
func (w *world) do(ctx context.Context, s *session, n *member, op operation) result {
	op.key = s.key
	o, r := observe(ctx, w.began, n, op, opBound)
	if o.Write || r.err == nil {
		s.add(o)
	}
	return r
}

// all are the sessions that are judged.
func (w *world) all() []*session { return slices.Concat(w.sessions, w.witness, w.struck) }

// renew has the program be about sessions that nobody has written.
func (w *world) renew() {
	w.sessions, w.witness, w.struck = nil, nil, nil
	for range sessionCount {
		w.sessions = append(w.sessions, w.fresh())
	}
	for range nodeCount {
		w.witness = append(w.witness, w.fresh())
	}
}

// fresh is a session that nobody has written.
func (w *world) fresh() *session {
	w.keys++
	return &session{key: fmt.Sprintf("program-%d", w.keys), began: w.began}
}
