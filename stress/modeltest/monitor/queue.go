package monitor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// stay is the time of a value in a collection: inserted by one operation,
// removed by another.
type stay[V comparable] struct {
	value     V
	in, out   int // indices; out is -1 where it was not removed
	inCall    int64
	inReturn  int64
	outCall   int64 // never where it was not removed
	outReturn int64
}

const never = math.MaxInt64

// certain tells whether there is an instant at which the value is in the
// collection in every linearization: from inReturn to outCall.
func (s *stay[V]) certain() bool { return s.inReturn < s.outCall }

// Queue judges a history of a first-in first-out queue: Insert enqueues, and
// Remove dequeues, or is not OK where it found the queue empty. Values must be
// distinct. It takes O(n log n) time.
//
// By Henzinger, Sezgin and Vafeiadis, and Bouajjani et al.: a history is
// linearizable exactly if every value was enqueued before it was dequeued, at
// most once; no two values were enqueued in one order and dequeued in the
// other; and no dequeue found the queue empty while at each instant of it some
// value was certainly there.
func Queue[V comparable](history []Op[V]) error {
	stays, empty, err := match("queue", history)
	if err != nil {
		return err
	}
	if err := overtaken(stays); err != nil {
		return err
	}
	return neverEmpty("queue", history, stays, empty)
}

// overtaken looks for a value that was enqueued before another and dequeued, or
// left, after it.
func overtaken[V comparable](stays []stay[V]) error {
	byReturn := make([]*stay[V], len(stays))
	for i := range stays {
		byReturn[i] = &stays[i]
	}
	byCall := slices.Clone(byReturn)
	slices.SortFunc(byReturn, func(a, b *stay[V]) int { return cmp.Compare(a.inReturn, b.inReturn) })
	slices.SortFunc(byCall, func(a, b *stay[V]) int { return cmp.Compare(a.inCall, b.inCall) })
	var slowest *stay[V] // of those that were in before
	for _, b := range byCall {
		for len(byReturn) > 0 && byReturn[0].inReturn < b.inCall {
			if a := byReturn[0]; slowest == nil || a.outCall > slowest.outCall {
				slowest = a
			}
			byReturn = byReturn[1:]
		}
		if slowest == nil || slowest.outCall <= b.outReturn {
			continue
		}
		if slowest.out < 0 {
			return violation([]int{slowest.in, b.in, b.out},
				"queue: %v was never dequeued, although %v was, which was enqueued after it", slowest.value, b.value)
		}
		return violation([]int{slowest.in, b.in, b.out, slowest.out},
			"queue: %v was enqueued before %v, and dequeued after it", slowest.value, b.value)
	}
	return nil
}

// match finds what belongs together in a queue or a stack: the stays of its
// values, and the operations that found it empty.
func match[V comparable](kind string, history []Op[V]) (stays []stay[V], empty []int, err error) {
	at := make(map[V]int, len(history)/2)
	for i, op := range history {
		if op.Kind != Insert {
			continue
		}
		if _, twice := at[op.Value]; twice {
			return nil, nil, fmt.Errorf("%s: %w: %v", kind, ErrAmbiguous, op.Value)
		}
		at[op.Value] = len(stays)
		stays = append(stays, stay[V]{
			value: op.Value, in: i, out: -1,
			inCall: op.Call, inReturn: op.Return, outCall: never, outReturn: never,
		})
	}
	for i, op := range history {
		switch {
		case op.Kind == Insert:
			continue
		case op.Kind == Read:
			return nil, nil, fmt.Errorf("%s: %w: Read", kind, ErrOperation)
		case op.Return == Pending:
			return nil, nil, fmt.Errorf("%s: %w", kind, ErrPending)
		case !op.OK:
			empty = append(empty, i)
			continue
		}
		n, known := at[op.Value]
		if !known {
			return nil, nil, violation([]int{i}, "%s: %v was removed, which nobody inserted", kind, op.Value)
		}
		s := &stays[n]
		switch {
		case s.out >= 0:
			return nil, nil, violation([]int{s.in, s.out, i}, "%s: %v was removed twice", kind, op.Value)
		case op.Return < s.inCall:
			return nil, nil, violation([]int{s.in, i}, "%s: %v was removed before it was inserted", kind, op.Value)
		}
		s.out, s.outCall, s.outReturn = i, op.Call, op.Return
	}
	// An insertion that did not return, and of which nothing was seen, need not
	// have happened.
	stays = slices.DeleteFunc(stays, func(s stay[V]) bool { return s.inReturn == Pending && s.out < 0 })
	return stays, empty, nil
}

// neverEmpty looks for an operation that found a collection empty while at each
// instant of it some value was certainly there.
func neverEmpty[V comparable](kind string, history []Op[V], stays []stay[V], empty []int) error {
	var certain []*stay[V]
	for i := range stays {
		if stays[i].certain() {
			certain = append(certain, &stays[i])
		}
	}
	slices.SortFunc(certain, func(a, b *stay[V]) int { return cmp.Compare(a.inReturn, b.inReturn) })
	type span struct{ from, to int64 }
	var filled []span // disjoint and in order
	for _, s := range certain {
		if last := len(filled) - 1; last >= 0 && s.inReturn < filled[last].to {
			filled[last].to = max(filled[last].to, s.outCall)
			continue
		}
		filled = append(filled, span{s.inReturn, s.outCall})
	}
	for _, i := range empty {
		op := history[i]
		n, _ := slices.BinarySearchFunc(filled, op.Call, func(s span, t int64) int { return cmp.Compare(s.from, t) })
		if n == 0 || op.Return >= filled[n-1].to {
			continue
		}
		ops, values := []int{i}, []V{}
		for _, s := range certain {
			if s.inReturn < op.Return && s.outCall > op.Call {
				ops, values = append(ops, s.in), append(values, s.value)
				if s.out >= 0 {
					ops = append(ops, s.out)
				}
			}
		}
		slices.Sort(ops)
		return violation(ops, "%s: it was found empty while it held %s", kind, some(values))
	}
	return nil
}
