package explore

import (
	"errors"
	"sync/atomic"

	"tensile/stress/explore/internal/control"
	"tensile/stress/internal/schedule"
)

var errSelfTest = errors.New("the controlled scheduler failed its self-test")

// selfTest tells whether control can be trusted: it finds a known bug, the seed
// that found it gives the same order again, and the sound twin is left alone.
func selfTest() error {
	const schedules = 200
	adds := func(sound bool) func(*Run) {
		return func(e *Run) {
			var n atomic.Int64
			for range 2 {
				e.Go("adder", func() {
					if sound {
						n.Add(1)
						return
					}
					n.Store(n.Load() + 1)
				})
			}
			e.Wait()
			e.Check(n.Load() == 2, "an addition is lost")
		}
	}
	o, err := newOptions(nil)
	o.Race, o.Memory = false, nil
	if err != nil {
		return err
	}
	for _, strategy := range o.Strategies {
		s := schedule.Schedule{Strategy: strategy.String(), Depth: 3, Length: 30}
		x := newExplorer(adds(false), o)
		x.warmUp()
		found := false
		for s.Seed = 1; s.Seed <= schedules && !found; s.Seed++ {
			r := x.run(s, nil)
			found = r.verdict != nil
			if again := x.run(s, nil); again.Hash != r.Hash || (again.verdict != nil) != found {
				return errors.Join(errSelfTest, errors.New("one seed gave two orders"))
			}
		}
		if !found {
			return errors.Join(errSelfTest, errors.New("it did not find a known bug by "+s.Strategy))
		}
	}
	x := newExplorer(adds(true), o)
	for seed := range uint64(schedules) {
		r := x.run(schedule.Schedule{Strategy: schedule.POS, Seed: seed}, nil)
		if r.verdict != nil || r.End != control.Returned {
			return errors.Join(errSelfTest, errors.New("it accused a sound program"))
		}
	}
	return nil
}
