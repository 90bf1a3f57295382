package programs

import (
	"cmp"
	"testing"

	"tensile/stress/explore"
	"tensile/stress/internal/programtb"
)

// World is a subject with the seams around it, for one program. The program's own
// goroutine calls it, at rest.
type World interface {
	// Rest waits until nothing goes on any more, and judges what must hold then.
	Rest()
	// Finish ends every program alike: it gives everything back, uses the subject
	// once more as a whole, and closes it.
	Finish()
}

// Vocabulary is what the programs of a kit are made of.
type Vocabulary[W World] struct {
	// New draws how the subject is to be, and makes it. What tb is told ends the
	// program; what its Cleanup is given is called at the end of it.
	New func(p *Program, tb testing.TB) W
	// Ops are drawn, unless Script says what is done.
	Ops    []Op[W]
	Script func(p *Program, w W)
	// Events are what operations can meet: those that the seams bring about, as
	// [Program.Event] is told, in addition to the operations themselves.
	Events []string
	// Apart are pairs of operations and events that cannot meet.
	Apart []Pair
	// Deal has every program in real time do one of the operations for certain, and another
	// beside it, each in its turn, in an order that follows from the seed: so few programs
	// have tried all, and not many more all pairs.
	Deal bool
	// Stages is how many a program has at most; 0 for 10.
	Stages int
	// Beside are how many acts a stage may have: each is there in one of so many stages;
	// nil for 1, 2, 3, 6.
	Beside []int
}

// Op is an operation of the interface, or an event that the kit brings about.
type Op[W World] struct {
	Name   string
	Weight int  // how often it is drawn, compared with others
	Always bool // part of every program's vocabulary
	// Instant is an operation that is over when Begin returns, before its stage: it
	// changes how a seam will behave, and meets nothing itself.
	Instant bool
	// Begin picks, at rest, what the operation is applied to, by a number from 0.
	// It returns nil if there is nothing to apply it to.
	Begin func(w W, choice int) *Act
}

// Act is an operation about to be done.
type Act struct {
	Text string // as a failing program shows it
	// Do, if it is not nil, is called beside the other acts of the stage, and, if it returns another
	// function, that one when all has come to rest, and so on.
	Do func() Next
	// Result, if it is not nil, says what came of it.
	Result func() string
}

// Next is what an act does when what it did before has come to rest; nil for
// nothing.
type Next func() Next

const (
	mostStages = 10
	choices    = 64 // of an operation
)

// beside is Vocabulary.Beside where nothing else is said.
var beside = []int{1, 2, 3, 6}

// Body is the function to explore: a program of up to mostStages stages.
func (v *Vocabulary[W]) Body(t *testing.T) func(*explore.Run) {
	words := v.words()
	return func(e *explore.Run) { v.run(t, e, words) }
}

// run runs one program.
func (v *Vocabulary[W]) run(t *testing.T, h Host, words *words) {
	p := newProgram(h, words)
	tb := programtb.New(t, h, new(Lock))
	var dealt []int
	if v.Deal { // before anything else: see deal
		dealt = append(dealt, p.Draw(len(v.Ops)))
		if beside := p.Draw(len(v.Ops) + 1); beside > 0 {
			dealt = append(dealt, beside-1)
		}
	}
	w := v.New(p, tb)
	if v.Script != nil {
		v.Script(p, w)
	} else {
		v.stages(p, w, dealt)
	}
	w.Finish()
	tb.End()
	p.count()
}

func (v *Vocabulary[W]) stages(p *Program, w W, dealt []int) {
	ops := v.swarm(p)
	stages := 1 + p.Draw(cmp.Or(v.Stages, mostStages))
	turn := -1 // of what was dealt
	if v.Deal {
		turn = p.Draw(stages)
	}
	all := v.Beside
	if all == nil {
		all = beside
	}
	for stage := range stages {
		var acts []pending
		begin := func(op, choice int) {
			if act := v.Ops[op].Begin(w, choice); act != nil {
				acts = append(acts, pending{act, op})
			}
		}
		if stage == turn {
			for _, op := range dealt {
				begin(op, p.Draw(choices))
			}
		}
		for _, oneIn := range all {
			if n := p.Draw(len(ops)*choices*oneIn + 1); n > 0 && n <= len(ops)*choices {
				begin(ops[(n-1)/choices], (n-1)%choices)
			}
		}
		if len(acts) > 0 {
			p.stage(acts, w.Rest)
		}
	}
}

// deal returns the first choices of a program in real time: the n-th of them has the next
// operation, and beside it another one each time that all have had their turn.
func (v *Vocabulary[W]) deal(deck []int, n int) []int {
	if !v.Deal {
		return nil
	}
	turn, round := n%len(deck), n/len(deck)
	return []int{deck[turn], deck[(turn+round)%len(deck)] + 1}
}

// swarm draws which operations the program is made of, each as often as it weighs.
func (v *Vocabulary[W]) swarm(p *Program) (ops []int) {
	for i, op := range v.Ops {
		times := op.Weight
		switch d := p.Draw(8); {
		case op.Always || d < 4:
		case d < 7:
			times = 0
		default:
			times *= 4
		}
		for range times {
			ops = append(ops, i)
		}
	}
	return ops
}
