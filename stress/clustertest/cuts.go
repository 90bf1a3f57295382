package clustertest

import (
	"context"
	"slices"
	"time"

	"tensile/stress/internal/programs"
	"tensile/stress/internal/wait"
)

// cutting is what the network loses.
type cutting struct {
	lost  [][2]*life // what goes from the first to the second
	lasts time.Duration
}

// touches tells whether anything from or to a node is lost.
func (c *cutting) touches(l *life) bool {
	return c != nil && slices.ContainsFunc(c.lost, func(p [2]*life) bool { return p[0] == l || p[1] == l })
}

func (c *cutting) lose(from, to []*life) {
	for _, a := range from {
		for _, b := range to {
			c.lost = append(c.lost, [2]*life{a, b})
		}
	}
}

// of is to which addresses a node sends in vain, and from which nothing comes.
func (c *cutting) of(l *life) (to, from []string) {
	if c == nil {
		return nil, nil
	}
	for _, p := range c.lost {
		switch l {
		case p[0]:
			to = append(to, p[1].addr)
		case p[1]:
			from = append(from, p[0].addr)
		}
	}
	return to, from
}

// cutOff cuts two nodes off from each other, one way or both, one from all others, or the
// cluster in two.
func (w *world) cutOff(choice int) *programs.Act {
	all := w.wired()
	if w.cut != nil || w.rewired || w.stops || len(all) < 2 {
		return nil
	}
	k := choice / 4 % len(all)
	all = slices.Concat(all[k:], all[:k])
	c := &cutting{lasts: []time.Duration{50, 400, 900, 1500}[choice/16%4] * time.Millisecond}
	a, b, text := all[:1], all[1:2], all[0].name+" and "+all[1].name+" are cut off from each other"
	switch choice % 4 {
	case 0:
		text = "what " + all[0].name + " sends to " + all[1].name + " is lost"
	case 1:
	case 2:
		b, text = all[1:], all[0].name+" is cut off from all others"
	case 3:
		half := len(all) / 2
		a, b = all[:half], all[half:]
		text = "the cluster is cut in two"
	}
	c.lose(a, b)
	if choice%4 > 0 {
		c.lose(b, a)
	}
	w.cut, w.rewired = c, true
	w.Event(eventCut)
	return w.act(text, func(ctx context.Context) { w.setCut(ctx, c, all...) })
}

// wired are the nodes that can be told what the network loses.
func (w *world) wired() []*life {
	return w.sorted(func(l *life) bool { return running(l) && !slices.Contains(w.started, l) })
}

// heal makes the network whole.
func (w *world) heal(int) *programs.Act {
	if w.cut == nil || w.rewired || w.stops {
		return nil
	}
	w.rewired, w.healed = true, w.cut
	w.cut = nil
	for _, l := range w.sorted(func(l *life) bool { return there(l) && w.healed.touches(l) }) {
		w.shaken = append(w.shaken, l)
		if running(l) {
			l.happens("was cut off for a while")
		}
	}
	all := w.wired()
	return w.act("the network heals", func(ctx context.Context) { w.setCut(ctx, nil, all...) })
}

// setCut tells nodes of what the network loses. A node that dies meanwhile is not
// concerned.
func (w *world) setCut(ctx context.Context, c *cutting, all ...*life) {
	wait.All(len(all), func(i int) {
		to, from := c.of(all[i])
		_ = w.fleet.Cut(ctx, all[i].name, to, from)
	})
}
