package clustertest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/programs"
	"tensile/stress/node"
)

// What operations can meet beside each other.
const (
	eventMany    = "several killed at once"
	eventStopped = "a node stopped"
	eventCut     = "a link cut"
	eventDead    = "one dead for good"
	eventSeed    = "a dead seed first"
	eventMoved   = "another address"
)

var events = []string{eventMany, eventStopped, eventCut, eventDead, eventSeed, eventMoved}

func operations() []programs.Op[*world] {
	return []programs.Op[*world]{
		{Name: "kill", Weight: 4, Always: true, Begin: begun((*world).kill)},
		{Name: "start", Weight: 4, Always: true, Begin: begun((*world).start)},
		{Name: "leave", Weight: 2, Begin: begun((*world).leave)},
		{Name: "blink", Weight: 2, Begin: begun((*world).blink)},
		{Name: "stop", Weight: 1, Begin: begun((*world).stop)},
		{Name: "continue", Weight: 2, Always: true, Begin: begun((*world).resume)},
		{Name: "cut", Weight: 1, Begin: begun((*world).cutOff)},
		{Name: "heal", Weight: 2, Always: true, Begin: begun((*world).heal)},
		{Name: "claim", Weight: 1, Begin: begun((*world).claim)},
	}
}

// apart are those that cannot meet. Who leaves, and who is told what the network loses,
// is not to wait for one that stops for long; there is one cut at a time; and what is
// claimed must be known to be taken.
var apart = []programs.Pair{
	{"leave", "stop"}, {"stop", "cut"}, {"stop", "heal"}, {"cut", "cut"}, {"cut", "heal"}, {"heal", "heal"},
	{"cut", "claim"}, {"heal", "claim"}, {"claim", eventCut},
}

func begun(pick func(w *world, choice int) *programs.Act) func(*world, int) *programs.Act {
	return func(w *world, choice int) *programs.Act {
		w.begin()
		return pick(w, choice)
	}
}

// idle are those of which a stage has no act yet.
func (w *world) idle(is func(*life) bool) []*life {
	return w.sorted(func(l *life) bool { return !l.busy && is(l) })
}

// one picks one of some, and takes it for the stage; nil if there are none.
func one(of []*life, choice int) *life {
	if len(of) == 0 {
		return nil
	}
	l := of[choice%len(of)]
	l.busy = true
	return l
}

// kill ends one, two, or any number of neighbours at the same instant.
func (w *world) kill(choice int) *programs.Act {
	all := w.idle(there)
	if len(all) == 0 {
		return nil
	}
	size := min([]int{1, 2, 2, 3}[choice%4], len(all))
	var victims []*life
	for i := range size {
		victims = append(victims, all[(choice/4+i)%len(all)])
	}
	names := namesOf(victims, nil)
	for _, l := range victims {
		l.busy, l.truth, l.settled, l.how = true, nodes.Killed, false, "was killed"
		if size > 1 {
			l.how += " at the same instant as " + strings.Join(nodes.Others(names, l.name), " and ")
		}
	}
	if size > 1 {
		w.Event(eventMany)
	}
	return w.act("kill "+strings.Join(names, " and "), func(context.Context) { w.fleet.Kill(names) })
}

// stop stops one for longer than the stage.
func (w *world) stop(choice int) *programs.Act {
	l := one(w.idle(running), choice)
	if l == nil || w.leaves || w.rewired {
		return nil
	}
	w.stops = true
	l.truth = nodes.Stopped
	l.happens("was stopped")
	w.Event(eventStopped)
	return w.act("stop "+l.name, func(context.Context) { w.signal(w.fleet.Stop(l.name)) })
}

// resume continues one that is stopped.
func (w *world) resume(choice int) *programs.Act {
	l := one(w.idle(func(l *life) bool { return l.truth == nodes.Stopped }), choice)
	if l == nil {
		return nil
	}
	l.truth = nodes.Running
	l.happens("was stopped and continued")
	w.shaken = append(w.shaken, l)
	cut := w.cut
	return w.act("continue "+l.name, func(ctx context.Context) {
		w.signal(w.fleet.Continue(l.name))
		w.setCut(ctx, cut, l) // as it could not be told before
	})
}

