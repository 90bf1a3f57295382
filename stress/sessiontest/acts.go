package sessiontest

import (
	"context"
	"fmt"
	"time"

	"tensile/stress/internal/programs"
)

// What operations can meet beside each other.
const (
	eventKilled = "a node without its memory"
	eventOut    = "a node that nothing reaches"
	eventCut    = "links cut one way"
	eventEnds   = "the end of a life"
)

var events = []string{eventKilled, eventOut, eventCut, eventEnds}

func acts() []programs.Op[*world] {
	return []programs.Op[*world]{
		{Name: "put", Weight: 4, Always: true, Begin: (*world).put},
		{Name: "get", Weight: 2, Begin: (*world).get},
		{Name: "delete", Weight: 3, Begin: (*world).remove},
		{Name: "kill", Weight: 3, Begin: (*world).kill},
		{Name: "end", Weight: 1, Begin: (*world).leave},
		{Name: "start", Weight: 3, Always: true, Begin: (*world).start},
		{Name: "blink", Weight: 2, Begin: (*world).blink},
		{Name: "stop", Weight: 1, Begin: (*world).stop},
		{Name: "isolate", Weight: 2, Begin: (*world).isolate},
		{Name: "cut", Weight: 2, Begin: (*world).cut},
		{Name: "heal", Weight: 3, Always: true, Begin: (*world).heal},
		{Name: "reset", Weight: 1, Begin: (*world).reset},
		{Name: "restart", Weight: 1, Begin: (*world).restartAll},
	}
}

// apart are those that cannot meet: there is one fault in a stage, and none where one is not
// undone that excludes it.
var apart = append(
	pairsOf("kill", "end", "start", "blink", "stop", "isolate", "cut", "heal", "reset", "restart"),
	programs.Pair{"kill", eventOut}, programs.Pair{"kill", eventCut}, programs.Pair{"end", eventOut},
	programs.Pair{"end", eventCut}, programs.Pair{"stop", eventCut}, programs.Pair{"isolate", eventCut},
	programs.Pair{"blink", eventCut},
)

// pairsOf are all pairs of some operations, also of one with itself.
func pairsOf(ops ...string) (pairs []programs.Pair) {
	for i, a := range ops {
		for _, b := range ops[i:] {
			pairs = append(pairs, programs.Pair{a, b})
		}
	}
	return pairs
}

// value is one that nobody has written.
func (w *world) value() []byte { return fmt.Appendf(nil, "value %d", w.values.Add(1)) }

func (w *world) session(choice int) *session { return w.sessions[choice%len(w.sessions)] }

// node is one that has a process.
func (w *world) node(choice int) *member {
	all := w.having(func(n *member) bool { return !w.down[n] })
	return all[choice%len(all)]
}

// lives are for how long sessions are written.
var lives = []time.Duration{0, 0, 400 * time.Millisecond, 1200 * time.Millisecond}

func (w *world) put(choice int) *programs.Act {
	op := operation{kind: opPut, value: w.value(), ttl: lives[choice/16%len(lives)]}
	text := fmt.Sprintf("put %s", op.value)
	if op.ttl > 0 {
		text += fmt.Sprintf(" for %v", op.ttl)
		w.Event(eventEnds)
	}
	return w.operate(text, choice, op)
}

func (w *world) get(choice int) *programs.Act {
	return w.operate("get", choice, operation{kind: opGet})
}

func (w *world) remove(choice int) *programs.Act {
	w.Tried("deleted")
	return w.operate("delete", choice, operation{kind: opDelete})
}

// operate has one operation performed.
func (w *world) operate(text string, choice int, op operation) *programs.Act {
	s, n := w.session(choice), w.node(choice/sessionCount)
	said := "it did not return"
	return &programs.Act{
		Text:   fmt.Sprintf("%s: %s at %s", s.key, text, n.name),
		Do:     func() programs.Next { said = w.do(w.Context(), s, n, op).String(); return nil },
		Result: func() string { return said },
	}
}

func (r result) String() string {
	switch {
	case r.err != nil:
		return r.err.Error()
	case r.outcome == opAbsent:
		return "nothing there"
	case len(r.value) > 0:
		return string(r.value)
	}
	return "ok"
}

// begin takes the stage for a fault. It reports false if there is one already.
func (w *world) begin(is bool) bool {
	if w.busy || !is {
		return false
	}
	w.busy = true
	w.watched = w.watch(w.out == nil && !w.links)
	return true
}

// hit is an act that does something to a node.
func (w *world) hit(n *member, what string, do func(ctx context.Context)) *programs.Act {
	w.struck = nil
	for range strikeWrites {
		w.struck = append(w.struck, w.fresh())
	}
	return w.act(n.name+" "+what, func(ctx context.Context) { w.strike(n, func() { do(ctx) }) })
}

// act is one that does something to nodes or links.
func (w *world) act(text string, do func(ctx context.Context)) *programs.Act {
	w.fault = text
	return &programs.Act{Text: text, Do: func() programs.Next { do(w.Context()); return nil }}
}

// mayFail takes the stage for a fault of one more node, if a store must bear that.
func (w *world) mayFail(choice int) *member {
	ok := w.out == nil && !w.links && len(w.down) == 0
	if !w.begin(ok) {
		return nil
	}
	n := w.k.nodes[choice%len(w.k.nodes)]
	w.excuse(n)
	return n
}

// excuse has sessions not be judged any more where one node has lost them, for which nothing made
// up, and now another goes.
func (w *world) excuse(n *member) {
	if w.lately != nil && w.lately != n && !w.k.abilities().Shares {
		w.renew()
		w.lately = nil
	}
}

