package monitor

import (
	"cmp"
	"slices"
)

// Stack judges a history of a last-in first-out stack: Insert pushes, and
// Remove pops, or is not OK where it found the stack empty. Values must be
// distinct. It takes O(n log n) time.
//
// A value whose push and pop overlap changes nothing: the two can follow each
// other at one instant, at any height of the stack. Each other value is
// certainly there from the return of its push to the call of its pop. At an
// instant at which no value is certainly there, the history falls in two: all
// that was popped before it, and all that was pushed after it, for in any
// linearization the first can be moved in front of the second. So every run of
// time that is covered without a gap stands by itself. In a linearization of
// such a run the stack cannot become empty before the end, so some value lies
// at the bottom all the time: its push may come before all else, its pop after
// all else. Any value of which both may be said can be taken away, since it can
// be put below every linearization of the rest. Without it the run may fall
// into shorter ones, for each of which the same holds. A run of which no value
// can lie at the bottom has no linearization.
func Stack[V comparable](history []Op[V]) error {
	stays, empty, err := match("stack", history)
	if err != nil {
		return err
	}
	if err := neverEmpty("stack", history, stays, empty); err != nil {
		return err
	}
	return newPile(stays).takeAway()
}

// pile is a stack of which values are taken away. The places of time are the
// returns of pushes and the calls of pops; the gap i lies between the places i
// and i+1.
type pile[V comparable] struct {
	stays    []stay[V] // those that are certain
	from, to []int     // of each value: the places from which and to which it is certainly there
	times    []int64   // of each place
	values   cover     // how many values cover each gap
	pushed   *best     // at their from: values whose push may not be known to come first; earliest call
	first    *best     // at their from: values whose push may come first; latest return of the pop
}

func newPile[V comparable](all []stay[V]) *pile[V] {
	p := &pile[V]{}
	for _, s := range all {
		if s.certain() {
			p.stays = append(p.stays, s)
		}
	}
	type place struct {
		time  int64
		value int
		push  bool
	}
	n := len(p.stays)
	places := make([]place, 0, 2*n)
	for i, s := range p.stays {
		places = append(places, place{s.inReturn, i, true}, place{s.outCall, i, false})
	}
	slices.SortFunc(places, func(a, b place) int {
		if c := cmp.Compare(a.time, b.time); c != 0 {
			return c
		}
		return cmp.Compare(rank(a.push), rank(b.push)) // what is called then overlaps what returns then
	})
	p.from, p.to, p.times = make([]int, n), make([]int, n), make([]int64, 2*n)
	for i, l := range places {
		p.times[i] = l.time
		if l.push {
			p.from[l.value] = i
		} else {
			p.to[l.value] = i
		}
	}
	p.values = newCover(2 * n)
	p.pushed = newBest(2*n, func(v int) int64 { return p.stays[v].inCall })
	p.first = newBest(2*n, func(v int) int64 { return -p.stays[v].outReturn })
	for v := range p.stays {
		p.values.add(p.from[v], p.to[v], 1)
		p.pushed.put(p.from[v], v)
	}
	return p
}

// run is a stretch of time without a gap: the places at which it begins and
// ends.
type run struct{ from, to int }

func (p *pile[V]) takeAway() error {
	runs := p.runs(nil, run{0, len(p.times)})
	for len(runs) > 0 {
		r := runs[len(runs)-1]
		runs = runs[:len(runs)-1]
		v := p.bottom(r)
		if v < 0 {
			return p.violation(r)
		}
		p.first.drop(p.from[v])
		p.values.add(p.from[v], p.to[v], -1)
		runs = p.runs(runs, r)
	}
	return nil
}

// runs appends those within r.
func (p *pile[V]) runs(list []run, r run) []run {
	for at := r.from; ; {
		from := p.values.next(at, r.to, true)
		if from == r.to {
			return list
		}
		at = p.values.next(from, r.to, false)
		list = append(list, run{from, at})
	}
}

// bottom returns a value of the run that may be pushed before all else and
// popped after all else, or -1. As runs only become shorter, a value of which
// one of the two holds keeps it: so each moves from pushed to first once.
func (p *pile[V]) bottom(r run) int {
	for {
		v := p.pushed.within(r.from, r.to)
		if v < 0 || p.stays[v].inCall > p.times[r.from] {
			break
		}
		p.pushed.drop(p.from[v])
		p.first.put(p.from[v], v)
	}
	v := p.first.within(r.from, r.to)
	if v < 0 || p.stays[v].outReturn < p.times[r.to] {
		return -1
	}
	return v
}

func (p *pile[V]) violation(r run) error {
	var ops []int
	var values []V
	for v, s := range p.stays {
		left := p.pushed.at(p.from[v]) == v || p.first.at(p.from[v]) == v
		if !left || p.from[v] < r.from || p.to[v] > r.to {
			continue
		}
		ops, values = append(ops, s.in), append(values, s.value)
		if s.out >= 0 {
			ops = append(ops, s.out)
		}
	}
	slices.Sort(ops)
	return violation(ops, "stack: none of %s was pushed first and popped last, although it was not empty in between",
		some(values))
}
