package load

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

const ms = int64(time.Millisecond)

// watched is the clock that a Steady load hands out, and the instants at which
// its operations started and ended.
type watched struct {
	began          time.Time
	flight         *InFlight
	started, ended []int64
}

func (w *watched) start(began time.Time, f *InFlight) { w.began, w.flight = began, f }

func (w *watched) now() int64 { return int64(time.Since(w.began)) }

func watch(n int) *watched {
	return &watched{started: make([]int64, n), ended: make([]int64, n)}
}

func TestEveryOperationStartsWhenItIsDue(t *testing.T) {
	for _, inline := range []bool{false, true} {
		for _, generators := range []int{0, 1, 3} {
			for _, arrivals := range []Arrivals{Constant, Poisson} {
				synctest.Test(t, func(t *testing.T) {
					const n = 1000
					p := Plan{Rate: 1000, Count: n, Arrivals: arrivals, Seed: 5, Generators: generators, Inline: inline}
					w := watch(n)
					calls := make([]atomic.Int32, n)
					out := Steady(t.Context(), p, w.start, func(i int, due int64) {
						calls[i].Add(1)
						w.started[i] = w.now()
						assert.Equal(t, w.started[i], due)
					})
					schedule := arrivals.Schedule(n, 1000, 5)
					assert.Equal(t, schedule, w.started)
					for i := range calls {
						assert.EqualValues(t, 1, calls[i].Load())
					}
					assert.Equal(t, n, out.N)
					assert.Zero(t, out.Unfinished)
					assert.Zero(t, out.LateMax)
					assert.Equal(t, 1000.0, out.Asked)
					assert.Equal(t, 1000.0, out.Offered)
					assert.Equal(t, time.Duration(schedule[n-1]), out.Took)
					assert.False(t, out.Saturated())
					assert.Zero(t, w.flight.Now())
					assert.Equal(t, n, w.flight.Ended())
				})
			}
		}
	}
}

// stalling is a subject that does one operation at a time, each in no time but
// for one that takes a second.
type stalling struct{ turn chan struct{} }

func (s stalling) do(i int) {
	s.turn <- struct{}{}
	if i == 1000 {
		time.Sleep(time.Second)
	}
	<-s.turn
}

// TestStallIsChargedInFull shows the coordinated omission that a generator must
// not commit. At 1000 operations a second a subject that stalls for one holds up
// the 1000 that are due meanwhile: by 1000 ms, 999 ms and so on. A generator that
// takes the time from the actual start sees one slow operation in 3000, and a p99
// of nothing at all.
func TestStallIsChargedInFull(t *testing.T) {
	for _, inline := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const n = 3000
			w := watch(n)
			s := stalling{make(chan struct{}, 1)}
			out := Steady(t.Context(), Plan{Rate: 1000, Count: n, Inline: inline}, w.start, func(i int, due int64) {
				w.started[i] = w.now() - due
				s.do(i)
				w.ended[i] = w.now() - due
			})
			charged := 0
			for i, latency := range w.ended {
				want := int64(0)
				if i >= 1000 {
					want = max(int64(2000-i)*ms, 0)
				}
				if assert.Equal(t, want, latency, "operation %d", i) && latency > 0 {
					charged++
				}
			}
			assert.Equal(t, 1000, charged)
			if inline {
				assert.Equal(t, 999*ms, out.LateMax, "the subject held up the generator")
			} else {
				assert.Zero(t, out.LateMax, "the generator never waits for the subject")
				assert.InDelta(t, 1000, out.Peak, 1, "all that were due during the stall")
			}
			assert.False(t, out.Saturated(), "the generator is not at fault")
		})
	}
}

// TestLateness has an operation take longer than the gap between two.
func TestLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 150
		out := Steady(t.Context(), Plan{Rate: 100, Count: n, Inline: true}, nil, func(int, int64) {
			time.Sleep(20 * time.Millisecond) // due every 10: each is 10 later than the last
		})
		assert.Equal(t, 74*10*ms, out.LateP50)
		assert.Equal(t, 148*10*ms, out.LateP99)
		assert.Equal(t, 149*10*ms, out.LateMax)
		assert.InDelta(t, 50, out.Offered, 1e-6)
		assert.Equal(t, n*20*time.Millisecond, out.Took)
		assert.False(t, out.Saturated(), "it is the operation that takes the time")
	})
}

