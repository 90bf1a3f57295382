package pooltest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestOrderOfALine: every service but one in order is told from it.
func TestOrderOfALine(t *testing.T) {
	const n = 1000
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		serve func(n int) []int // order in which they are served
		want  float64
	}{
		{"first come, first served", upTo, 1},
		{"last come, first served", func(n int) []int {
			order := upTo(n)
			slices.Reverse(order)
			return order
		}, -1},
		{"anybody", random.Perm, 0},
		{"a tenth held up on the way", func(n int) []int {
			var late, order []int
			for i := range n {
				if random.IntN(10) == 0 {
					late = append(late, i)
				} else {
					order = append(order, i)
				}
			}
			return append(order, late...)
		}, 0.75},
	} {
		l := newLine(n)
		for op := range n {
			l.comes(op)
		}
		for _, op := range c.serve(n) {
			l.served(op)
		}
		assert.InDelta(t, c.want, l.order(), 0.1, c.name)
		assert.Equal(t, c.want > 0.5, l.order() >= leastOrder, c.name)
	}
}

func upTo(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}
