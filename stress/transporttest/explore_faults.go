package transporttest

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// both has two nodes hold calls of each other, and waits until they have arrived.
func (w *world) both(a, b *member, n int) (held []*made) {
	for _, p := range [][2]*member{{a, b}, {b, a}} {
		held = append(held, w.make(p[0], p[1], nodes.Batch{Calls: n, Size: payload.SmallRequest, Answer: nodes.Held}))
	}
	w.arrives(held...)
	return held
}

// around has a node and all others hold calls of each other.
func (w *world) around(m *member, n int) {
	for _, other := range w.members {
		if other != m {
			w.both(m, other, n)
		}
	}
}

// The shape of floods.
const (
	floodMessage  = 32 << 10
	floodMessages = floodBound * nodes.Window / floodMessage
	floodPressed  = 50 * time.Millisecond // Send has waited so long
	floodFor      = 2 * time.Second
)

// opFlood sends messages to a node that takes none, until Send waits or refuses them.
func (w *world) opFlood(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	byStop := rest%2 == 0 || !w.through
	if !w.strikes() {
		return nil
	}
	w.harm(to, false)
	m := w.plan(from, to, nodes.Batch{Calls: floodMessages, Size: floodMessage, OneWay: true})
	how := "is cut off"
	if byStop {
		how = "is stopped"
	}
	return &programs.Act{Text: w.text("flood", m) + ", which " + how, Result: func() string { return w.result(m) },
		Do: func() programs.Next {
			if byStop {
				w.stop(to)
			} else {
				w.links.Cut(from.i, to.i, true)
			}
			w.begin(m)
			w.until(floodFor, func() bool {
				s := m.last
				return s.Inside > floodPressed || s.Failed+s.NoRoom > 0 || s.Returned == m.Calls
			})
			pressed := w.seen(func() bool { return m.last.Returned < m.Calls || m.last.Failed+m.last.NoRoom > 0 })
			if byStop {
				w.goOn(to)
			} else {
				w.links.Cut(from.i, to.i, false)
			}
			if pressed {
				w.Tried("one_way")
			}
			return nil
		}}
}

func (w *world) stop(m *member) {
	w.mu.Lock() // nobody looks at it now, who would wait
	defer w.mu.Unlock()
	m.stopped.Store(true)
	m.stoppedAt = time.Now()
	w.check(m, m.process.Signal(proc.Stop))
}

func (w *world) goOn(m *member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.check(m, m.process.Signal(proc.Continue))
	m.stoppedFor += time.Since(m.stoppedAt)
	m.stopped.Store(false)
}

// mends waits until all is as before, as the next stage is to find it. Whom nodes list is
// not judged here: a program in which they do not find each other again is given up.
func (w *world) mends() {
	lists, calls := w.steady(w.Context())
	switch {
	case w.Context().Err() != nil:
		w.FailNow()
	case lists != "":
		w.seen(func() bool { return true }) // or one has crashed
		w.giveUp("after %v %s", scenario.Settle, lists)
	case calls != "":
		w.Check(false, "what was done to the nodes was undone, and after %v %s", scenario.Settle, calls)
	}
}

// opCut has nothing pass between two nodes, in one direction or both, while calls are held
// at both ends and others are made.
func (w *world) opCut(choice int) *programs.Act {
	a, b, rest := w.pair(choice)
	if !w.through || !w.strikes() {
		return nil
	}
	w.harmBetween(a, b, false)
	n := []int{10, 300}[rest%2]
	ways := []string{"from %s to %s", "both ways of %s and %s"}[rest/2%2]
	return &programs.Act{Text: fmt.Sprintf("cut "+ways+", %d held at both", short(a), short(b), n),
		Do: func() programs.Next {
			w.both(a, b, n)
			w.links.Cut(a.i, b.i, true)
			if rest/2%2 == 1 {
				w.links.Cut(b.i, a.i, true)
			}
			w.make(a, b, nodes.Batch{Calls: 20, Size: 1 << 10})
			w.make(b, a, nodes.Batch{Calls: 20, Size: 1 << 10})
			w.until(programTimeout+2*scenario.Settle, func() bool { return w.overBetween(a, b) })
			w.links.Cut(a.i, b.i, false)
			w.links.Cut(b.i, a.i, false)
			w.mends()
			w.release(a, nil)
			w.release(b, nil)
			return nil
		}}
}

// overBetween tells whether all calls between two nodes that were made have ended.
func (w *world) overBetween(a, b *member) bool {
	for _, m := range w.made {
		if m.from.stopped.Load() {
			continue // nobody can say
		}
		if !m.OneWay && (m.from == a && m.to == b || m.from == b && m.to == a) && m.last.Ended < m.last.Begun {
			return false
		}
	}
	return true
}

// opBreak resets the connections between two nodes while calls are held at both ends.
func (w *world) opBreak(choice int) *programs.Act {
	a, b, rest := w.pair(choice)
	if !w.through || !w.strikes() {
		return nil
	}
	w.harmBetween(a, b, true)
	n := []int{10, 300}[rest%2]
	return &programs.Act{Text: fmt.Sprintf("break between %s and %s, %d held at both", short(a), short(b), n),
		Do: func() programs.Next {
			w.both(a, b, n)
			w.links.Break(a.i, b.i)
			w.mends()
			return func() programs.Next {
				w.release(a, nil)
				w.release(b, nil)
				return nil
			}
		}}
}

