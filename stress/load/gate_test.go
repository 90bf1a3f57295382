package load

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInFlightAgainstAModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var f InFlight
		now, peak, ended := 0, 0, 0
		for range 1000 {
			if now == 0 || random.IntN(2) == 0 {
				f.Start()
				now++
				peak = max(peak, now)
			} else {
				f.End()
				now--
				ended++
			}
			require.Equal(t, []int{now, peak, ended}, []int{f.Now(), f.Peak(), f.Ended()})
		}
	}
}

// TestPeakUnderContention has every goroutine be in flight at one instant that
// is known, while others come and go around it.
func TestPeakUnderContention(t *testing.T) {
	const goroutines, rounds = 50, 200
	var f InFlight
	for range rounds {
		var all, met sync.WaitGroup
		met.Add(goroutines)
		for range goroutines {
			all.Go(func() {
				f.Start()
				met.Done()
				met.Wait() // here all are in flight
				f.End()
			})
		}
		all.Wait()
		require.Equal(t, goroutines, f.Peak())
		require.Zero(t, f.Now())
	}
	assert.Equal(t, goroutines*rounds, f.Ended())
}

func TestBurstCountsItsPeak(t *testing.T) {
	for _, n := range []int{1, 2, 1000} {
		synctest.Test(t, func(t *testing.T) {
			calls := make([]atomic.Int32, n)
			out := Burst(t.Context(), n, nil, func(i int, g *Gate) {
				calls[i].Add(1)
				<-g.All()
				time.Sleep(time.Second)
			})
			assert.Equal(t, Closed{N: n, Peak: n, Took: time.Second}, out)
			for i := range calls {
				assert.EqualValues(t, 1, calls[i].Load())
			}
		})
	}
}

func TestNobodyStartsBeforeTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		out := Burst(t.Context(), 100, func(g *Gate) {
			time.Sleep(time.Hour)
			assert.Zero(t, started.Load())
			assert.Zero(t, g.Peak())
			select {
			case <-g.All():
				t.Error("all have started, it says")
			default:
			}
		}, func(int, *Gate) { started.Add(1) })
		assert.EqualValues(t, 100, started.Load())
		assert.Zero(t, out.Took, "the clock starts at the release")
	})
}

func TestBurstGivesUpAGraceAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stuck := make(chan struct{})
		out := Burst(ctx, 10, nil, func(i int, g *Gate) {
			switch {
			case i < 3:
				<-stuck
			case i < 6:
				<-ctx.Done() // obeys its context, within the grace
				time.Sleep(Grace / 2)
			}
		})
		assert.Equal(t, 3, out.Unfinished)
		assert.Equal(t, time.Minute+Grace, out.Took)
		close(stuck)
	})
}

func TestBurstThatObeysItsContextIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out := Burst(ctx, 10, nil, func(int, *Gate) { <-ctx.Done() })
		assert.Equal(t, Closed{N: 10, Peak: 10, Took: time.Minute}, out)
	})
}

// TestOperationThatEndsItsGoroutineIsCounted as testing.T.FailNow does.
func TestOperationThatEndsItsGoroutineIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := Burst(t.Context(), 2, nil, func(i int, _ *Gate) {
			if i == 0 {
				runtime.Goexit()
			}
		})
		assert.Zero(t, out.Unfinished)
	})
}

func TestEmptyBurst(t *testing.T) {
	assert.Zero(t, Burst(t.Context(), 0, nil, nil))
}