// lose takes a node for one that is killed, or ends.
func (w *world) lose(choice int) *member {
	var n *member
	if len(w.down) == 1 && w.out == nil && !w.links && w.k.abilities().Replicates && w.begin(true) {
		all := w.serving() // which have made up for the first
		n = all[choice%len(all)]
	} else if n = w.mayFail(choice); n == nil {
		return nil
	}
	w.down[n], w.lost, w.lately = true, true, n
	w.Event(eventKilled)
	w.expiring = w.live()
	return n
}

func (w *world) kill(choice int) *programs.Act {
	n := w.lose(choice)
	if n == nil {
		return nil
	}
	return w.hit(n, "was killed", func(context.Context) { n.kill() })
}

// leave has a node end as it does by itself.
func (w *world) leave(choice int) *programs.Act {
	n := w.lose(choice)
	if n == nil {
		return nil
	}
	return w.hit(n, "was closed", func(context.Context) {
		p, client := n.leave()
		began := time.Now()
		err := p.Close()
		client.Close()
		w.Check(err == nil || w.pulse.able(began) < w.patience, "leaks: %s did not end when it was told to: %v", n.name, err)
	})
}

// start has one return that was killed, without its memory.
func (w *world) start(choice int) *programs.Act {
	all := w.having(func(n *member) bool { return w.down[n] })
	if !w.begin(len(all) > 0) {
		return nil
	}
	n := all[choice%len(all)]
	w.expiring = w.live()
	delete(w.down, n)
	w.lost = true
	w.Event(eventKilled)
	return w.act(n.name+" came back without its memory", func(ctx context.Context) {
		w.run(func() error { return w.k.restart(ctx, n) })
	})
}

// run starts processes. Where they do not come up, that is a violation unless the machine is
// to blame, and the program ends.
func (w *world) run(start func() error) {
	began := time.Now()
	if err := start(); err != nil {
		w.Check(w.Context().Err() != nil || w.pulse.able(began) < w.patience, "latest: %v, %s", err, w.after())
		w.FailNow()
	}
}

// blink stops one and continues it within the stage.
func (w *world) blink(choice int) *programs.Act {
	n := w.mayFail(choice)
	if n == nil {
		return nil
	}
	long := []time.Duration{50, 300, 800, 1600}[choice/4%4] * time.Millisecond
	w.Event(eventOut)
	return w.hit(n, fmt.Sprintf("was stopped for %v", long), func(ctx context.Context) {
		_ = n.pause(true) // it is there
		time.Sleep(long)
		_ = n.pause(false)
		w.k.tell(ctx, n)
	})
}

// stop stops one for longer than the stage.
func (w *world) stop(choice int) *programs.Act {
	n := w.mayFail(choice)
	if n == nil {
		return nil
	}
	w.out = n
	w.Event(eventOut)
	return w.hit(n, "was stopped", func(context.Context) { _ = n.pause(true) })
}

// isolate cuts one off from all others.
func (w *world) isolate(choice int) *programs.Act {
	n := w.mayFail(choice)
	if n == nil {
		return nil
	}
	w.out = n
	w.Event(eventOut)
	return w.hit(n, "was cut off", func(ctx context.Context) { w.k.isolate(ctx, n, true) })
}

// cut cuts what one sends to another, or both directions.
func (w *world) cut(choice int) *programs.Act {
	n := w.mayFail(choice)
	if n == nil {
		return nil
	}
	w.links = true
	w.Event(eventCut)
	to := w.k.others(n)[choice/4%3]
	if choice/16%2 == 0 {
		return w.act(fmt.Sprintf("%s was cut off from %s, one way", to.name, n.name), func(ctx context.Context) {
			w.k.cut(ctx, n, to, true)
		})
	}
	return w.act(fmt.Sprintf("%s and %s were cut off from each other", to.name, n.name), func(ctx context.Context) {
		w.k.pair(ctx, n, to, true)
	})
}

// heal undoes what was cut and stopped.
func (w *world) heal(int) *programs.Act {
	if !w.begin(w.out != nil || w.links) {
		return nil
	}
	text := "the links were whole again"
	if n := w.out; n != nil {
		text = n.name + " was reached again"
	}
	w.out, w.links = nil, false
	return w.act(text, func(ctx context.Context) { w.run(func() error { return w.k.heal(ctx) }) })
}

// reset breaks the connections between two.
func (w *world) reset(choice int) *programs.Act {
	if !w.begin(!w.links) {
		return nil
	}
	n := w.k.nodes[choice%len(w.k.nodes)]
	to := w.k.others(n)[choice/4%3]
	return w.act(fmt.Sprintf("connections between %s and %s were reset", n.name, to.name), func(context.Context) {
		for range 1 + choice/16 {
			w.k.links.Break(n.index, to.index)
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// restartAll kills all nodes and starts a cluster by the same names and addresses. What was
// written may be gone; unless the nodes share a server.
func (w *world) restartAll(choice int) *programs.Act {
	if !w.begin(choice%4 == 0) { // it leaves little to look at
		return nil
	}
	first := w.k.nodes[choice/4%len(w.k.nodes)]
	if !w.k.abilities().Shares {
		for _, s := range w.all() {
			s.add(recorded{Key: s.key, Write: true, Outcome: "unknown", Invoked: int64(time.Since(w.began))})
		}
	}
	clear(w.down)
	w.out, w.links, w.lately, w.lost = nil, false, nil, true
	w.Event(eventKilled)
	return w.act("all nodes were killed and started again", func(ctx context.Context) {
		w.run(func() error { return w.k.again(ctx, first) })
	})
}
