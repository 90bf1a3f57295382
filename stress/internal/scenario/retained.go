package scenario

import (
	"context"
	"runtime"

	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// LiveMemory is heap and stacks in bytes, without garbage.
func LiveMemory() int64 {
	runtime.GC()
	m := measure.ReadMemory()
	return m.Heap + m.Stacks
}

// KeptRounds is how often what may be kept is done, beyond the first time.
const KeptRounds = 3

// Work is of one kind, of which nothing may be left in memory once it is over.
type Work struct {
	What  string
	Times int                  // that Once does it
	Limit float64              // bytes that each may leave
	Once  func(round int) bool // is called for rounds from 0 on; false if it failed
}

// Each is work that is done one by one: do is told the round, and which of it this is.
func Each(what string, times int, limit float64, do func(round, i int) bool) Work {
	return Work{What: what, Times: times, Limit: limit, Once: func(round int) bool {
		for i := range times {
			if !do(round, i) {
				return false
			}
		}
		return true
	}}
}

// Forgets has work of each kind done, in rounds, and looks whether more than its limit stays in
// memory of each round after the first. It reports false, and does no more, if Once does.
//
// Whatever a subject sets up for as much as that it has after the first round, or after one in which
// more was at work at once; and it may clean up now and then. So the round counts that left least.
// A subject may start a goroutine each time, as context.AfterFunc does: where the processors are busy
// these pile up, and the descriptors that the runtime keeps of them are not the subject's. So there
// are descriptors for as many as a round may start, and a round begins once the goroutines of the one
// before have ended.
func (s *Scenario) Forgets(ctx context.Context, all ...Work) bool {
	for _, w := range all {
		each, ok := w.leaves(ctx)
		if !ok {
			return false
		}
		if each > w.Limit {
			s.Violate("kept", "each %s leaves %.0f bytes in memory, must be at most %.0f", w.What, each, w.Limit)
		}
	}
	return true
}

// leaves is how many bytes each leaves, in the round that leaves least.
func (w Work) leaves(ctx context.Context) (each float64, ok bool) {
	wait.Rehearse(w.Times)
	most := runtime.NumGoroutine() + w.Times/100
	ended := func() { wait.Until(ctx, Settle/4, func() bool { return runtime.NumGoroutine() <= most }) }
	if !w.Once(0) {
		return 0, false
	}
	ended()
	most = max(most, runtime.NumGoroutine()) // what it has set up stays
	levels := []int64{LiveMemory()}
	for round := 1; round <= KeptRounds; round++ {
		if !w.Once(round) {
			return 0, false
		}
		ended()
		levels = append(levels, LiveMemory())
	}
	wait.Until(ctx, Settle/4, func() bool {
		levels[KeptRounds] = LiveMemory()
		least := levels[1] - levels[0]
		for round := 2; round <= KeptRounds; round++ {
			least = min(least, levels[round]-levels[round-1])
		}
		each = float64(least) / float64(w.Times)
		return each <= w.Limit
	})
	return each, true
}
