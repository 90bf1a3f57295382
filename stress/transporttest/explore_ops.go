package transporttest

import (
	"fmt"
	"slices"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
)

type op = programs.Op[*world]

// operations are those of programs: calls and messages, and what happens to those who make
// and answer them. What takes as long as a call may is dealt, and not drawn.
func operations() []op {
	return []op{
		{Name: "call", Weight: 6, Begin: (*world).opCall},
		{Name: "large", Weight: 1, Begin: (*world).opLarge},
		{Name: "empty", Weight: 1, Begin: (*world).opEmpty},
		{Name: "late", Weight: 2, Begin: (*world).opLate},
		{Name: "overdue", Begin: (*world).opOverdue},
		{Name: "hold", Weight: 3, Begin: (*world).opHold},
		{Name: "never", Begin: (*world).opNever},
		{Name: "release", Weight: 3, Begin: (*world).opRelease},
		{Name: "twice", Weight: 1, Begin: (*world).opTwice},
		{Name: "send", Weight: 3, Begin: (*world).opSend},
		{Name: "flood", Begin: (*world).opFlood},
		{Name: "many", Begin: (*world).opMany},
		{Name: "cut", Begin: (*world).opCut},
		{Name: "break", Begin: (*world).opBreak},
		{Name: "reply lost", Begin: (*world).opReplyLost},
		{Name: "stop", Begin: (*world).opStop},
		{Name: "kill", Begin: (*world).opKill},
		{Name: "leave", Begin: (*world).opLeave},
		{Name: "close", Begin: (*world).opClose},
		{Name: "strangers", Begin: (*world).opStrangers},
		{Name: "rounds", Begin: (*world).opRounds},
	}
}

// exclusive are the operations that have the nodes to themselves.
var exclusive = []string{"many", "strangers", "rounds"}

// striking are those of which a stage has one at most.
var striking = []string{"flood", "cut", "break", "reply lost", "stop", "kill", "leave", "close"}

// apart are the pairs that can not meet.
func apart() (all []programs.Pair) {
	ops := operations()
	for i, a := range ops {
		for _, b := range ops[i:] {
			alone := slices.Contains(exclusive, a.Name) || slices.Contains(exclusive, b.Name)
			if alone || slices.Contains(striking, a.Name) && slices.Contains(striking, b.Name) {
				all = append(all, programs.Pair{a.Name, b.Name})
			}
		}
	}
	return all
}

// pair takes two nodes from a choice, and leaves what is left of it.
func (w *world) pair(choice int) (from, to *member, rest int) {
	i := choice % programNodes
	j := (i + 1 + choice/programNodes%(programNodes-1)) % programNodes
	return w.members[i], w.members[j], choice / (programNodes * (programNodes - 1))
}

// taken tells whether a stage has no room for more of what an operation does.
func (w *world) taken() bool { return w.alone }

// strikes takes the one place of a stage for what happens to a node or a link.
func (w *world) strikes() bool {
	if w.alone || w.struck {
		return false
	}
	w.struck = true
	return true
}

// harm notes that something happens to all that goes between nodes, one of which is m.
func (w *world) harm(m *member, broken bool) {
	for _, other := range w.members {
		w.harmBetween(m, other, broken)
	}
}

func (w *world) harmBetween(a, b *member, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range [][2]int{{a.i, b.i}, {b.i, a.i}} {
		w.harmed[p[0]][p[1]] = true
		w.broken[p[0]][p[1]] = w.broken[p[0]][p[1]] || broken
	}
}

// does is an act that makes one batch.
func (w *world) does(name string, from, to *member, b nodes.Batch) *programs.Act {
	if w.taken() {
		return nil
	}
	m := w.plan(from, to, b)
	return &programs.Act{Text: w.text(name, m), Do: func() programs.Next { w.begin(m); return nil },
		Result: func() string { return w.result(m) }}
}

func (w *world) text(name string, m *made) string {
	return fmt.Sprintf("%s %s-%s %d of %d B", name, short(m.from), short(m.to), m.Calls, m.Size)
}

// short is the number of a node.
func short(m *member) string { return fmt.Sprint(m.i) }

