package transporttest

import (
	"fmt"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// judgeCaller looks at what must not be said of the calls of a batch, whatever happens.
func (w *world) judgeCaller(b *made) {
	s := b.last
	longest := programTimeout + scenario.Settle + b.from.stoppedFor
	switch {
	case s.Twice > 0:
		w.Violate("once", "%s", first(s.Examples))
	case s.Misrouted > 0, s.Corrupted > 0:
		w.Violate("once", "%s", first(s.Examples))
	case w.suspect(b) && time.Since(b.suspected) > scenario.Settle/4:
		w.Check(false, "a call of %s to %s ended with an error after %v though nothing was wrong: %s",
			b.from.name, b.to.name, s.Early, s.First)
	case !b.OneWay && s.Oldest > longest:
		w.Violate("deadline", "a call of %s to %s has not ended after %v, its deadline was %v",
			b.from.name, b.to.name, s.Oldest.Round(time.Millisecond), programTimeout)
	case !b.OneWay && s.Slowest > longest:
		w.Violate("deadline", "a call of %s to %s ended after %v, its deadline was %v",
			b.from.name, b.to.name, s.Slowest.Round(time.Millisecond), programTimeout)
	}
	if !b.OneWay && s.Ended > 0 {
		w.Tried("once")
	}
	if s.Failed > 0 {
		w.Tried("deadline")
	}
}

// suspect tells whether calls of a batch ended early with an error though nothing is known to
// have happened. It may become known later: of a connection that ends the caller knows first.
func (w *world) suspect(b *made) bool {
	s := b.last
	if s.Failed == 0 || s.Early >= programTimeout/2 || b.Size > sureSize || !w.untouched(b) {
		return false
	}
	if b.suspected.IsZero() {
		b.suspected = time.Now()
	}
	return true
}

// sureSize is what a call may have in any case: beyond that a subject may refuse it.
const sureSize = 64 << 10

// judgeCalled looks at what has arrived of a batch.
func (w *world) judgeCalled(b *made) {
	a := b.arrived
	switch {
	case a.Most > 1 && b.OneWay:
		w.Violate("one_way", "a message of %s to %s arrived %d times", b.from.name, b.to.name, a.Most)
	case a.Most > 1:
		w.Violate("once", "%s was handled %d times", a.Which, a.Most)
	case a.Last >= b.Calls:
		w.Violate("once", "%s was handled, which was never made", a.Which)
	case !b.OneWay && !b.gone && b.last.Answered > a.N:
		w.Violate("once", "%d calls of %s to %s were answered, and its handler has had only %d of them",
			b.last.Answered, b.from.name, b.to.name, a.N)
	}
}

// judgeOdd looks at messages that were wrong by themselves.
func (w *world) judgeOdd(m *member, s nodes.ProgramState) {
	if s.Odd.Corrupted+s.Odd.Misrouted > 0 {
		w.Violate("once", "%s was given what nobody had sent it: %s", m.name, first(s.Odd.Examples))
	}
}

// first is an example.
func first(examples []string) string {
	if len(examples) == 0 {
		return "there were too many to tell"
	}
	return examples[0]
}

// untouched tells whether nothing at all has happened to the two nodes of a batch.
func (w *world) untouched(b *made) bool {
	return !w.harmed[b.from.i][b.to.i] && !w.excused(b)
}

// excused tells whether messages of a batch may be lost: something has come between the
// two, or one has lost sight of the other.
func (w *world) excused(b *made) bool {
	return b.gone || b.blind || w.broken[b.from.i][b.to.i] || w.links.Ended(b.from.i, b.to.i) != b.ended ||
		lostSight(b.from, b.to) != b.lost
}

// judgeWait looks at what has made no progress for a while.
func (w *world) judgeWait(busy string, idle time.Duration) {
	for _, b := range w.made {
		s := b.last
		reachable := b.to.up.Load() && !b.to.stopped.Load() && b.from.up.Load() && !b.from.stopped.Load()
		if reachable && s.Inside > programTimeout+scenario.Settle+b.from.stoppedFor && !b.gone {
			w.Violate("deadline", "%s of %s to %s has not returned after %v", call(b), b.from.name, b.to.name,
				s.Inside.Round(time.Millisecond))
		}
		if b.OneWay && !b.gone && idle > scenario.Settle/4 && b.arrived.N < s.Answered && !w.excused(b) {
			w.judgeMissing(b)
		}
	}
	if idle > programTimeout+2*scenario.Settle {
		w.Check(false, "nothing has gone on for %v: %s", idle.Round(time.Millisecond), busy)
	}
}

func call(b *made) string {
	if b.OneWay {
		return "a Send"
	}
	return "a Call"
}

// witnesses are calls that are answered after messages have not come: by as many a subject
// that is only slow has been seen to work.
const witnesses = 20

// judgeMissing makes calls after messages that have not come, and judges these if all of
// the calls are answered.
func (w *world) judgeMissing(b *made) {
	for range witnesses {
		wrong, err := ask[map[string]string](w.Context(), []*member{b.from}, nodes.Order{Do: "ping", To: []string{b.to.name}})
		if err != nil || len(wrong[b.from]) > 0 {
			return
		}
	}
	w.look()
	if missing := b.last.Answered - b.arrived.N; missing > 0 && !w.excused(b) {
		w.Violate("one_way", "%d of %d messages for which Send of %s to %s returned nil have not arrived, "+
			"and %d calls made later were answered",
			missing, b.last.Answered, b.from.name, b.to.name, witnesses)
	}
}

// What a node may take beyond what it took when it was quiet.
const (
	kindGoroutines = 64 // of any number of calls that are over
	kindMemory     = 64 << 20
)

// judgeQuiet compares what nodes take at the ends of programs.
func (w *world) judgeQuiet() {
	var wrong string
	wait.Until(w.Context(), scenario.Settle/2, func() bool {
		wrong = ""
		for m, u := range w.usage(w.running()...) {
			switch q := m.quiet; {
			case q == (nodes.Usage{}):
				m.quiet = u
			case u.Goroutines > q.Goroutines+kindGoroutines:
				wrong = fmt.Sprintf("%s has %d goroutines when all is over, and had %d before", m.name, u.Goroutines, q.Goroutines)
			case u.Descriptors > q.Descriptors+kindGoroutines:
				wrong = fmt.Sprintf("%s has %d descriptors when all is over, and had %d before",
					m.name, u.Descriptors, q.Descriptors)
			case u.Memory > q.Memory+kindMemory:
				wrong = fmt.Sprintf("%s takes %s MB when all is over, and took %s before",
					m.name, megabytes(u.Memory), megabytes(q.Memory))
			}
		}
		return wrong == ""
	})
	if wrong != "" {
		w.Violate("kept", "%s", wrong)
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f", float64(n)/1e6) }
