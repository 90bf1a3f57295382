package pooltest

import (
	"context"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/load"
)

// line follows who comes to a pool and who is served. Where thousands come at
// once, nobody can tell from outside who stands where in line: a goroutine may be
// held up on its way. But by and large who came early is served early.
type line struct {
	came, left atomic.Int32 // how many
	in, out    []int32      // of each operation: as which it came and was served, from 1
}

func newLine(n int) *line { return &line{in: make([]int32, n), out: make([]int32, n)} }

func (l *line) comes(op int)  { l.in[op] = l.came.Add(1) }
func (l *line) served(op int) { l.out[op] = l.left.Add(1) }

const (
	// leastOrder is what a pool reaches that serves in order, also where every
	// tenth goroutine is held up for as long as the burst lasts; one that serves
	// the last first, or anybody, is far below.
	leastOrder = 0.5
	// lineLength is more than stand in line at a pool in the burst of 100,000.
	lineLength = 2000
	// lineTries: a garbage collection may hold up a third of all goroutines on
	// their way. A pool that does not serve in order does so each time.
	lineTries = 4
)

// order is the rank correlation between coming and being served, by Spearman: 1
// for strict order, 0 for none, -1 for the reverse.
func (l *line) order() float64 {
	m, squares := float64(len(l.in)), 0.0
	for op := range l.in {
		d := float64(l.in[op] - l.out[op])
		squares += d * d
	}
	return 1 - 6*squares/(m*(m*m-1))
}

// line: of very many that wait at once, those that came first are served first.
func (k *kit) line(ctx context.Context, t *testing.T) {
	p, _ := k.start(t, Config{Size: connsPerPool})
	if _, unordered := p.(Unordered); unordered {
		k.closePool(p)
		return
	}
	best, ok := -1.0, true
	for try := 0; try < lineTries && best < leastOrder && ok; try++ {
		var order float64
		order, ok = k.wait(ctx, p)
		best = max(best, order)
	}
	if k.Aborted {
		return
	}
	if best < leastOrder && !k.Failed() {
		k.Violate("order",
			"of %d waiters, some were served before others that had come earlier: the rank correlation of arrival and service "+
				"was %.2f at best in %d tries, must be %.1f or more",
			lineLength, best, lineTries, leastOrder)
	}
	k.closePool(p)
}

// wait has very many wait at once, and returns in which order they were served. ok
// is false if not all of them were.
func (k *kit) wait(ctx context.Context, p Pool) (order float64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, scenario.PhaseBound/2)
	defer cancel()
	l := newLine(lineLength)
	var first atomic.Pointer[error]
	out := load.Burst(ctx, lineLength, nil, func(i int, g *load.Gate) {
		defer k.Recovered("line")
		l.comes(i)
		err := k.operate(ctx, p, i, func() {
			l.served(i)
			<-g.All()
		})
		if err != nil {
			first.CompareAndSwap(nil, &err)
		}
	})
	err := firstError(&first, ctx)
	if k.Unfinished("served", out.Unfinished, lineLength, out.Took, err) {
		return -1, false
	}
	if err != nil {
		k.Violate("served", "of %d that waited at once not all were served: %v", lineLength, err)
		k.Aborted = ctx.Err() != nil // whatever comes next would wait as long
		return -1, false
	}
	return l.order(), true
}
