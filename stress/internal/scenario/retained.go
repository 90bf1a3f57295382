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

// Retains has once do something n times, in rounds from 0 on, and looks whether more
// than limit bytes of each stay in memory. Whatever a subject sets up for as much as
// that it has after the first round; and it may clean up now and then. It returns
// false if once did. A subject may start a goroutine each time, as context.AfterFunc
// does: where the processors are busy these pile up, and the descriptors that the
// runtime keeps of them are not the subject's. So there are descriptors for as many as a
// round may start, and a round begins once the goroutines of the one before have ended.
func (s *Scenario) Retains(ctx context.Context, what string, n int, limit float64, once func(round int) bool) bool {
	wait.Rehearse(n)
	most := runtime.NumGoroutine() + n/100
	ended := func() { wait.Until(ctx, Settle/4, func() bool { return runtime.NumGoroutine() <= most }) }
	if !once(0) {
		return false
	}
	ended()
	most = max(most, runtime.NumGoroutine()) // what it has set up stays
	before := LiveMemory()
	for round := 1; round <= KeptRounds; round++ {
		if !once(round) {
			return false
		}
		ended()
	}
	each := 0.0
	if !wait.Until(ctx, Settle/4, func() bool {
		each = float64(LiveMemory()-before) / float64(KeptRounds*n)
		return each <= limit
	}) {
		s.Violate("kept", "each %s leaves %.0f bytes in memory, must be at most %.0f", what, each, limit)
	}
	return true
}

// Work is of one kind, of which nothing may be left once it is over.
type Work struct {
	What  string
	Times int
	Limit float64              // bytes that each may leave
	Once  func(round int) bool // does it Times times; false if it failed
}

// Forgets looks whether work of each kind is forgotten, until one fails. It reports false then.
func (s *Scenario) Forgets(ctx context.Context, all ...Work) bool {
	for _, f := range all {
		if !s.Retains(ctx, f.What, f.Times, f.Limit, f.Once) {
			return false
		}
	}
	return true
}
