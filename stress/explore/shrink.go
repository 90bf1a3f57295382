package explore

import (
	"slices"

	"tensile/stress/internal/schedule"
)

const (
	replays = 10 // of a failure, before it is reported
	// What shrinking may cost, in schedules and in points.
	shrinkSchedules = 2_000
	shrinkPoints    = 20_000_000
	// How many schedules look for the failure once a draw is made smaller.
	shrinkSearch = 20
	// A plan of more decisions is of no use to a reader.
	mostPlanned = 200
)

// shrinker makes a failing schedule smaller while it fails in the same way.
type shrinker struct {
	x         *explorer
	b         *buffers
	verdict   *verdict
	schedules int
	points    uint64
}

// spent tells whether there shall be no more attempts.
func (s *shrinker) spent() bool { return s.schedules >= shrinkSchedules || s.points >= shrinkPoints }

// fails runs a schedule, noted, and tells whether it fails in the same way.
func (s *shrinker) fails(candidate schedule.Schedule) (ran, bool) {
	s.schedules++
	r := s.x.run(candidate, s.b)
	s.points += r.Points
	return r, s.verdict.same(r.verdict)
}

// shrink returns the smallest schedule found that fails as the given one does: a
// plan, or the given one where no plan repeats it.
func (s *shrinker) shrink(from schedule.Schedule) schedule.Schedule {
	r, ok := s.fails(from)
	if !ok {
		return from
	}
	best, ok := s.planned(r, from.Seed)
	if !ok {
		return from
	}
	if _, ok := s.fails(best); !ok {
		return from
	}
	for before := -1; before != len(best.Steps)+len(best.Draws) && !s.spent(); {
		before = len(best.Steps) + len(best.Draws)
		best = s.draws(best)
		best = s.steps(best)
	}
	best = s.single(best)
	if len(best.Steps) > mostPlanned && len(best.Draws) == 0 {
		return from
	}
	return best
}

// planned is the plan that the latest run, noted, has followed.
func (s *shrinker) planned(r ran, seed uint64) (schedule.Schedule, bool) {
	steps, whole := recorded(r, s.b)
	return schedule.Schedule{Strategy: schedule.Plan, Seed: seed, Steps: steps, Draws: r.run.unlikeSeed()}, whole
}

// steps takes decisions away, in chunks that get smaller: delta debugging (Zeller,
// Hildebrandt: TSE 2002).
func (s *shrinker) steps(best schedule.Schedule) schedule.Schedule {
	for size := max(len(best.Steps)/2, 1); ; size /= 2 {
		for at := 0; at < len(best.Steps) && !s.spent(); {
			candidate := best
			candidate.Steps = slices.Concat(best.Steps[:at], best.Steps[min(at+size, len(best.Steps)):])
			if r, ok := s.fails(candidate); ok {
				if p, whole := s.planned(r, best.Seed); whole && len(p.Steps) < len(best.Steps) {
					best = p
					continue
				}
			}
			at += size
		}
		if size <= 1 || s.spent() {
			return best
		}
	}
}

// mostSingle is up to how many plans of one preemption are all tried.
const mostSingle = 500

// single looks for one preemption in place of several, as iterative context
// bounding does (Musuvathi, Qadeer: PLDI 2007): taking decisions away, one that
// needs no other is missed if it was not among them.
func (s *shrinker) single(best schedule.Schedule) schedule.Schedule {
	if len(best.Steps) < 2 {
		return best
	}
	plain := best
	plain.Steps = nil
	r, _ := s.fails(plain)
	points := slices.Clone(s.b.steps[:min(r.Stepped, len(s.b.steps))])
	if len(points)*r.Goroutines > mostSingle {
		return best
	}
	for _, p := range points {
		for to := uint32(1); to <= uint32(r.Goroutines) && !s.spent(); to++ {
			plain.Steps = []schedule.Step{{Goroutine: p.Goroutine, N: p.N, To: to}}
			if _, ok := s.fails(plain); ok && to != p.Goroutine {
				return plain
			}
		}
	}
	return best
}

// draws makes draws smaller, one after another. A draw changes the program: if the
// plan fails no more, other schedules of the same draws are tried.
func (s *shrinker) draws(best schedule.Schedule) schedule.Schedule {
	r, _ := s.fails(best)
	for i := 0; i < len(r.run.draws()) && !s.spent(); i++ {
		for tries := smaller(r.run.draws()[i].value); len(tries) > 0 && !s.spent(); {
			candidate := best
			candidate.Draws = with(best.Draws, schedule.Draw{Index: i, Value: tries[0]})
			tries = tries[1:]
			if found, again, ok := s.search(candidate); ok {
				best, r = found, again
				if i >= len(r.run.draws()) {
					break
				}
				tries = smaller(r.run.draws()[i].value)
			}
		}
	}
	return best
}

// smaller are values to try in place of one, the best first.
func smaller(value int) (out []int) {
	for _, v := range []int{0, value / 2, value - 1} {
		if v >= 0 && v < value && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// with is a list of draws with one of them set.
func with(draws []schedule.Draw, d schedule.Draw) []schedule.Draw {
	out := slices.DeleteFunc(slices.Clone(draws), func(o schedule.Draw) bool { return o.Index == d.Index })
	return append(out, d)
}

// search looks for the failure under the draws of a plan: first by its steps, then
// by other schedules.
func (s *shrinker) search(candidate schedule.Schedule) (schedule.Schedule, ran, bool) {
	if r, ok := s.fails(candidate); ok {
		p, whole := s.planned(r, candidate.Seed)
		return p, r, whole
	}
	for i := 0; i < shrinkSearch && !s.spent(); i++ {
		other := schedule.Schedule{Strategy: schedule.POS, Seed: candidate.Seed, Draws: candidate.Draws}
		r, ok := s.failsShuffled(other, uint64(i))
		if !ok {
			continue
		}
		p, whole := s.planned(r, candidate.Seed)
		if again, ok := s.fails(p); ok && whole {
			return p, again, true
		}
	}
	return candidate, ran{}, false
}

// failsShuffled is fails with the draws and random numbers of the schedule's seed
// and the order of another.
func (s *shrinker) failsShuffled(candidate schedule.Schedule, order uint64) (ran, bool) {
	s.x.order = order + 1
	defer func() { s.x.order = 0 }()
	return s.fails(candidate)
}
