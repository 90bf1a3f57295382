package crashstates

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// Space is what a model leaves open if the power fails after the first calls of a
// record.
type Space struct {
	a       *Analysis
	cut     int
	choices []choice
}

// choice is one open question. Value 0 is "as the program saw it".
type choice struct {
	kind   choiceKind
	event  int // concerned, or node
	values int
	steps  []step // of a journal or of a file that grows: what is left, by value
}

type choiceKind int

const (
	journal choiceKind = iota // how much of the journal is there
	growth                    // how much of what makes a file longer
	content                   // which part of a write
	goes                      // whether an old name is gone
	comes                     // whether a new name is there; both, if a rename is one step
)

// step is a place up to which things are there: events before it, and of the
// event itself the bytes before an offset.
type step struct {
	event  int
	offset int64
}

// part is what may be there of a write: its content in [from, to), and the size
// of the file, unless that is negative.
type part struct {
	from, to, size int64
}

// At returns the space if the power fails before event cut, and after all events before
// it. cut is 0 to the number of events.
func (a *Analysis) At(cut int) *Space {
	s := &Space{a: a, cut: cut}
	if a.m.Journal {
		s.openJournal()
	}
	for i := range cut {
		e, f := &a.r.Events[i], &a.effects[i]
		switch {
		case e.Kind == Write || e.Kind == Zero:
			if f.data >= cut && f.from < f.to {
				s.add(choice{kind: content, event: i, values: len(a.partsOf(i))})
			}
		case a.m.Journal:
		case e.content():
			if f.data >= cut {
				s.add(choice{kind: content, event: i, values: 2})
			}
		case e.Kind == Rename && e.Dir != e.ToDir:
			if f.gone >= cut {
				s.add(choice{kind: goes, event: i, values: 2})
			}
			if f.here >= cut {
				s.add(choice{kind: comes, event: i, values: 2})
			}
		case e.names():
			if min(f.gone, f.here) >= cut {
				s.add(choice{kind: comes, event: i, values: 2})
			}
		}
	}
	return s
}

func (s *Space) add(c choice) { s.choices = append(s.choices, c) }

// openJournal adds the choices that only a journal has.
func (s *Space) openJournal() {
	a := s.a
	steps := []step{{event: s.cut}}
	for i := s.cut - 1; i >= 0; i-- {
		e, f := &a.r.Events[i], &a.effects[i]
		if f.meta && (e.names() && f.here >= s.cut || e.content() && f.size >= s.cut) {
			steps = append(steps, step{event: i})
		}
	}
	if len(steps) > 1 {
		s.add(choice{kind: journal, values: len(steps), steps: steps})
	}
	if !a.m.Delayed {
		return
	}
	for _, node := range s.files() {
		steps := []step{{event: s.cut}}
		for _, i := range slices.Backward(a.byNode[node]) {
			e, f := &a.r.Events[i], &a.effects[i]
			if i >= s.cut || !a.delays(i) || f.size < s.cut {
				continue
			}
			for _, at := range slices.Backward(boundaries(max(f.to, e.Offset), e.end())) {
				if at%block == 0 {
					steps = append(steps, step{i, at})
				}
			}
			steps = append(steps, step{i, 0})
		}
		if len(steps) > 1 {
			s.add(choice{kind: growth, event: node, values: len(steps), steps: steps})
		}
	}
}

// delays reports whether a write, or a part of it, reaches the disk only when its file
// grows there.
func (a *Analysis) delays(i int) bool {
	e, f := &a.r.Events[i], &a.effects[i]
	return a.m.Delayed && e.Kind == Write && !f.meta && (f.to < e.end() || f.grows)
}

