package clustertest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/programs"
)

// mostNames is how many names a cluster has seen before it is given up for a new one.
const mostNames = 90

// start starts a node: one that has died or left, at its address or at another, or a new
// one; by seeds of which the first may be dead.
func (w *world) start(choice int) *programs.Act {
	if len(w.sorted(there)) > programNodes || len(w.lives) >= mostNames {
		return nil
	}
	former := one(w.idle(func(l *life) bool { return gone(l) && l.settled }), choice/8)
	if choice%8 == 0 && former != nil {
		former.busy = false
		former = nil
	}
	return w.join(former, choice%2 == 0, choice/2%2 == 0)
}

// longestStart is how long a start takes on a machine that is able: one that takes longer
// meets the time-outs of the nodes.
const longestStart = time.Second

// join starts a node that was there before, at its address or another, or a new one if
// former is nil.
func (w *world) join(former *life, moves, deadFirst bool) *programs.Act {
	l := &life{number: w.number(), truth: nodes.Running, busy: true, how: "was started"}
	text := "start "
	by := ""
	if former != nil {
		l.name, l.addr = former.name, former.addr
		l.how = "was started again at its address"
		text = "start again "
	} else {
		l.name = fmt.Sprintf("node-%d", len(w.lives))
	}
	if former == nil || moves {
		addr, err := w.fleet.FreeAddr()
		w.Check(err == nil, "%v", err)
		l.addr = addr
		if former != nil {
			l.how = "was started again at another address"
			w.Event(eventMoved)
		}
	}
	s := nodes.Start{Name: l.name, Bind: l.addr, Secret: w.secret}
	if w.anchor != nil {
		s.Seeds, by = []string{w.anchor.addr}, " by "+w.anchor.name
		if deadFirst {
			dead, name := w.deadSeed(l)
			s.Seeds, by = []string{dead, w.anchor.addr}, fmt.Sprintf(" by %s, which is dead, and %s", name, w.anchor.name)
			w.Event(eventSeed)
		}
	}
	w.lives[l.name] = l
	w.started = append(w.started, l)
	if former != nil {
		text += l.name + strings.TrimPrefix(l.how, "was started again")
	} else {
		text += l.name
	}
	return w.act(text+by, func(ctx context.Context) { w.enter(ctx, l, s, by) })
}

func (c *community) number() int {
	c.last++
	return c.last
}

// deadSeed is an address at which nobody answers, and whose it was.
func (w *world) deadSeed(not *life) (addr, name string) {
	for _, l := range w.sorted(func(l *life) bool { return gone(l) && l.settled && !l.busy && l.addr != not.addr }) {
		return l.addr, l.name
	}
	addr, err := w.fleet.FreeAddr()
	w.Check(err == nil, "%v", err)
	return addr, "one that never lived"
}

// enter has a node get in.
func (w *world) enter(ctx context.Context, l *life, s nodes.Start, by string) {
	try := func(s nodes.Start) error {
		began := time.Now()
		at, err := w.fleet.Start(ctx, s)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.starved = w.starved || time.Since(began) > longestStart
		if err == nil {
			l.addr, w.offers = at.Addr, at.Offers
		}
		return err
	}
	err := w.again(l.name, func() error { return try(s) })
	if err == nil {
		return
	}
	if len(s.Seeds) > 1 {
		alone := s
		alone.Seeds = s.Seeds[1:]
		if try(alone) == nil {
			w.Violate("seeds", "%s was started%s, and did not get in for %v; by %s alone it did at once: %v",
				l.name, by, w.patience.Round(aMoment), w.anchor.name, err)
		}
	}
	criterion := "views"
	if strings.Contains(l.how, "again") {
		criterion = "rejoin"
	}
	w.Violate(criterion, "%s %s%s, and did not get in for %v: %v", l.name, l.how, by, w.patience.Round(aMoment), err)
}
