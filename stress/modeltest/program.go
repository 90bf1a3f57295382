package modeltest

import (
	"fmt"
	"math/rand/v2"
)

// program is what is done to a subject: operations before the goroutines, those
// of each goroutine, and operations after them.
type program[T any] struct {
	first, last []act[T]
	goroutines  [][]act[T]
}

// act is an operation with its arguments.
type act[T any] struct {
	op   *Op[T]
	args any
}

// size bounds a program.
type size struct {
	goroutines int
	acts       int // of a goroutine
	ends       int // before the goroutines, and after them
}

// sizes are tried one after the other, so that what a short program shows is not
// shown by a long one. None has more than 64 operations.
var sizes = [...]size{{2, 2, 1}, {3, 4, 2}, {5, 10, 3}}

func (s size) String() string {
	return fmt.Sprintf("%d to %d goroutines with up to %d operations each", min(2, s.goroutines), s.goroutines, s.acts)
}

// draws are what a program is made of: a number from 0 to n-1 each.
type draws func(n int) int

// generate makes a program. Each place for an operation has draws of its own, so
// that one can be left out, which is 0, and the others stay what they were.
func generate[T any](ops []Op[T], bound size, draw draws) program[T] {
	g := generator[T]{ops: ops, draw: draw}
	var p program[T]
	goroutines := 2 + draw(bound.goroutines-1)
	p.first = g.acts(bound.ends, true)
	for i := range bound.goroutines {
		if acts := g.acts(bound.acts, i < goroutines); len(acts) > 0 {
			p.goroutines = append(p.goroutines, acts)
		}
	}
	p.last = g.acts(bound.ends, true)
	return p
}

type generator[T any] struct {
	ops   []Op[T]
	draw  draws
	place int
}

// argumentSeeds is how many sets of arguments there are for an operation.
const argumentSeeds = 1 << 16

// acts draws operations for a number of places, if these are used.
func (g *generator[T]) acts(places int, used bool) (acts []act[T]) {
	for range places {
		g.place++
		which, seed := 1, 1 // nothing to draw, and nothing to shrink
		if used {
			which, seed = len(g.ops)+1, argumentSeeds
		}
		which, seed = g.draw(which), g.draw(seed)
		if which == 0 {
			continue
		}
		source := &Source{unique: g.place}
		if seed > 0 {
			source.random = rand.New(rand.NewPCG(uint64(seed), 0))
		}
		op := &g.ops[which-1]
		acts = append(acts, act[T]{op, op.draw(source)})
	}
	return acts
}