// files are the nodes with content, in order.
func (s *Space) files() []int {
	var nodes []int
	for node := range s.a.byNode {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	return nodes
}

// boundaries are places strictly between two offsets at which a write may tear:
// the first and last multiple of 512, and of 4,096.
func boundaries(from, to int64) []int64 {
	var all []int64
	for _, unit := range []int64{sector, block} {
		first, last := (from/unit+1)*unit, (to-1)/unit*unit
		if first < to {
			all = append(all, first)
		}
		if last > first {
			all = append(all, last)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// partsOf returns the ways in which the free part of a write may be on the disk.
func (a *Analysis) partsOf(i int) []part {
	if all := a.parts[i]; all != nil {
		return all
	}
	e, f := &a.r.Events[i], &a.effects[i]
	size := int64(-1)
	if e.Kind == Write && !a.m.Journal && f.grows {
		size = e.end()
	}
	all := []part{{f.from, f.to, size}, {f.from, f.from, -1}}
	if size >= 0 {
		all = append(all, part{f.from, f.from, size})
	}
	if e.Kind == Write {
		for _, at := range boundaries(f.from, f.to) {
			all = append(all, part{f.from, at, size}, part{at, f.to, size})
			if size >= 0 {
				all = append(all, part{f.from, at, at})
			}
		}
	}
	a.parts[i] = all
	return all
}

// Choices is the number of values of each choice.
func (s *Space) Choices() []int {
	all := make([]int, len(s.choices))
	for i, c := range s.choices {
		all[i] = c.values
	}
	return all
}

// Vectors passes vectors of the space to yield, until that returns false. If there are at
// most that many, it passes all of them. Otherwise it passes those in which little is
// missing or little is there, and then others drawn from the seed. The slice is valid
// only during the call.
func (s *Space) Vectors(most int, seed uint64, yield func(vector []int) bool) {
	vector := make([]int, len(s.choices))
	all := 1
	for _, c := range s.choices {
		if all *= c.values; all > most {
			s.sample(most, seed, yield)
			return
		}
	}
	for {
		if !yield(vector) {
			return
		}
		i := 0
		for ; i < len(vector); i++ {
			if vector[i]++; vector[i] < s.choices[i].values {
				break
			}
			vector[i] = 0
		}
		if i == len(vector) {
			return
		}
	}
}

// sample passes at most most vectors.
func (s *Space) sample(most int, seed uint64, yield func(vector []int) bool) {
	n := len(s.choices)
	vector := make([]int, n)
	left := most
	try := func() bool {
		left--
		return yield(vector) && left > 0
	}
	lost := func(i int) int { // the value by which nothing of it is there
		if c := s.choices[i]; c.kind == journal || c.kind == growth {
			return c.values - 1
		}
		return 1
	}
	if !try() {
		return
	}
	for i := range n {
		vector[i] = lost(i)
	}
	if !try() {
		return
	}
	for i := range n { // one is there, the others are not
		vector[i] = 0
		ok := try()
		vector[i] = lost(i)
		if !ok {
			return
		}
	}
	for i := range n { // the first are there, the others are not
		vector[i] = 0
		if !try() {
			return
		}
	}
	for i := range n { // one is missing, or is there in part
		for vector[i] = 1; vector[i] < s.choices[i].values; vector[i]++ {
			if !try() {
				return
			}
		}
		vector[i] = 0
	}
	random := rand.New(rand.NewPCG(seed, uint64(s.cut)))
	for left > 0 {
		rarely := random.IntN(4) // most there, most lost, or as it comes
		for i, c := range s.choices {
			switch {
			case rarely == 0 && random.IntN(4) > 0:
				vector[i] = 0
			case rarely == 1 && random.IntN(4) > 0:
				vector[i] = lost(i)
			default:
				vector[i] = random.IntN(c.values)
			}
		}
		if !try() {
			return
		}
	}
}

// fate is what a vector makes of an event.
type fate struct {
	gone, here bool  // of names
	part       int   // of a write that is free: its parts; 1 is nothing
	grown      bool  // the rest of a write, and the size
	until      int64 // of the rest: content before this offset; 0 for all
}

// fates says what a vector makes of each event before the cut.
func (s *Space) fates(vector []int) []fate {
	a := s.a
	all := make([]fate, s.cut)
	bound := s.cut // the journal holds what is before
	kept := make(map[int]step)
	free := make(map[int]int)
	goneNot, hereNot := make(map[int]bool), make(map[int]bool)
	for n, c := range s.choices {
		v := vector[n]
		switch c.kind {
		case journal:
			bound = c.steps[v].event
		case growth:
			kept[c.event] = c.steps[v]
		case content:
			free[c.event] = v
		case goes:
			goneNot[c.event] = v > 0
		case comes:
			hereNot[c.event] = v > 0
			if e := &a.r.Events[c.event]; e.Dir == e.ToDir || e.Kind != Rename {
				goneNot[c.event] = v > 0
			}
		}
	}
	for i := range all {
		e, f, to := &a.r.Events[i], &a.effects[i], &all[i]
		to.part = free[i]
		switch {
		case e.names() && a.m.Journal:
			to.here = f.here < s.cut || i < bound
			to.gone = to.here
			if to.here && f.flushes >= 0 {
				for _, w := range a.byNode[f.flushes] {
					if w < i {
						all[w] = fate{grown: true}
					}
				}
			}
		case e.names():
			to.here, to.gone = !hereNot[i], !goneNot[i]
		case !e.content():
		case !a.m.Journal:
			to.grown = to.part != 1
		case f.size < s.cut:
			to.grown = true
		case f.meta:
			to.grown = i < bound
		case a.delays(i):
			to.grown = i < bound
			if k, ok := kept[e.Node]; ok && to.grown {
				to.grown = i < k.event || i == k.event && k.offset > 0
				if i == k.event {
					to.until = k.offset
				}
			}
		default:
			to.grown = true
		}
	}
	return all
}

// key identifies the content of a file.
func (f fate) key(b []byte) []byte {
	grown := byte(0)
	if f.grown {
		grown = 1
	}
	return binary.AppendVarint(append(b, grown, byte(f.part)), f.until)
}

// Fits reports whether a vector belongs to the space.
func (s *Space) Fits(vector []int) bool {
	if len(vector) != len(s.choices) {
		return false
	}
	for i, c := range s.choices {
		if vector[i] < 0 || vector[i] >= c.values {
			return false
		}
	}
	return true
}
