package modeltest

import "math/rand/v2"

// Source draws the arguments of one operation.
type Source struct {
	random *rand.Rand // nil: all that is drawn is 0
	unique int
}

// IntN returns a number from 0 to n-1. It panics if n < 1.
func (s *Source) IntN(n int) int {
	if s.random == nil {
		return 0
	}
	return s.random.IntN(n)
}

// Unique returns a number from 1 that no other operation of the program is given.
func (s *Source) Unique() int { return s.unique }

// None is for operations without arguments.
func None(*Source) struct{} { return struct{}{} }

// Unique is [Source.Unique]: it tells each value put in from every other.
func Unique(s *Source) int { return s.Unique() }

// Below draws numbers from 0 to n-1.
func Below(n int) func(*Source) int { return func(s *Source) int { return s.IntN(n) } }

// Of draws one of the values, of which the first should be the simplest.
func Of[A any](values ...A) func(*Source) A {
	return func(s *Source) A { return values[s.IntN(len(values))] }
}
