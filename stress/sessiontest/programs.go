package sessiontest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// programLanes is how many clusters run programs at once: most of a program is waiting.
const programLanes = 3

// programBudget is that of each lane. A program that does not find that anything is wrong
// waits for less than One.
var programBudget = programs.Budget{
	Short: 8 * time.Second, Full: 25 * time.Second, Least: 1,
	One: 8 * scenario.Settle, Shrink: 2 * scenario.Settle,
}

// programsBound is more than the phase takes.
var programsBound = time.Duration(programBudget.Least+1)*programBudget.One + programBudget.Shrink + programBudget.Full

// explorePrograms has sessions be written, expire and be deleted while nodes die, hang, leave
// and return, as programs drawn from the seed say, in clusters of their own.
func (k *kit) explorePrograms(ctx context.Context, t *testing.T) {
	lanes := programLanes
	if programs.Repeating() {
		lanes = 1
	}
	tried := make([]programs.Tried, lanes)
	wait.All(lanes, func(i int) {
		defer k.Recovered("programs")
		x := &explorer{k: k.apart(fmt.Sprintf("programs %d", i+1), true)}
		defer x.end()
		tried[i] = x.vocabulary().Try(ctx, t, k.Seed+uint64(i), programBudget)
	})
	new(explorer).vocabulary().Report(k.Scenario, programs.Merge(tried...))
}

// explorer runs programs, on one cluster for as long as nothing is wrong with it.
type explorer struct {
	k     *kit
	whole bool // the last program has left a cluster as it was
	keys  int  // used so far
}

func (x *explorer) vocabulary() *programs.Vocabulary[*world] {
	return &programs.Vocabulary[*world]{New: x.open, Ops: acts(), Events: events, Apart: apart, Deal: true, Stages: 6}
}

func (x *explorer) end() {
	x.k.cluster.end()
	x.whole = false
}

// open takes the cluster that the last program has left, or forms one.
func (x *explorer) open(p *programs.Program, _ testing.TB) *world {
	w := &world{Program: p, explorer: x, patience: scenario.Settle, began: time.Now(), down: make(map[*member]bool)}
	if p.Repeated() {
		w.patience /= 3 // it is known by now that it does not come right
	}
	if !x.whole {
		x.end()
		err := x.k.form(p.Context(), true)
		p.Check(err == nil || p.Context().Err() != nil, "latest: nothing was wrong yet, and the nodes do not serve: %v", err)
	}
	x.whole = false
	w.renew()
	w.pulse = startPulse(p, x.k.cluster)
	return w
}

// Finish makes the cluster whole. Then it has once more to bear what a cluster must: that one node
// is cut off and heals, and that one is killed and returns, while sessions are deleted.
func (w *world) Finish() {
	stage := func(name string, act *programs.Act, others ...programs.Named) {
		w.Together(w.Rest, append(others, programs.Named{Name: name, Act: act})...)
	}
	stage("heal", w.heal(0))
	for len(w.down) > 0 {
		stage("start", w.start(0))
	}
	victim := w.Draw(nodeCount)
	put := func(session int) programs.Named { return programs.Named{Name: "put", Act: w.put(session)} }
	remove := func(session int) programs.Named {
		return programs.Named{Name: "delete", Act: w.remove(session + sessionCount*((victim+1+session)%nodeCount))}
	}
	stage("put", w.put(0), put(1), put(2), put(3))
	stage("isolate", w.isolate(victim), remove(0), remove(1))
	stage("heal", w.heal(0))
	stage("kill", w.kill(victim), remove(2))
	stage("start", w.start(0))
	w.pulse.stop()
	w.whole = true
}