// result is what came of a batch.
func (w *world) result(m *made) string {
	if m == nil {
		return "not begun"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := m.last
	text := fmt.Sprintf("%d ok", s.Answered)
	if n := s.Failed + s.NoRoom; n > 0 {
		text += fmt.Sprintf(", %d errors", n)
	}
	if n := m.Calls - s.Ended; n > 0 {
		text += fmt.Sprintf(", %d open", n)
	}
	return text
}

var sizes = []int{payload.SmallRequest, payload.MinRequest, 1 << 10, 16 << 10, 64 << 10}

func (w *world) opCall(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	n := []int{1, 8, 64, 500}[rest%4]
	size := sizes[choice%len(sizes)]
	return w.does("call", from, to, nodes.Batch{Calls: min(n, nodes.Window/4/size), Size: size,
		Answer: nodes.Answer(choice % 2)})
}

// opLarge makes calls that a subject may refuse.
func (w *world) opLarge(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	size := []int{256 << 10, 1 << 20, 1<<20 + 1, nodes.Window}[rest%4]
	if w.taken() {
		return nil
	}
	w.harmBetween(from, to, true) // a subject may give up the connection for it
	return w.does("large", from, to, nodes.Batch{Calls: 1 + choice%2, Size: size})
}

// opEmpty makes calls that have no room for a number.
func (w *world) opEmpty(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	if w.taken() {
		return nil
	}
	size := []int{0, 0, 1, 2, 7, 8, 15, 23}[rest%8]
	return &programs.Act{Text: fmt.Sprintf("empty %s-%s of %d B", short(from), short(to), size), Do: func() programs.Next {
		var wrong map[string]string
		for range emptyTries {
			o := nodes.Order{Do: "ping", To: []string{to.name}, Load: &nodes.Load{Size: size}}
			err := from.process.Ask(w.Context(), o, &wrong)
			if w.check(from, err); len(wrong) == 0 {
				return nil
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.harmed[from.i][to.i] {
			w.Violate("sizes", "a call of %d bytes of %s to %s failed %d times in a row: %s",
				size, from.name, to.name, emptyTries, wrong[to.name])
		}
		return nil
	}}
}

// emptyTries is how often a call is made that may run out of its short time.
const emptyTries = 4

func (w *world) opLate(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	return w.does("late", from, to, nodes.Batch{Calls: []int{1, 30, 200}[rest%3], Size: payload.SmallRequest,
		Answer: nodes.AnswerLater, Later: time.Duration(1+choice) * time.Millisecond})
}

// opOverdue makes calls that are answered when their time is up.
func (w *world) opOverdue(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	return w.does("overdue", from, to, nodes.Batch{Calls: []int{1, 30, 500}[rest%3], Size: payload.SmallRequest,
		Answer: nodes.AnswerLater, Later: programTimeout + time.Duration(50+3*choice)*time.Millisecond})
}

func (w *world) opHold(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	return w.does("hold", from, to, nodes.Batch{Calls: []int{1, 50, 1000}[rest%3], Size: payload.SmallRequest,
		Answer: nodes.Held})
}

func (w *world) opNever(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	return w.does("never", from, to, nodes.Batch{Calls: []int{1, 50, 500}[rest%3], Size: payload.SmallRequest,
		Answer: nodes.Never})
}

func (w *world) opRelease(choice int) *programs.Act {
	at := w.members[choice%programNodes]
	if w.taken() {
		return nil
	}
	return &programs.Act{Text: "release " + short(at), Do: func() programs.Next {
		w.release(at, nil)
		return nil
	}}
}

// opTwice has calls answered, and answered again while others are in flight.
func (w *world) opTwice(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	if w.taken() {
		return nil
	}
	m := w.plan(from, to, nodes.Batch{Calls: []int{1, 20, 100}[rest%3], Size: payload.SmallRequest, Answer: nodes.Twice})
	return &programs.Act{Text: w.text("twice", m), Result: func() string { return w.result(m) }, Do: func() programs.Next {
		w.begin(m)
		return func() programs.Next { // each has had its reply
			held := w.make(from, to, nodes.Batch{Calls: m.Calls, Size: m.Size, Answer: nodes.Held})
			w.arrives(held)
			w.release(to, m)
			return func() programs.Next {
				w.release(to, held)
				return nil
			}
		}
	}}
}

func (w *world) opSend(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	n := []int{1, 50, 500, 2000}[rest%4]
	return w.does("send", from, to, nodes.Batch{Calls: n, Size: sizes[choice%3], OneWay: true})
}

// The shape of the operation that makes many calls: the numbers of the last of them are
// those of the first once more, where numbers have 16 bits.
const (
	manyEarly    = 200
	manyCalls    = 64_100
	manyInFlight = 1000
	manyHeld     = 2400
	manyFor      = 10 * time.Second
)

// opMany makes calls that are answered late: when so many others have been made meanwhile
// that numbers of 16 bits come again, and have been given to calls that are in flight.
func (w *world) opMany(choice int) *programs.Act {
	from, to, _ := w.pair(choice)
	if w.taken() || w.struck {
		return nil
	}
	w.alone = true
	var bulk *made
	return &programs.Act{
		Text: fmt.Sprintf("many %s-%s: %d held, %d more, %d held as the first are answered",
			short(from), short(to), manyEarly, manyCalls, manyHeld),
		Result: func() string { return w.result(bulk) },
		Do: func() programs.Next {
			early := w.make(from, to, nodes.Batch{Calls: manyEarly, Size: payload.SmallRequest, Answer: nodes.Held})
			w.arrives(early)
			bulk = w.make(from, to, nodes.Batch{Calls: manyCalls, Size: payload.SmallRequest, InFlight: manyInFlight})
			if !w.until(manyFor, func() bool { return bulk.last.Ended == manyCalls && early.last.Ended == manyEarly }) {
				return nil // it is slow: nothing is seen of numbers that come again
			}
			last := w.make(from, to, nodes.Batch{Calls: manyHeld, Size: payload.SmallRequest,
				Answer: nodes.Held, Frees: early.ID})
			return func() programs.Next {
				w.release(to, last)
				return nil
			}
		},
	}
}
