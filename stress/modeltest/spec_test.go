package modeltest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSpecsThatCanNotBeRun(t *testing.T) {
	noNew, noOps, promise, init, made, keyless := registerSpec(none), registerSpec(none), registerSpec(none),
		registerSpec(none), registerSpec(none), registerSpec(none)
	noNew.New = nil
	noOps.Ops = nil
	promise.Promise = 4
	init.Init = "0"
	made.Ops = append(made.Ops, Op[*register]{})
	keyless.Promise = PerKey
	for says, s := range map[string]Spec[*register]{
		"New is missing":                   noNew,
		"0 operations: must be at least 1": noOps,
		"promise 4 must be":                promise,
		"the model of Write takes a int: must be string, the type of Init": init,
		`operation "" must be made by Returns or Accepts`:                  made,
		"Write has no key: must be Keyed":                                  keyless,
	} {
		assert.ErrorContains(t, s.check(), says)
	}
}

// Each operation has draws of its own: to draw 0 in place of one takes away that
// operation, and leaves the others what they were.
func TestProgramsShrinkByDraws(t *testing.T) {
	s := listSpec(false, none)
	for n, bound := range sizes {
		var bounds []int
		whole := generate(s.Ops, bound, func(n int) int {
			bounds = append(bounds, n)
			return n - 1
		})
		assert.Len(t, whole.goroutines, bound.goroutines, "size %d", n)
		operations := count(whole)
		assert.LessOrEqual(t, operations, 64, "size %d", n)
		shorter := 0
		for i := range bounds {
			next := -1
			p := generate(s.Ops, bound, func(n int) int {
				next++
				if next == i {
					return 0
				}
				return n - 1
			})
			switch count(p) {
			case operations - 1:
				shorter++
			case operations:
			default:
				assert.Zero(t, i, "only the first draw, of goroutines, takes away more than one operation")
			}
		}
		assert.Equal(t, operations, shorter, "each operation can be taken away")
	}
	empty := generate(s.Ops, sizes[0], func(int) int { return 0 })
	assert.Zero(t, count(empty))
}

func count[T any](p program[T]) int {
	n := len(p.first) + len(p.last)
	for _, acts := range p.goroutines {
		n += len(acts)
	}
	return n
}

func TestArgumentsAreUniqueAndSimpleAtZero(t *testing.T) {
	s := listSpec(false, none)
	p := generate(s.Ops, sizes[2], func(n int) int { return min(n-1, 1) })
	seen := map[string]bool{}
	for _, acts := range append(p.goroutines, p.first, p.last) {
		for _, a := range acts {
			assert.False(t, seen[fmt.Sprint(a.args)], "%v is drawn twice", a.args)
			seen[fmt.Sprint(a.args)] = true
		}
	}
	assert.NotEmpty(t, seen)
	assert.Equal(t, "simplest", Of("simplest", "other")(&Source{}))
	assert.Zero(t, Below(9)(&Source{}))
}
