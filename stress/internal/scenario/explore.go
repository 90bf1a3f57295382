package scenario

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"tensile/stress/internal/settings"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Loads are the loads by which a kit lets its subject be explored beyond the
// scenario.
type Loads struct {
	// Burst does n operations at once and returns operations a second.
	Burst func(ctx context.Context, n int) (rate float64, err error)
	// Steady offers n operations at a rate.
	Steady func(ctx context.Context, n int, rate float64) (load.Open, measure.Latency, error)
}

// Limits are the phases that look for the limits of a subject, if the settings ask for
// them. rate measures its throughput, and loads makes the loads. What a phase has found
// is kept if something goes wrong later.
func (s *Scenario) Limits(
	rate func(context.Context, *testing.T) float64, loads func(*testing.T) Loads,
) (phases []Phase) {
	if s.Settings().Knee {
		phases = append(phases, Phase{Name: "knee", Sound: true, Bound: exploreBound,
			Body: func(ctx context.Context, t *testing.T) {
				s.StopMemory() // the budget is for the scenario
				s.knee(ctx, rate(ctx, t), loads(t))
			}})
	}
	if s.Settings().Scaling {
		phases = append(phases, Phase{Name: "scaling", Sound: true, Bound: exploreBound,
			Body: func(ctx context.Context, t *testing.T) {
				s.StopMemory()
				s.Run.Bloated = true
				s.scaling(ctx, loads(t))
			}})
	}
	return phases
}

// exploreBound is the time for each search.
const exploreBound = 3 * time.Minute

const (
	kneeFrom  = 0.25 // of the throughput: where the search begins
	kneeStep  = 1.2  // from one rate to the next
	kneeSteps = 16   // 0.25 * 1.2^15 is 3.9 times the throughput
	kneeHold  = 1.0  // seconds that a rate is offered
)

// knee raises the rate of an open load until a threshold of the steady run is
// missed.
func (s *Scenario) knee(ctx context.Context, throughput float64, p Loads) {
	k := &report.Knee{Throughput: throughput}
	s.Record(func(r *report.Scenario) { r.Knee = k })
	rate := kneeFrom * throughput
	for range kneeSteps {
		out, l, err := p.Steady(ctx, max(int(rate*kneeHold), 100), rate)
		if err != nil {
			k.Missed = err.Error()
			return
		}
		missed := s.missedAt(out, l)
		s.Record(func(*report.Scenario) {
			k.Steps = append(k.Steps, report.KneeStep{Asked: rate, Offered: out.Offered, Latency: l, Missed: missed})
		})
		if missed != "" {
			k.Missed = missed
			return
		}
		k.Rate = rate
		rate *= kneeStep
	}
}

// missedAt says which threshold an open load misses, or "".
func (s *Scenario) missedAt(out load.Open, l measure.Latency) string {
	if out.Saturated() {
		return "the generator could not offer more"
	}
	for _, c := range s.Run.Criteria(s.ID) {
		ns, ok := map[validate.Metric]int64{validate.P50: l.P50, validate.P95: l.P95, validate.P99: l.P99}[c.Metric]
		if ok && float64(ns)/1e6 >= c.Target {
			return fmt.Sprintf("%s was %s, must be below %s", c.Name, validate.With(float64(ns)/1e6, c.Unit),
				validate.With(c.Target, c.Unit))
		}
	}
	if l.Failed > 0 {
		return fmt.Sprintf("%d operations failed", l.Failed)
	}
	return ""
}

// scales are the N at which the growth of time and memory is measured.
var scales = []int{1_000, 10_000, 100_000, 1_000_000}

// scaling measures bursts of growing size, and a burst with each number of
// processors.
func (s *Scenario) scaling(ctx context.Context, p Loads) {
	result := &report.Scaling{}
	s.Record(func(r *report.Scenario) { r.Scaling = result })
	began := time.Now()
	bound, _ := ctx.Deadline()
	var n, seconds, bytes []float64
	for _, size := range scales {
		if s.Aborted || ctx.Err() != nil {
			break
		}
		// The next takes about ten times as long as all so far.
		if spent := time.Since(began); len(n) > 0 && time.Now().Add(10*spent).After(bound) {
			result.Cut = fmt.Sprintf("N = %d and beyond would not end in time", size)
			break
		}
		if available := measure.MemoryAvailable(); available != nil && size > settings.Fits(*available) {
			result.Cut = fmt.Sprintf("N = %d does not fit into the memory available: %d would", size, settings.Fits(*available))
			break
		}
		debug.FreeOSMemory()
		sampler := measure.StartSampler(time.Now(), 5*time.Millisecond, nil)
		rate, err := p.Burst(ctx, size)
		use := sampler.Stop()
		if err != nil {
			result.Cut = fmt.Sprintf("N = %d: %v", size, err)
			break
		}
		held := use.Peak.Heap + use.Peak.Stacks - use.Before.Heap - use.Before.Stacks
		s.Record(func(*report.Scenario) {
			result.Steps = append(result.Steps, report.ScalingStep{N: size, Throughput: rate, Memory: held})
		})
		n, seconds, bytes = append(n, float64(size)), append(seconds, float64(size)/rate), append(bytes, float64(held))
	}
	result.TimeExponent = measure.PowerLaw(n, seconds)
	result.MemoryExponent = measure.PowerLaw(n, bytes)
	s.processors(ctx, p, result)
}

// processors measures the burst of the scenario with 1, 2, 4 and so on
// processors, up to those there are.
func (s *Scenario) processors(ctx context.Context, p Loads, result *report.Scaling) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	var procs, rates []float64
	for use := 1; use <= all && ctx.Err() == nil; use = next(use, all) {
		runtime.GOMAXPROCS(use)
		rate, err := p.Burst(ctx, s.N)
		if err != nil {
			break
		}
		s.Record(func(*report.Scenario) {
			result.Processors = append(result.Processors, report.ProcessorStep{Processors: use, Throughput: rate})
		})
		procs, rates = append(procs, float64(use)), append(rates, rate)
	}
	result.USL = measure.FitUSL(procs, rates)
}

// next doubles, and stops at most once at the end.
func next(use, all int) int {
	if use < all && 2*use > all {
		return all
	}
	return 2 * use
}
