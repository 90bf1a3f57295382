package stress

import (
	"context"
	"runtime"

	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// liveMemory is heap and stacks in bytes, without garbage.
func liveMemory() int64 {
	runtime.GC()
	m := measure.ReadMemory()
	return m.Heap + m.Stacks
}

// keptRounds is how often what may be kept is done, beyond the first time.
const keptRounds = 3

// keeps has once do something n times, in rounds from 0 on, and looks whether more
// than limit bytes of each stay in memory. Whatever a subject sets up for as much as
// that it has after the first round; and it may clean up now and then. keeps is
// false where once was.
func (s *scenario) keeps(ctx context.Context, what string, n int, limit float64, once func(round int) bool) bool {
	if !once(0) {
		return false
	}
	before := liveMemory()
	for round := 1; round <= keptRounds; round++ {
		if !once(round) {
			return false
		}
	}
	each := 0.0
	if !wait.Until(ctx, settleBound/4, func() bool {
		each = float64(liveMemory()-before) / float64(keptRounds*n)
		return each <= limit
	}) {
		s.violate("kept", "for each %s %.0f bytes stay in memory, accepted are %.0f", what, each, limit)
	}
	return true
}
