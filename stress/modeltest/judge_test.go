package modeltest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noted makes a history of what is done, each with the goroutine and the times of
// its call and its return.
func noted[T any](goroutines int, list ...done[T]) *history[T] {
	h := newHistory[T](goroutines)
	slices.SortStableFunc(list, func(a, b done[T]) int { return int(a.call - b.call) })
	for _, d := range list {
		h.logs[d.goroutine] = append(h.logs[d.goroutine], d)
	}
	return h
}

// Which promises a history keeps.
func TestPromises(t *testing.T) {
	s := registerSpec(none)
	write := func(goroutine, v int, call, returned int64) done[*register] {
		return done[*register]{act[*register]{&s.Ops[0], v}, goroutine, call, returned, struct{}{}}
	}
	read := func(goroutine, v int, call, returned int64) done[*register] {
		return done[*register]{act[*register]{&s.Ops[1], struct{}{}}, goroutine, call, returned, v}
	}
	for _, c := range []struct {
		name  string
		ops   []done[*register]
		keeps []Promise
		says  string
	}{
		{"overlapping read of either value", []done[*register]{write(0, 1, 1, 4), read(1, 0, 2, 3)},
			[]Promise{Linearizable, Sequential, Quiescent}, ""},
		{"stale read by another goroutine", []done[*register]{write(0, 1, 1, 2), read(1, 0, 3, 4)},
			[]Promise{Sequential}, "after Write(1): Read() must return 1, not 0"},
		{"stale read by the same goroutine", []done[*register]{write(0, 1, 1, 2), read(0, 0, 3, 4)},
			nil, "after Write(1): Read() must return 1, not 0"},
		{"stale read while another is under way", []done[*register]{write(1, 9, 1, 8), write(0, 1, 2, 3), read(0, 0, 4, 5)},
			[]Promise{Quiescent}, "Read() must return"},
		{"read of what nobody wrote", []done[*register]{read(0, 7, 1, 2)}, nil, "at first: Read() must return 0, not 7"},
		{"written at the end of the program", []done[*register]{read(0, 5, 1, 2), write(3, 5, 3, 4)},
			nil, "at first: Read() must return 0, not 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range []Promise{Linearizable, Sequential, Quiescent} {
				s.Promise = p
				switch wrong := s.judge(noted(2, c.ops...)); {
				case slices.Contains(c.keeps, p):
					assert.Empty(t, wrong, "%v", p)
				default:
					assert.Contains(t, wrong, fmt.Sprintf("not %v: ", p))
					assert.Contains(t, wrong, c.says)
				}
			}
		})
	}
}

// Keys are judged by themselves: the order between them is open.
func TestPromisePerKey(t *testing.T) {
	s := mapSpec(none)
	add := func(key string, n int, call int64) done[*table] {
		return done[*table]{act[*table]{&s.Ops[0], change{key, n}}, 0, call, call + 1, struct{}{}}
	}
	sum := func(key string, n int, call int64) done[*table] {
		return done[*table]{act[*table]{&s.Ops[1], key}, 0, call, call + 1, n}
	}
	assert.Empty(t, s.judge(noted(1, add("x", 1, 1), add("y", 2, 3), sum("x", 1, 5), sum("y", 2, 7))))
	assert.Equal(t, "key y: not linearizable by key: after Add(y 2): Sum(y) must return 2, not 1",
		s.judge(noted(1, add("x", 1, 1), add("y", 2, 3), sum("y", 1, 5))))
}

// What waits in the end must have to.
func TestWaitingOperations(t *testing.T) {
	s := semaphoreSpec(none)
	acquire := func(call, returned int64) done[*semaphore] {
		return done[*semaphore]{act[*semaphore]{&s.Ops[0], struct{}{}}, 0, call, returned, struct{}{}}
	}
	release := done[*semaphore]{act[*semaphore]{&s.Ops[1], struct{}{}}, 0, 3, 4, struct{}{}}
	assert.Empty(t, s.judge(noted(1, acquire(1, 2), acquire(5, never))))
	assert.Equal(t, "not linearizable: after Acquire(), Release(): Acquire() must not wait",
		s.judge(noted(1, acquire(1, 2), release, acquire(5, never))))
}