// blink stops one and continues it within the stage.
func (w *world) blink(choice int) *programs.Act {
	l := one(w.idle(running), choice)
	if l == nil {
		return nil
	}
	d := []time.Duration{300, 50, 600, 1200}[choice/16%4] * time.Millisecond
	l.happens(fmt.Sprintf("was stopped for %v", d))
	w.shaken = append(w.shaken, l)
	w.Event(eventStopped)
	return w.act(fmt.Sprintf("stop %s for %v", l.name, d), func(context.Context) {
		w.signal(w.fleet.Stop(l.name))
		time.Sleep(d)
		w.signal(w.fleet.Continue(l.name))
	})
}

func (w *world) signal(err error) {
	w.Check(err == nil, "views: a process has ended by itself: %v", err)
}

// leaveDelay has those that are stopped in the same stage be stopped before.
const leaveDelay = 20 * time.Millisecond

// leave has one leave. It owes that to those that it lists as alive, and that know it.
func (w *world) leave(choice int) *programs.Act {
	if w.noLeave || w.stops {
		return nil
	}
	l := one(w.idle(running), choice)
	if l == nil {
		return nil
	}
	w.leaves = true
	before := l.how
	l.truth, l.settled, l.how, l.notified = nodes.Gone, false, "left", make(map[int]bool)
	others := w.sorted(func(o *life) bool { return o != l && there(o) && w.met[pairOf(l, o)] })
	return w.act(l.name+" leaves", func(ctx context.Context) {
		time.Sleep(leaveDelay)
		whole := w.cut == nil && len(w.shaken) == 0
		for _, o := range w.lives {
			whole = whole && (o == l || running(o) || o.settled)
		}
		if absent := namesOf(w.shaken, nil); len(absent) > 0 {
			l.how = "left while nothing reached " + strings.Join(absent, " and ")
		}
		left, err := w.fleet.Leave(ctx, l.name)
		switch {
		case err != nil:
			whole = whole && !w.isStarved() && w.beat(w.anchor.name) <= ableWithin
			w.Check(!whole, "leave: %s was told to leave while nothing else was wrong, and: %v", l.name, err)
			w.fleet.Kill([]string{l.name}) // it could not tell all, and may not have ended
			return
		case left.Unsupported:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.noLeave, l.truth, l.how = true, nodes.Running, before
			return
		}
		w.Check(left.None(), "leaks: %s has left, and there is %v", l.name, left.Leaks)
		for _, o := range others {
			reached := !w.cut.touches(l) && !w.cut.touches(o) && !w.healed.touches(l) && !w.healed.touches(o)
			l.notified[o.number] = reached && left.Members[o.name] == node.Alive
		}
	})
}

// claim has a node with a name, or an address, that is taken.
func (w *world) claim(choice int) *programs.Act {
	if w.cut != nil {
		return nil
	}
	address := choice%2 == 1
	if address && !w.offers.Addresses || !address && !w.offers.Names {
		return nil
	}
	l := one(w.idle(running), choice/2)
	if l == nil {
		return nil
	}
	host := w.anchor
	s := nodes.Start{Name: "node-100", Bind: l.addr, Seeds: []string{host.addr}, Secret: w.secret}
	what := "the address of " + l.name
	if !address {
		s.Name, s.Bind, what = l.name, "127.0.0.1:0", "the name of "+l.name
	}
	return w.act("another claims "+what, func(ctx context.Context) {
		err := w.again(host.name, func() error {
			in, err := w.fleet.Claim(ctx, host.name, s)
			w.Check(!in.Accepted, "conflict: a node with %s, which is taken, was started without an error", what)
			if err == nil && (address && !in.AddressTaken || !address && !in.NameTaken) {
				err = fmt.Errorf("%s", in.Err)
			}
			return err
		})
		w.Check(err == nil, "conflict: the error of a node with %s, which is taken, does not say so: %v", what, err)
	})
}
