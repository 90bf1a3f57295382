package monitor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// zone is where the operations on one value of a register lie. A value whose
// zone is forward (first < last) is in the register all through it: some
// operation on it has returned at first, another is called at last. One whose
// zone is backward can have its operations anywhere within, at one instant.
type zone[V comparable] struct {
	value       V
	write       int   // -1: the first value
	first, last int64 // the earliest return, the latest call
	early, late int   // whose they are
	used        bool  // the write has returned, or was read
}

func (z *zone[V]) forward() bool { return z.first < z.last }

// Register judges a history of Insert (a write) and Read, for a register that
// holds initial at first. Writes must be of distinct values, and not of
// initial. It takes O(n log n) time.
//
// By Gibbons and Korach, who prove that a history without a read before its
// write is linearizable exactly if no two forward zones overlap and no
// backward zone lies within a forward one.
func Register[V comparable](initial V, history []Op[V]) error {
	zones, err := registerZones(initial, history)
	if err != nil {
		return err
	}
	var forward []*zone[V]
	for _, z := range zones {
		if z.used && z.forward() {
			forward = append(forward, z)
		}
	}
	slices.SortFunc(forward, func(a, b *zone[V]) int { return cmp.Compare(a.first, b.first) })
	for i := 1; i < len(forward); i++ {
		if a, b := forward[i-1], forward[i]; b.first < a.last {
			return clash(a, b)
		}
	}
	for _, z := range zones {
		if !z.used || z.forward() {
			continue
		}
		i, _ := slices.BinarySearchFunc(forward, z.last, func(f *zone[V], t int64) int { return cmp.Compare(f.first, t) })
		if i > 0 && z.first < forward[i-1].last {
			return clash(forward[i-1], z)
		}
	}
	return nil
}

// clash reports that b came between two operations on a.
func clash[V comparable](a, b *zone[V]) error {
	ops := slices.DeleteFunc([]int{a.early, b.early, b.late, a.late}, func(i int) bool { return i < 0 })
	slices.Sort(ops)
	return violation(slices.Compact(ops),
		"register: %v was there before and after %v, although each is written once", a.value, b.value)
}

func registerZones[V comparable](initial V, history []Op[V]) (map[V]*zone[V], error) {
	zones := map[V]*zone[V]{initial: {value: initial, write: -1, early: -1, late: -1,
		first: math.MinInt64, last: math.MinInt64, used: true}}
	for i, op := range history {
		if op.Kind != Insert {
			continue
		}
		if zones[op.Value] != nil {
			return nil, fmt.Errorf("register: %w: %v", ErrAmbiguous, op.Value)
		}
		zones[op.Value] = &zone[V]{value: op.Value, write: i, early: i, late: i,
			first: op.Return, last: op.Call, used: op.Return != Pending}
	}
	for i, op := range history {
		switch {
		case op.Kind == Remove:
			return nil, fmt.Errorf("register: %w: Remove", ErrOperation)
		case op.Kind != Read || op.Return == Pending:
			continue
		}
		z := zones[op.Value]
		switch {
		case z == nil:
			return nil, violation([]int{i}, "register: %v was read, which nobody wrote", op.Value)
		case z.write >= 0 && op.Return < history[z.write].Call:
			return nil, violation([]int{z.write, i}, "register: %v was read before it was written", op.Value)
		}
		z.used = true
		if op.Return < z.first {
			z.first, z.early = op.Return, i
		}
		if op.Call > z.last {
			z.last, z.late = op.Call, i
		}
	}
	return zones, nil
}
