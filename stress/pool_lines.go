package stress

import "sync/atomic"

// lines follow who comes to a pool and who is served, of operations that take
// the pools in turns. Where thousands come at once, nobody can tell from outside
// who stands where in line: a goroutine may be held up on its way. But by and
// large who came early is served early.
type lines struct {
	pools      int
	came, left []atomic.Int32 // how many, of each pool
	in, out    []int32        // of each operation: as which it came and was served, from 1
}

func newLines(n, pools int) *lines {
	return &lines{pools: pools, came: make([]atomic.Int32, pools), left: make([]atomic.Int32, pools),
		in: make([]int32, n), out: make([]int32, n)}
}

func (l *lines) comes(op int)  { l.in[op] = l.came[op%l.pools].Add(1) }
func (l *lines) served(op int) { l.out[op] = l.left[op%l.pools].Add(1) }

const (
	// leastOrder is what a pool reaches that serves in order, also where every
	// tenth goroutine is held up for as long as the burst lasts; one that serves
	// the last first, or anybody, is far below.
	leastOrder = 0.5
	// longLine is the number of operations from which a line is looked at.
	longLine = 100
)

// order is the lowest rank correlation of all pools between coming and being
// served, by Spearman: 1 for strict order, 0 for none, -1 for the reverse. Lines
// that are short, or in which somebody was not served, are left out.
func (l *lines) order() float64 {
	least := 1.0
	for pool := range l.pools {
		m := float64(l.left[pool].Load())
		if m < longLine || l.left[pool].Load() != l.came[pool].Load() {
			continue
		}
		squares := 0.0
		for op := pool; op < len(l.in); op += l.pools {
			d := float64(l.in[op] - l.out[op])
			squares += d * d
		}
		least = min(least, 1-6*squares/(m*(m*m-1)))
	}
	return least
}
