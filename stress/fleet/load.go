package fleet

import (
	"context"
	"fmt"
	"math"
	"time"

	"tensile/stress/load"
	"tensile/stress/validate"
)

// Load is what a fleet offers. Rate, For and Arrivals must be the same in all of
// its processes.
type Load struct {
	Rate     float64       // operations a second, of all agents together
	For      time.Duration // how long it is offered, up to 24 h
	Arrivals load.Arrivals // how the operations are spaced
	// Do is one operation, called on a goroutine of its own. i runs from 0 over
	// the whole fleet: no two agents are given the same. An operation that
	// returns an error has failed. ctx ends when the run does.
	Do func(ctx context.Context, i int) error
	// Criteria are what the figures are held to; nil for those of the variable
	// Criteria.
	Criteria []validate.Criterion
	// Wait is how long agents wait for the lead, and the lead for its agents; 0
	// for a minute.
	Wait time.Duration
}

const (
	longest     = 24 * time.Hour
	defaultWait = time.Minute
	// mostOperations bounds the samples that a lead holds: some 50 bytes each.
	mostOperations = 50_000_000
)

// count is how many operations the load is.
func (l Load) count() int { return int(math.Round(l.Rate * l.For.Seconds())) }

// check tells what is wrong with a load that so many agents are to offer.
func (l Load) check(agents int) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrLoad, fmt.Sprintf(format, args...))
	}
	switch {
	case l.Do == nil:
		return wrong("it has no Do")
	case !(l.Rate > 0) || math.IsInf(l.Rate, 0):
		return wrong("Rate is %g, must be a number of operations a second above 0", l.Rate)
	case l.For <= 0 || l.For > longest:
		return wrong("For is %v, must be up to %v", l.For, longest)
	case l.Wait < 0 || l.Wait > longest:
		return wrong("Wait is %v, must be up to %v", l.Wait, longest)
	case l.Arrivals != load.Constant && l.Arrivals != load.Poisson:
		return wrong("Arrivals is %v, must be constant or poisson", l.Arrivals)
	case l.Rate*l.For.Seconds() > mostOperations:
		return wrong("Rate and For make %.0f operations, must be up to %d", l.Rate*l.For.Seconds(), mostOperations)
	case l.count() < agents:
		return wrong("Rate and For make %d operations, must be one or more for each of %d agents", l.count(), agents)
	}
	for _, c := range l.Criteria {
		if !known(c) {
			return wrong("nothing is measured for the criterion %q", c.ID)
		}
	}
	return nil
}

// wait is Wait or its default.
func (l Load) wait() time.Duration {
	if l.Wait == 0 {
		return defaultWait
	}
	return l.Wait
}

// definition is what the loads of a fleet must have in common.
type definition struct {
	Rate     float64       `json:"rate"`
	For      time.Duration `json:"for"`
	Arrivals string        `json:"arrivals"`
}

func (l Load) definition() definition { return definition{l.Rate, l.For, l.Arrivals.String()} }

func (d definition) String() string {
	return fmt.Sprintf("%g ops/s for %v, %s arrivals", d.Rate, d.For, d.Arrivals)
}
