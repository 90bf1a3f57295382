package clustertest

import (
	"context"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// explorer runs programs, on one cluster for as long as nothing is wrong with it.
type explorer struct {
	secret   []byte
	patience time.Duration
	fleet    func() fleet
	whole    *community // as the last program has left it; nil if none has
	inUse    *community
}

// explorePrograms has nodes die, hang, leave and return, as programs drawn from the seed
// say, in a cluster of its own.
func (k *kit) explorePrograms(ctx context.Context, t *testing.T) {
	k.KillAll() // so that they have the processors
	x := &explorer{secret: nodes.Secret(k.Seed), patience: scenario.Settle, fleet: func() fleet {
		return &processes{site: k.site, log: k.LogFile, interrupted: k.OnInterrupt, all: make(map[string]*proc.Process)}
	}}
	defer x.end()
	v := x.vocabulary()
	v.Report(k.Scenario, v.Try(ctx, t, k.Seed, budget))
}

// budget is that of the programs. One that does not find that anything is wrong waits for
// less than One.
var budget = programs.Budget{
	Short: 6 * time.Second, Full: 15 * time.Second, Least: 2,
	One: 8 * scenario.Settle, Shrink: 2 * scenario.Settle,
}

// programsBound is more than the phase takes.
var programsBound = time.Duration(budget.Least+1)*budget.One + budget.Shrink + budget.Full

func (x *explorer) vocabulary() *programs.Vocabulary[*world] {
	return &programs.Vocabulary[*world]{New: x.open, Ops: operations(), Events: events, Apart: apart}
}

func (x *explorer) end() {
	if x.inUse != nil {
		x.inUse.fleet.End()
	}
}

// open takes the cluster that the last program has left, or forms one.
func (x *explorer) open(p *programs.Program, _ testing.TB) *world {
	w := &world{Program: p, community: x.whole, secret: x.secret, patience: x.patience}
	w.kept = func(c *community) { x.whole = c }
	if p.Repeated() {
		w.patience /= 3 // it is known by now that it does not come right
	}
	x.whole = nil
	if w.community != nil && len(w.lives) < mostNames {
		return w
	}
	x.end()
	w.community = newCommunity(x.fleet())
	x.inUse = w.community
	w.form()
	return w
}

func newCommunity(f fleet) *community {
	return &community{fleet: f, lives: make(map[string]*life), met: make(map[pair]bool), loose: make(map[pair]bool)}
}

// form starts a cluster: one node, and the others by it.
func (w *world) form() {
	w.begun = true
	w.Together(w.Rest, programs.Named{Name: "start", Act: w.join(nil, false, false)})
	w.begin()
	var all []programs.Named
	for range programNodes - 1 {
		all = append(all, programs.Named{Name: "start", Act: w.join(nil, false, false)})
	}
	w.Together(w.Rest, all...)
}

// Finish makes the cluster whole. Then it has once more to bear what a cluster must: that
// it is cut and heals, that one leaves while others are stopped, that two die at the same
// instant and one after them, and that others come in their place.
func (w *world) Finish() {
	stage := func(acts ...func() programs.Named) {
		w.begin()
		var all []programs.Named
		for _, act := range acts {
			all = append(all, act())
		}
		w.Together(w.Rest, all...)
	}
	named := func(name string, pick func(int) *programs.Act, choice int) func() programs.Named {
		return func() programs.Named { return programs.Named{Name: name, Act: pick(choice)} }
	}
	w.begin()
	all := []programs.Named{{Name: "heal", Act: w.heal(0)}}
	for act := w.resume(0); act != nil; act = w.resume(0) {
		all = append(all, programs.Named{Name: "continue", Act: act})
	}
	w.Together(w.Rest, all...)
	stage(named("cut", w.cutOff, w.Draw(48)))
	stage(named("heal", w.heal, 0))
	stage(named("leave", w.leave, w.Draw(16)), named("blink", w.blink, w.Draw(16)),
		named("blink", w.blink, w.Draw(16)), named("blink", w.blink, w.Draw(16)))
	stage(named("kill", w.kill, 4*w.Draw(16)+1), named("claim", w.claim, w.Draw(16)))
	stage(named("kill", w.kill, 4*w.Draw(16)))
	w.begin()
	all = nil
	for len(w.sorted(there)) < programNodes {
		var former *life
		if w.Draw(4) > 0 {
			former = one(w.idle(func(l *life) bool { return gone(l) && l.settled }), w.Draw(16))
		}
		all = append(all, programs.Named{Name: "start", Act: w.join(former, w.Draw(2) == 1, true)})
	}
	w.Together(w.Rest, all...)
	w.begun = false
	w.kept(w.community)
}
