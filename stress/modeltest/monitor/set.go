package monitor

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
)

// Set judges a history of a set: Insert is OK where it added the value, Remove
// where it removed it, and Read where the value was there. The same value may
// be inserted and removed again and again. It takes O(n log n) time.
//
// Operations on different values do not touch each other, so a set is one flag
// a value, and linearizable if each flag is (Herlihy and Wing). A flag is
// judged by a sweep over time that is as lazy as it can be: an operation that
// only looks is given its place as soon as the flag is as it says; the flag is
// turned only where an operation returns that has had no place yet, and then
// by the open operation that must return first. Nothing is lost by that. A turn
// that can wait serves all who are still open later, and of two open
// operations that turn the flag the same way the one with more time left can
// stand in for the other, but not the other way round.
func Set[V comparable](history []Op[V]) error {
	flags := map[V]*flag{}
	done := make([]bool, len(history))
	for _, e := range events(history) {
		op := history[e.op]
		f := flags[op.Value]
		if f == nil {
			f = &flag{}
			flags[op.Value] = f
		}
		if !e.returns {
			f.call(e.op, op.Kind, op.OK, op.Return, done)
			continue
		}
		for !done[e.op] {
			if !f.turn(done) {
				return violation([]int{e.op}, "set: %s, and nothing had %s it", claim(op), f.missing())
			}
		}
	}
	return nil
}

// claim is what an operation says of its value.
func claim[V comparable](op Op[V]) string {
	state := "missing"
	if op.OK == (op.Kind != Insert) {
		state = "there"
	}
	return fmt.Sprintf("%s(%v) found it %s", op.Kind, op.Value, state)
}

// event is the call or the return of an operation.
type event struct {
	time    int64
	op      int
	returns bool
}

// events returns those of a history in order of time. Of those at one time
// calls come first, so that their operations overlap.
func events[V comparable](history []Op[V]) []event {
	list := make([]event, 0, 2*len(history))
	for i, op := range history {
		list = append(list, event{op.Call, i, false})
		if op.Return != Pending {
			list = append(list, event{op.Return, i, true})
		}
	}
	slices.SortFunc(list, func(a, b event) int {
		if c := cmp.Compare(a.time, b.time); c != 0 {
			return c
		}
		return cmp.Compare(rank(a.returns), rank(b.returns))
	})
	return list
}

func rank(returns bool) int {
	if returns {
		return 1
	}
	return 0
}

// flag tells whether a value is in a set, as far as the sweep has come.
type flag struct {
	present bool
	open    [2]deadlines // operations that turn it: 0 those that insert, 1 those that remove
	looking [2][]int     // operations that need it missing (0) or present (1), and have not seen it so
}

// call takes in an operation. One that did not return may have had an effect or
// not: it can be used, but never must.
func (f *flag) call(op int, kind Kind, ok bool, deadline int64, done []bool) {
	turns := kind != Read && (ok || deadline == Pending)
	switch {
	case turns:
		heap.Push(&f.open[side(kind == Remove)], open{op, deadline})
	case deadline == Pending:
	case f.present == (ok == (kind == Read) && kind != Remove):
		done[op] = true
	default:
		wants := side(!f.present)
		f.looking[wants] = append(f.looking[wants], op)
	}
}

// turn turns the flag, and tells whether an operation was open that does so.
func (f *flag) turn(done []bool) bool {
	turners := &f.open[side(f.present)]
	if len(*turners) == 0 {
		return false
	}
	done[heap.Pop(turners).(open).op] = true
	f.present = !f.present
	seen := &f.looking[side(f.present)]
	for _, op := range *seen {
		done[op] = true
	}
	*seen = (*seen)[:0]
	return true
}

// missing names the operation without which the flag cannot be turned.
func (f *flag) missing() string {
	if f.present {
		return "removed"
	}
	return "inserted"
}

func side(second bool) int { return rank(second) }

// open is an operation that has been called.
type open struct {
	op       int
	deadline int64
}

// deadlines has the operation on top that must return first.
type deadlines []open

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline < d[j].deadline }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(open)) }

func (d *deadlines) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
