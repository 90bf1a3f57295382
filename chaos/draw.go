package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Spec describes the plans that Draw draws.
type Spec struct {
	Targets  map[Fault][]string // whom each fault may hit
	Steps    int                // how many faults
	Spread   time.Duration      // over which they begin; 0 for all at once
	Min, Max time.Duration      // how long each lasts
	Bound    int                // most targets hit at once
}

func (s Spec) validate() error {
	bad := func(name string, value any, accepted string) error {
		return fmt.Errorf("%w: %s is %v, must be %s", ErrPlan, name, value, accepted)
	}
	switch {
	case s.Steps < 0 || s.Steps > MaxSteps:
		return bad("Steps", s.Steps, fmt.Sprintf("0 to %d", MaxSteps))
	case s.Spread < 0 || s.Spread > MaxTime:
		return bad("Spread", s.Spread, fmt.Sprintf("0 to %v", MaxTime))
	case s.Min <= 0 || s.Min > s.Max || s.Max > MaxTime:
		return bad("Min to Max", fmt.Sprintf("%v to %v", s.Min, s.Max), fmt.Sprintf("a range above 0 and up to %v", MaxTime))
	case s.Bound < 1:
		return bad("Bound", s.Bound, "1 or more")
	case s.Steps > 0 && len(s.Targets) == 0:
		return bad("Targets", "empty", "at least one fault")
	}
	for fault, targets := range s.Targets {
		if len(targets) == 0 {
			return bad("Targets of "+string(fault), "empty", "at least one target")
		}
	}
	return nil
}

// Draw draws a plan from a seed. The same seed and the same spec give the same
// plan. No target is hit twice at once, and never more than Bound are hit: a
// fault for which there is no room begins later. The error wraps ErrPlan.
func Draw(seed uint64, spec Spec) (Plan, error) {
	if err := spec.validate(); err != nil {
		return Plan{}, err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	begin := make([]time.Duration, spec.Steps)
	for i := range begin {
		begin[i] = time.Duration(random.Int64N(int64(spec.Spread) + 1))
	}
	slices.Sort(begin)

	p := Plan{Seed: seed, Bound: spec.Bound, Steps: make([]Step, 0, spec.Steps)}
	faults := slices.Sorted(maps.Keys(spec.Targets)) // a map has no order of its own
	hit := make(map[string]time.Duration)            // until when
	at := time.Duration(0)
	for _, wanted := range begin {
		at = max(at, wanted)
		fault := faults[random.IntN(len(faults))]
		length := spec.Min + time.Duration(random.Int64N(int64(spec.Max-spec.Min)+1))
		for {
			next := MaxTime * 2
			for target, until := range hit {
				if until <= at {
					delete(hit, target)
				} else {
					next = min(next, until)
				}
			}
			free := slices.DeleteFunc(slices.Clone(spec.Targets[fault]), func(target string) bool {
				_, is := hit[target]
				return is
			})
			if len(hit) < spec.Bound && len(free) > 0 {
				target := free[random.IntN(len(free))]
				hit[target] = at + length
				p.Steps = append(p.Steps, Step{fault, target, at, length})
				break
			}
			at = next // when the first of those hit is free again
		}
	}
	return p, p.Validate()
}