func TestSaturatedIsTheGeneratorsFaultAlone(t *testing.T) {
	for _, c := range []struct {
		what string
		o    Open
		want bool
	}{
		{"offered what was asked", Open{N: 1, Asked: 100, Offered: 100, Capacity: 1000}, false},
		{"a little less", Open{N: 1, Asked: 100, Offered: 91, Capacity: 90}, false},
		{"too slow itself", Open{N: 1, Asked: 100, Offered: 89, Capacity: 90}, true},
		{"held up by the subject", Open{N: 1, Asked: 100, Offered: 10, Capacity: 1000}, false},
		{"nothing started", Open{Asked: 100, Capacity: 1}, false},
	} {
		assert.Equal(t, c.want, c.o.Saturated(), c.what)
	}
}

// TestImpossibleRateSaturates asks for more than a processor can count.
func TestImpossibleRateSaturates(t *testing.T) {
	for _, inline := range []bool{false, true} {
		out := Steady(t.Context(), Plan{Rate: 5e9, Count: 100_000, Inline: inline}, nil, func(int, int64) {})
		assert.True(t, out.Saturated(), "%+v", out)
		assert.Equal(t, 100_000, out.N)
		assert.Less(t, out.Offered, out.Asked/2)
		assert.Positive(t, out.LateMax)
	}
}

// TestSubjectThatTakesTheProcessorsIsNotExcused: it is the one that is slow, and
// not the generator that it keeps from running.
func TestSubjectThatTakesTheProcessorsIsNotExcused(t *testing.T) {
	const rate, n = 20_000, 200
	work := time.Duration(runtime.GOMAXPROCS(0)) * 500 * time.Microsecond // ten times what there is time for
	for _, inline := range []bool{false, true} {
		w := watch(n)
		out := Steady(t.Context(), Plan{Rate: rate, Count: n, Inline: inline}, w.start, func(i int, due int64) {
			for from := time.Now(); time.Since(from) < work; {
			}
			w.ended[i] = w.now() - due
		})
		assert.False(t, out.Saturated(), "%+v", out)
		assert.Greater(t, out.Capacity, float64(rate))
		assert.Greater(t, slices.Max(w.ended), 50*ms, "what it takes is in the latencies")
	}
}

func TestArrivalsNotYetDueNeverStart(t *testing.T) {
	for _, inline := range []bool{false, true} {
		for _, rate := range []float64{20, 1000} { // gaps longer and shorter than what is slept in one go
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Microsecond)
				defer cancel()
				n := int(20 * rate)
				out := Steady(ctx, Plan{Rate: rate, Count: n, Inline: inline}, nil, func(int, int64) {})
				assert.InDelta(t, n/2+1, out.N, 1)
				assert.Equal(t, n-out.N, out.Unfinished)
				assert.InDelta(t, rate/2, out.Offered, 2)
				assert.InDelta(t, 10*time.Second, out.Took, float64(10*time.Millisecond))
			})
		}
	}
}

// TestGeneratorThatIsBehindCanBeCancelled: it never sleeps, and has to look.
func TestGeneratorThatIsBehindCanBeCancelled(t *testing.T) {
	for _, inline := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		const n = 2_000_000
		out := Steady(ctx, Plan{Rate: 1e18, Count: n, Inline: inline}, nil, func(i int, _ int64) {
			if i == 1000 {
				cancel()
			}
		})
		assert.Less(t, out.N, n)
		assert.Equal(t, n-out.N, out.Unfinished)
	}
}

func TestSteadyGivesUpAGraceAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stuck := make(chan struct{})
		out := Steady(ctx, Plan{Rate: 10, Count: 100}, nil, func(i int, _ int64) {
			if i%10 == 0 {
				<-stuck
			}
		})
		assert.Equal(t, 10, out.Unfinished)
		assert.Equal(t, 11, out.Peak, "those and one that comes and goes")
		assert.Equal(t, time.Minute+Grace, out.Took)
		assert.False(t, out.Saturated())
		close(stuck)
	})
}

func TestSteadyOfNothing(t *testing.T) {
	assert.Equal(t, Open{Asked: 5}, Steady(t.Context(), Plan{Rate: 5}, nil, nil))
}
