package transporttest

import (
	"fmt"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
)

// What equal rounds may add to what a node takes, in all: beyond that something of each
// call, message or connection stays.
const (
	keptRounds      = 3
	keptGoroutines  = 12
	keptDescriptors = 12
	keptMemory      = 512 << 10
)

// round has two nodes do what a node does with others, each kind of it often enough for
// what is kept of one to show.
func (w *world) round(a, b *member) {
	batches := []*made{
		w.make(a, b, nodes.Batch{Calls: 3000, Size: payload.SmallRequest, InFlight: 500}),
		w.make(b, a, nodes.Batch{Calls: 200, Size: 2 << 10}),
		w.make(a, b, nodes.Batch{Calls: 20, Size: 64 << 10, Answer: nodes.Elsewhere}),
		w.make(b, a, nodes.Batch{Calls: 1000, Size: payload.SmallRequest, OneWay: true}),
		w.make(a, b, nodes.Batch{Calls: 50, Size: 1 << 10, Answer: nodes.AnswerLater, Later: time.Millisecond}),
	}
	w.until(programTimeout+2*scenario.Settle, func() bool {
		for _, m := range batches {
			if w.busy(m) != "" {
				return false
			}
		}
		return true
	})
	if w.through {
		for range keptBreaks {
			w.links.Break(a.i, b.i)
			w.mends()
		}
	}
	c := &crowd{w: w, at: b}
	c.grow(keptStrangers, true) // they say nothing
	c.leave()
}

const (
	keptBreaks    = 6
	keptStrangers = 10
)

// opRounds does the same again and again, and looks whether nodes take more each time.
func (w *world) opRounds(choice int) *programs.Act {
	a, b, _ := w.pair(choice)
	if w.taken() || w.struck {
		return nil
	}
	w.alone = true
	w.harmBetween(a, b, true)
	return &programs.Act{Text: fmt.Sprintf("rounds of the same between %s and %s", short(a), short(b)),
		Do: func() programs.Next {
			w.round(a, b) // what is set up for as much as that it has after the first
			w.forgetBatches()
			// What comes and goes by itself does not grow twice.
			wrong := w.grows(a, b, scenario.Settle/4)
			if wrong != "" {
				wrong = w.grows(a, b, scenario.Settle)
			}
			if wrong != "" {
				w.Violate("kept", "%s, though all calls and messages of them are over", wrong)
			}
			w.Tried("kept")
			return nil
		}}
}

// grows says by what nodes have grown in equal rounds, and still have patience later, or
// returns "".
func (w *world) grows(a, b *member, patience time.Duration) (wrong string) {
	before := w.usage(a, b)
	for range keptRounds {
		w.round(a, b)
	}
	w.forgetBatches()
	w.until(patience, func() bool {
		wrong = ""
		for m, u := range w.usage(a, b) {
			if more := beyond(before[m], u); more != "" {
				wrong = fmt.Sprintf("%s has %s than %d equal rounds ago", m.name, more, keptRounds)
			}
		}
		return wrong == ""
	})
	return wrong
}

// beyond says what a node takes too much, or "".
func beyond(before, now nodes.Usage) string {
	switch {
	case now.Goroutines > before.Goroutines+keptGoroutines:
		return fmt.Sprintf("%d goroutines more", now.Goroutines-before.Goroutines)
	case now.Descriptors > before.Descriptors+keptDescriptors:
		return fmt.Sprintf("%d descriptors more", now.Descriptors-before.Descriptors)
	case now.Memory > before.Memory+keptMemory:
		return fmt.Sprintf("%d KB more of memory", (now.Memory-before.Memory)>>10)
	}
	return ""
}

// forgetBatches gives up what the kit itself keeps of batches that are over, and has all
// others answered: a node may keep what it needs for a reply.
func (w *world) forgetBatches() {
	w.tell("answer")
	w.tell("never")
	w.until(programTimeout+2*scenario.Settle, func() bool { return w.later == 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
	w.tell("forget")
	w.made, w.first = nil, w.batches+1
}
