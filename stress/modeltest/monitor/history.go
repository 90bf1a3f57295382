package monitor

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Kind is what an operation does to a collection.
type Kind uint8

const (
	Insert Kind = iota // add, enqueue, push; the write of a register
	Remove             // remove, dequeue, pop
	Read               // contains; the read of a register
)

func (k Kind) String() string { return [...]string{"Insert", "Remove", "Read"}[k] }

// Pending is the Return of an operation that did not return.
const Pending = math.MaxInt64

// Op is one operation of a history. Times are of any unit with one order for
// all goroutines: an operation precedes another whose Call is later than its
// Return, and equal times count as overlapping.
type Op[V comparable] struct {
	Kind   Kind
	Value  V    // what was inserted, removed or read
	OK     bool // false if Insert found the value there, Remove nothing to remove, or Read no such value
	Call   int64
	Return int64 // Pending where it did not return
}

var (
	// ErrNotLinearizable is wrapped by every *Violation.
	ErrNotLinearizable = errors.New("not linearizable")
	// ErrAmbiguous means that a value was inserted twice, so that the history
	// does not say which of the two another operation saw.
	ErrAmbiguous = errors.New("value inserted twice")
	// ErrPending means that a removal did not return: what it removed is not
	// known.
	ErrPending = errors.New("removal did not return")
	// ErrOperation means that the type has no such operation.
	ErrOperation = errors.New("no such operation")
)

// Violation says why a history is not linearizable.
type Violation struct {
	Rule string // the sentence that was broken, with its values
	Ops  []int  // indices of operations that break it together, in the history's order
}

func (v *Violation) Error() string { return fmt.Sprintf("%v: %s", ErrNotLinearizable, v.Rule) }

// Unwrap makes every violation an ErrNotLinearizable.
func (v *Violation) Unwrap() error { return ErrNotLinearizable }

func violation(ops []int, rule string, args ...any) error {
	return &Violation{Rule: fmt.Sprintf(rule, args...), Ops: ops}
}

// some lists the first values of many.
func some[V any](values []V) string {
	const most = 5
	var b strings.Builder
	for i, v := range values[:min(len(values), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, v)
	}
	if len(values) > most {
		fmt.Fprintf(&b, " and %d more", len(values)-most)
	}
	return b.String()
}
