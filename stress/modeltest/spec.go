package modeltest

import (
	"fmt"
	"reflect"
	"testing"
)

// Spec describes a type T: its operations, and what it promises.
type Spec[T any] struct {
	// New makes the subject of one program, outside of any operation. Its tb ends with
	// the program: functions that were passed to Cleanup are called then.
	New func(tb testing.TB) T
	// Init is the state of the model before the first operation. The models of all
	// operations take a state of its type.
	Init any
	// Ops are the operations.
	Ops []Op[T]
	// Promise is what T promises, by default Linearizable.
	Promise Promise
	// Close, if set, ends the subject after the last operation.
	Close func(T)
}

// Promise is what a type promises about operations that overlap.
type Promise int

const (
	// Linearizable: each operation takes effect at one instant between its call and its
	// return.
	Linearizable Promise = iota
	// Sequential: there is one order of all operations, which agrees with the order in
	// each goroutine.
	Sequential
	// PerKey: the operations on each key (see [Keyed]) are linearizable, with a model for
	// each key. There is no promise across keys.
	PerKey
	// Quiescent: two operations keep their order if at some moment between them no
	// operation was in progress.
	Quiescent
)

func (p Promise) String() string {
	return [...]string{"linearizable", "sequentially consistent", "linearizable by key", "quiescently consistent"}[p]
}

// Op is an operation of a type T, made by [Returns] or [Accepts].
type Op[T any] struct {
	name  string
	state reflect.Type
	draw  func(*Source) any
	call  func(subject T, args any) (result any)
	step  func(state, args, result any) (next any, ok bool)
	says  func(state, args any) (result any) // nil: more than one may be right
	key   func(args any) any                 // nil: of no key
	waits func(state, args any) bool         // nil: never
}

// Returns makes an operation whose model says what it returns. Results are compared with
// reflect.DeepEqual.
func Returns[T, M, A, R any](name string, args func(*Source) A, call func(T, A) R, model func(M, A) (M, R)) Op[T] {
	op := Accepts(name, args, call, func(m M, a A, r R) (M, bool) {
		next, right := model(m, a)
		return next, reflect.DeepEqual(right, r)
	})
	op.says = func(m, a any) any {
		_, r := model(m.(M), a.(A))
		return r
	}
	return op
}

// Accepts makes an operation whose model says whether a result is right.
func Accepts[T, M, A, R any](
	name string, args func(*Source) A, call func(T, A) R, model func(M, A, R) (M, bool),
) Op[T] {
	return Op[T]{
		name:  name,
		state: reflect.TypeFor[M](),
		draw:  func(s *Source) any { return args(s) },
		call:  func(subject T, a any) any { return call(subject, a.(A)) },
		step: func(m, a, r any) (any, bool) {
			result, _ := r.(R) // nil of an interface is its zero value
			return model(m.(M), a.(A), result)
		},
	}
}

// Keyed returns the operation with the key that its arguments name. See [PerKey].
func Keyed[T, A any, K comparable](op Op[T], key func(A) K) Op[T] {
	op.key = func(a any) any { return key(a.(A)) }
	return op
}

// Waiting returns the operation as one that waits as long as waits returns true for the
// state. A program may end while the operation waits. The program fails if the operation
// still waits in a state in which it need not.
func Waiting[T, M, A any](op Op[T], waits func(M, A) bool) Op[T] {
	op.waits = func(m, a any) bool { return waits(m.(M), a.(A)) }
	return op
}

// check returns what is wrong with the spec itself.
func (s *Spec[T]) check() error {
	if s.New == nil || len(s.Ops) == 0 {
		return fmt.Errorf("modeltest: New is missing, or %d operations: must be at least 1", len(s.Ops))
	}
	if s.Promise < Linearizable || s.Promise > Quiescent {
		return fmt.Errorf("modeltest: promise %d must be one of this package's", int(s.Promise))
	}
	for _, op := range s.Ops {
		switch init := reflect.TypeOf(s.Init); {
		case op.call == nil:
			return fmt.Errorf("modeltest: operation %q must be made by Returns or Accepts", op.name)
		case op.state != init:
			return fmt.Errorf("modeltest: the model of %s takes a %v: must be %v, the type of Init", op.name, op.state, init)
		case s.Promise == PerKey && op.key == nil:
			return fmt.Errorf("modeltest: %s has no key: must be Keyed where the promise is PerKey", op.name)
		}
	}
	return nil
}

// waiting reports whether a program may end while an operation waits.
func (s *Spec[T]) waiting() bool {
	for _, op := range s.Ops {
		if op.waits != nil {
			return true
		}
	}
	return false
}