// The search says what porcupine says: of linearizability, and of quiescent
// consistency, if each operation is stretched to all that overlap it in a chain.
func TestSearchAgreesWithPorcupine(t *testing.T) {
	const histories = 3000
	for _, s := range []Spec[*list]{listSpec(false, none), listSpec(true, none)} {
		for _, p := range []Promise{Linearizable, Quiescent} {
			s.Promise = p
			r := rand.New(rand.NewPCG(7, uint64(p)))
			var kept, broken int
			for range histories {
				h := s.random(r)
				says := s.judge(h) == ""
				require.Equal(t, s.porcupineSays(h), says, "%v: %s", p, h.columns())
				if says {
					kept++
				} else {
					broken++
				}
			}
			assert.Greater(t, kept, histories/20, "%v", p)
			assert.Greater(t, broken, histories/20, "%v", p)
		}
	}
}

// random makes a history of a few operations whose results are drawn.
func (s *Spec[T]) random(r *rand.Rand) *history[T] {
	var list []done[T]
	goroutines, put := 3, 0
	now := make([]int64, goroutines)
	for range 3 + r.IntN(5) {
		g := r.IntN(goroutines)
		call := now[g] + int64(1+r.IntN(6))
		returned := call + int64(1+r.IntN(8))
		now[g] = returned
		d := done[T]{act[T]{&s.Ops[0], 0}, g, 3*call + int64(g), 3*returned + int64(g), struct{}{}}
		if r.IntN(2) == 0 {
			put++
			d.args = put
		} else {
			value := r.IntN(put + 1)
			d.op, d.args, d.result = &s.Ops[1], struct{}{}, taken{value, value > 0}
		}
		list = append(list, d)
	}
	return noted(goroutines, list...)
}

func (s *Spec[T]) porcupineSays(h *history[T]) bool {
	over, _ := h.all()
	slices.SortFunc(over, func(a, b done[T]) int { return int(a.call - b.call) })
	model := porcupine.Model{
		Init: func() any { return s.Init },
		Step: func(state, input, result any) (bool, any) {
			a := input.(act[T])
			next, ok := a.op.step(state, a.args, result)
			return ok, next
		},
		Equal: reflect.DeepEqual,
	}
	var ops []porcupine.Operation
	for i, d := range over {
		ops = append(ops, porcupine.Operation{ClientId: i, Input: d.act, Call: d.call, Output: d.result, Return: d.returned})
	}
	if s.Promise == Quiescent {
		for from := 0; from < len(ops); {
			to, latest := from, ops[from].Return
			for to < len(ops) && ops[to].Call <= latest {
				latest = max(latest, ops[to].Return)
				to++
			}
			for i := from; i < to; i++ {
				ops[i].Call, ops[i].Return = over[from].call, latest
			}
			from = to
		}
	}
	return porcupine.CheckOperations(model, ops)
}

func TestColumns(t *testing.T) {
	s := registerSpec(none)
	op := func(i, goroutine int, args any, call, returned int64, result any) done[*register] {
		return done[*register]{act[*register]{&s.Ops[i], args}, goroutine, call, returned, result}
	}
	nothing := struct{}{}
	h := noted(2, op(0, 2, 1, 1, 2, nothing), op(0, 0, 2, 3, 6, nothing), op(1, 1, nothing, 4, 5, 1),
		op(1, 1, nothing, 7, never, 0), op(1, 3, nothing, 9, 10, 2))
	assert.Equal(t, `  first Write(1)
  | a            | b            |
  | Write(2) ... |              |
  |              | Read() = 1   |
  | ... Write(2) |              |
  |              | Read() waits |
  last  Read() = 2`, h.columns())
}
