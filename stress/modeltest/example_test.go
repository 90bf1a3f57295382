package modeltest_test

import (
	"sync/atomic"
	"testing"

	"tensile/stress/modeltest"
)

// counter reads and writes in two steps, between which another addition is lost.
type counter struct{ n atomic.Int64 }

func (c *counter) add(n int) int {
	sum := c.n.Load() + int64(n)
	c.n.Store(sum)
	return int(sum)
}

// In a file of tests, this is the function TestCounter. It fails with the smallest
// program that shows the fault: an addition between the two steps of another.
func testCounter(t *testing.T) {
	modeltest.TestModel(t, modeltest.Spec[*counter]{
		New:  func(testing.TB) *counter { return new(counter) },
		Init: 0, // the sum, of which the model is a function
		Ops: []modeltest.Op[*counter]{
			modeltest.Returns("add", modeltest.Below(3), (*counter).add,
				func(sum, n int) (int, int) { return sum + n, sum + n }),
		},
	})
}

// A counter that loses additions, and the test that finds it.
func Example() { _ = testCounter }
