package modeltest

import (
	"fmt"
	"math/bits"
	"reflect"
)

// search looks for an order of operations that a model allows.
type search[T any] struct {
	ops    []done[T]
	before []uint64  // of each operation: those that must come before it
	open   []done[T] // operations that must be waiting in the end
	seen   map[uint64][]any
	order  []int
	best   []int // the longest order that the model allows
	state  any   // after it
	steps  int
}

// mostSteps bounds a search; programs as this package makes them stay far below.
const mostSteps = 4_000_000

// orderable tells whether there is such an order. There may be at most 64
// operations.
func (s *search[T]) orderable(init any) bool {
	s.seen = map[uint64][]any{}
	s.state = init
	return s.from(0, init)
}

// from goes on after the operations in the set placed, which led to the state. A
// set and a state that were seen before lead nowhere.
func (s *search[T]) from(placed uint64, state any) bool {
	if len(s.order) > len(s.best) {
		s.best, s.state = append(s.best[:0], s.order...), state
	}
	if bits.OnesCount64(placed) == len(s.ops) {
		return s.allWait(state)
	}
	for _, known := range s.seen[placed] {
		if reflect.DeepEqual(known, state) {
			return false
		}
	}
	s.seen[placed] = append(s.seen[placed], state)
	for i := range s.ops {
		if placed&(1<<i) != 0 || s.before[i]&^placed != 0 {
			continue
		}
		if s.steps++; s.steps > mostSteps {
			panic(fmt.Sprintf("modeltest: no verdict on %d operations after %d steps", len(s.ops), s.steps))
		}
		next, ok := s.ops[i].op.step(state, s.ops[i].args, s.ops[i].result)
		if !ok {
			continue
		}
		s.order = append(s.order, i)
		if s.from(placed|1<<i, next) {
			return true
		}
		s.order = s.order[:len(s.order)-1]
	}
	return false
}

// allWait tells whether what still waits has to, in the last state.
func (s *search[T]) allWait(state any) bool {
	for _, d := range s.open {
		if d.op.waits == nil || !d.op.waits(state, d.args) {
			return false
		}
	}
	return true
}
