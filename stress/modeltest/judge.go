package modeltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// judge returns what is wrong with a history, or nothing.
func (s *Spec[T]) judge(h *history[T]) (wrong string) {
	over, open := h.all()
	slices.SortFunc(over, func(a, b done[T]) int { return cmp.Compare(a.call, b.call) })
	if s.Promise != PerKey {
		return s.judgeOne(over, open, h)
	}
	for len(over)+len(open) > 0 {
		key := keyOf(slices.Concat(over, open)[0])
		other := func(d done[T]) bool { return keyOf(d) != key }
		mine := slices.DeleteFunc(slices.Clone(over), other)
		if wrong := s.judgeOne(mine, slices.DeleteFunc(slices.Clone(open), other), h); wrong != "" {
			return fmt.Sprintf("key %v: %s", key, wrong)
		}
		over = slices.DeleteFunc(over, func(d done[T]) bool { return !other(d) })
		open = slices.DeleteFunc(open, func(d done[T]) bool { return !other(d) })
	}
	return ""
}

func keyOf[T any](d done[T]) any { return d.op.key(d.args) }

func (s *Spec[T]) judgeOne(over, open []done[T], h *history[T]) string {
	search := &search[T]{ops: over, before: s.Promise.order(spans(over, h.goroutines())), open: open}
	if search.orderable(s.Init) {
		return ""
	}
	return fmt.Sprintf("not %v: %s", s.Promise, search.why())
}

// span is when an operation was under way, and by whom.
type span struct {
	call, returned int64
	goroutine      int
	end            bool // before or after all goroutines
}

func spans[T any](ops []done[T], goroutines int) []span {
	list := make([]span, len(ops))
	for i, d := range ops {
		list[i] = span{d.call, d.returned, d.goroutine, d.goroutine >= goroutines}
	}
	return list
}

// order returns for each operation, as a set, those that must come before it.
// Operations are in the order of their calls.
func (p Promise) order(ops []span) []uint64 {
	period := make([]int, len(ops)) // of those between which no operation was under way
	latest := int64(-1)
	for i, op := range ops {
		if i > 0 {
			period[i] = period[i-1]
			if op.call > latest {
				period[i]++
			}
		}
		latest = max(latest, op.returned)
	}
	before := make([]uint64, len(ops))
	for i, b := range ops {
		for j, a := range ops {
			if a.returned >= b.call {
				continue
			}
			keeps := true
			switch p {
			case Sequential:
				keeps = a.goroutine == b.goroutine || a.end || b.end
			case Quiescent:
				keeps = period[j] < period[i]
			}
			if keeps {
				before[i] |= 1 << j
			}
		}
	}
	return before
}

// mostShown is how many operations a sentence names of an order.
const mostShown = 6

// why says how far an order can go.
func (s *search[T]) why() string {
	var placed uint64
	var order []string
	for _, i := range s.best {
		placed |= 1 << i
		order = append(order, s.ops[i].String())
	}
	said := "at first"
	if more := len(order) - mostShown; more > 0 {
		order = append([]string{fmt.Sprintf("%d operations", more)}, order[more:]...)
	}
	if len(order) > 0 {
		said = "after " + strings.Join(order, ", ")
	}
	var next []string
	for i := range s.ops {
		if placed&(1<<i) == 0 && s.before[i]&^placed == 0 {
			next = append(next, s.ops[i].refused(s.state))
		}
	}
	for i := range s.open {
		if d := &s.open[i]; len(s.best) == len(s.ops) && (d.op.waits == nil || !d.op.waits(s.state, d.args)) {
			next = append(next, d.called()+" must not wait")
		}
	}
	return said + ": " + strings.Join(next, ", and ")
}

// refused says what the model has against an operation in a state.
func (d *done[T]) refused(state any) string {
	if d.op.says == nil {
		return d.String() + " is not allowed"
	}
	return fmt.Sprintf("%s must return %s, not %s", d.called(), plain(d.op.says(state, d.args)), plain(d.result))
}