// opReplyLost has calls handled and their replies lost, with their connection.
func (w *world) opReplyLost(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	if !w.through || !w.strikes() {
		return nil
	}
	w.harmBetween(from, to, true)
	m := w.plan(from, to, nodes.Batch{Calls: []int{1, 20, 200}[rest%3], Size: payload.SmallRequest})
	return &programs.Act{Text: w.text("reply lost", m), Result: func() string { return w.result(m) },
		Do: func() programs.Next {
			w.links.Cut(to.i, from.i, true)
			w.begin(m)
			w.arrives(m)
			w.links.Break(from.i, to.i)
			w.links.Cut(to.i, from.i, false)
			w.mends()
			return nil
		}}
}

// opStop stops a node that owes replies to thousands of calls.
func (w *world) opStop(choice int) *programs.Act {
	from, to, rest := w.pair(choice)
	if !w.strikes() {
		return nil
	}
	w.harm(to, false)
	n := []int{20, 4000}[rest%2]
	return &programs.Act{Text: fmt.Sprintf("stop %s, which owes %d replies to %s", short(to), n, short(from)),
		Do: func() programs.Next {
			held := w.make(from, to, nodes.Batch{Calls: n, Size: payload.SmallRequest, Answer: nodes.Held})
			w.arrives(held)
			w.stop(to)
			w.make(from, to, nodes.Batch{Calls: 20, Size: 1 << 10})
			w.until(programTimeout+2*scenario.Settle, func() bool { return w.overBetween(from, to) })
			w.goOn(to)
			w.mends()
			next := w.make(from, to, nodes.Batch{Calls: n, Size: payload.SmallRequest, Answer: nodes.Held})
			w.arrives(next)
			w.release(to, held) // too late for all
			return func() programs.Next {
				w.release(to, next)
				return nil
			}
		}}
}

// ends notes that a node is gone: what it knew is.
func (w *world) ends(m *member, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.made {
		b.gone = b.gone || b.from == m && !known
		b.blind = b.blind || b.to == m
	}
}

// opKill kills a node that owes replies and waits for some, and starts it again.
func (w *world) opKill(choice int) *programs.Act {
	m, _, rest := w.pair(choice)
	if !w.strikes() {
		return nil
	}
	w.harm(m, true)
	n := []int{10, 500}[rest%2]
	return &programs.Act{Text: fmt.Sprintf("kill %s, %d held at all ends", short(m), n), Do: func() programs.Next {
		w.around(m, n)
		w.ends(m, false)
		m.up.Store(false)
		_ = m.process.Signal(syscall.SIGKILL) // and end waits for that
		if err := w.end(m); err != nil {
			w.Check(false, "%v", err)
		}
		return func() programs.Next { return w.returns(m, n) }
	}}
}

// returns starts a node again. Its first calls have the numbers of those of its former
// life, and are in flight when these are answered.
func (w *world) returns(m *member, n int) programs.Next {
	var old []*made
	w.mu.Lock()
	for _, b := range w.made {
		if b.from == m && b.Answer == nodes.Held {
			old = append(old, b)
		}
	}
	w.mu.Unlock()
	if wrong := w.again(w.Context(), m); wrong != "" {
		w.giveUp("%s", wrong)
	}
	w.mends()
	var held []*made
	for _, other := range w.members {
		if other != m {
			held = append(held, w.make(m, other, nodes.Batch{Calls: n, Size: payload.SmallRequest, Answer: nodes.Held}))
		}
	}
	w.arrives(held...)
	for _, b := range old {
		w.release(b.to, b)
	}
	return func() programs.Next {
		for _, b := range held {
			w.release(b.to, b)
		}
		return nil
	}
}

func (w *world) opLeave(choice int) *programs.Act { return w.goes("leave", choice) }
func (w *world) opClose(choice int) *programs.Act { return w.goes("close", choice) }

// goes has a node leave, or closes it, while it owes replies and waits for some. It starts
// again afterwards.
func (w *world) goes(how string, choice int) *programs.Act {
	m, _, rest := w.pair(choice)
	if !w.strikes() {
		return nil
	}
	w.harm(m, true)
	n := []int{10, 500}[rest%2]
	return &programs.Act{Text: fmt.Sprintf("%s %s, %d held at all ends", how, short(m), n), Do: func() programs.Next {
		w.around(m, n)
		ctx, cancel := context.WithTimeout(w.Context(), 3*scenario.Settle)
		defer cancel()
		var left nodes.Ended
		err := m.process.Ask(ctx, nodes.Order{Do: how}, &left)
		switch {
		case w.Context().Err() != nil:
			w.FailNow()
		case ctx.Err() != nil:
			w.Violate("leaks", "%s of %s has not returned after %v, with %d calls in flight at each end",
				how, m.name, 3*scenario.Settle, n)
		case err != nil && how == "close":
			w.Violate("leaks", "%s of %s: %v", how, m.name, err)
		case left.Unsupported:
			w.release(m, nil)
			return nil
		case err == nil && !left.None():
			w.Violate("leaks", "%s of %s has returned, with %d calls in flight at each end: %v", how, m.name, n, left.Leaks)
		}
		w.until(scenario.Settle, func() bool {
			for _, b := range w.made {
				if b.from == m && b.last.Ended < b.last.Begun {
					return false
				}
			}
			return true
		})
		w.seen(func() bool {
			for _, b := range w.made {
				if open := b.last.Begun - b.last.Ended; b.from == m && open > 0 {
					w.Violate("once", "%s of %s has returned, and %d of its calls to %s never ended", how, m.name, open, b.to.name)
				}
			}
			return true
		})
		w.ends(m, true)
		if err := w.end(m); err != nil {
			w.Check(false, "%v", err)
		}
		return func() programs.Next { return w.returns(m, n) }
	}}
}
