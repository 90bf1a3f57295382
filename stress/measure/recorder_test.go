package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nearestRank is the definition itself: the smallest sample that at least
// perMille of a thousand samples do not exceed.
func nearestRank(samples []int64, perMille int) int64 {
	for _, candidate := range slices.Sorted(slices.Values(samples)) {
		notAbove := 0
		for _, s := range samples {
			if s <= candidate {
				notAbove++
			}
		}
		if notAbove*1000 >= perMille*len(samples) {
			return candidate
		}
	}
	return 0
}

func TestPercentileByItsDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		samples := make([]int64, random.IntN(130))
		for i := range samples {
			samples[i] = random.Int64N(50) // often the same
		}
		sorted := slices.Sorted(slices.Values(samples))
		for perMille := 1; perMille <= 1000; perMille += 1 + random.IntN(20) {
			require.Equal(t, nearestRank(samples, perMille), percentile(sorted, perMille),
				"%d of a thousand of %v", perMille, sorted)
		}
		require.Equal(t, nearestRank(samples, 1000), percentile(sorted, 1000))
	}
}

// TestPercentileOfManySamples where floating point is off by one.
func TestPercentileOfManySamples(t *testing.T) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		samples := make([]int64, n)
		for i := range samples {
			samples[i] = int64(i + 1)
		}
		for _, perMille := range []int{1, 500, 950, 990, 999, 1000} {
			assert.Equal(t, int64(n/1000*perMille), percentile(samples, perMille))
		}
	}
	assert.Zero(t, percentile(nil, 500))
	assert.EqualValues(t, 7, percentile([]int64{7}, 1))
}

func TestLatencyOfEverySample(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		n := 1 + random.IntN(200)
		r := NewRecorder(n)
		var samples []int64
		failures := 0
		for i := range n {
			switch random.IntN(4) {
			case 0:
				failures++
				r.slots[i] = slot{ended: 1, latency: failed}
			case 1: // not ended
			default:
				samples = append(samples, random.Int64N(1e9))
				r.slots[i] = slot{ended: 1, latency: samples[len(samples)-1]}
			}
		}
		got := r.Latency()
		assert.Equal(t, len(samples), got.N)
		assert.Equal(t, failures, got.Failed)
		if len(samples) == 0 {
			assert.Equal(t, Latency{Failed: failures}, got)
			continue
		}
		sum, squares := 0.0, 0.0
		for _, s := range samples {
			sum += float64(s)
		}
		mean := sum / float64(len(samples))
		for _, s := range samples {
			squares += (float64(s) - mean) * (float64(s) - mean)
		}
		assert.InEpsilon(t, mean+1, got.Mean+1, 1e-9)
		assert.InEpsilon(t, math.Sqrt(squares/float64(len(samples)))+1, got.StdDev+1, 1e-9)
		assert.Equal(t, slices.Min(samples), got.Min)
		assert.Equal(t, nearestRank(samples, 500), got.P50)
		assert.Equal(t, nearestRank(samples, 950), got.P95)
		assert.Equal(t, nearestRank(samples, 990), got.P99)
		assert.Equal(t, nearestRank(samples, 999), got.P999)
		assert.Equal(t, slices.Max(samples), got.Max)
	}
}

func TestRecorderCountsFromTheIntendedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(3)
		time.Sleep(time.Hour) // before the load
		r.Begin(time.Now())
		time.Sleep(30 * time.Millisecond)
		r.Done(0, int64(10*time.Millisecond))
		r.Done(1, int64(40*time.Millisecond)) // ended before it was due: no negative latency
		time.Sleep(70 * time.Millisecond)
		r.Failed(2)
		l := r.Latency()
		assert.Equal(t, 2, l.N)
		assert.Equal(t, 1, l.Failed)
		assert.EqualValues(t, 20*time.Millisecond, l.Max)
		assert.Zero(t, l.Min)
		assert.EqualValues(t, 100*time.Millisecond, r.Took())
		assert.InDelta(t, 20, r.Throughput(), 1e-9, "two succeeded in a tenth of a second")
	})
}

func TestEmptyRecorder(t *testing.T) {
	for _, n := range []int{0, 5} {
		r := NewRecorder(n)
		assert.Zero(t, r.Latency())
		assert.Zero(t, r.Took())
		assert.Zero(t, r.Throughput())
		assert.Empty(t, r.Series())
	}
}

// TestSeriesShowsAStall: parts in which nothing ends are there, with zeros.
func TestSeriesShowsAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(5)
		r.Begin(time.Now())
		time.Sleep(15 * time.Second)
		r.Done(0, 0)
		r.Done(1, int64(10*time.Second))
		time.Sleep(58 * time.Second)
		r.Done(2, int64(72*time.Second))
		r.Failed(3)
		series := r.Series()
		require.Len(t, series, 74, "one that never ended is in no part")
		for i, bin := range series {
			want := Bin{At: float64(i), Width: 1}
			switch i {
			case 15:
				want.Ended, want.P50, want.P99, want.Max = 2, 5e9, 15e9, 15e9
			case 73:
				want.Ended, want.Failed, want.P50, want.P99, want.Max = 2, 1, 1e9, 1e9, 1e9
			}
			assert.Equal(t, want, bin)
		}
	})
}

func TestWidthOfASeries(t *testing.T) {
	for last, want := range map[time.Duration]time.Duration{
		1:                        time.Millisecond,
		100*time.Millisecond - 1: time.Millisecond,
		100 * time.Millisecond:   2 * time.Millisecond,
		300 * time.Millisecond:   5 * time.Millisecond,
		time.Second:              20 * time.Millisecond,
		24 * time.Hour:           1000 * time.Second,
		100*1000*time.Second - 1: 1000 * time.Second,
		100 * 1000 * time.Second: 2000 * time.Second,
	} {
		assert.Equal(t, want, time.Duration(binWidth(int64(last))), last)
	}
}

// TestCurve: every point is what its definition says, from the smallest sample
// to the largest, and the tail is as detailed as the rest.
func TestCurve(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 2, 3, 10, 999, 100_000} {
		samples := make([]int64, n)
		for i := range samples {
			samples[i] = random.Int64N(1000)
		}
		l := Summarize(samples, 3)
		assert.Equal(t, 3, l.Failed)
		require.NotEmpty(t, l.Curve)
		assert.Equal(t, Quantile{n - 1, l.Min}, l.Curve[0])
		assert.Equal(t, Quantile{0, l.Max}, l.Curve[len(l.Curve)-1])
		for i, q := range l.Curve {
			assert.Equal(t, samples[n-1-q.Above], q.NS)
			if i > 0 {
				assert.Less(t, q.Above, l.Curve[i-1].Above)
			}
		}
		assert.Less(t, len(l.Curve), 60)
	}
	l := Summarize(make([]int64, 100_000), 0)
	inTail := 0
	for _, q := range l.Curve {
		if q.Above < 100 {
			inTail++
		}
	}
	assert.Greater(t, inTail, 12, "points in the slowest thousandth")
}

func TestSlotsAreWrittenConcurrently(t *testing.T) {
	const n = 10_000
	r := NewRecorder(n)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := g; i < n; i += 8 {
				if i%10 == 0 {
					r.Failed(i)
				} else {
					r.Done(i, 0)
				}
			}
		})
	}
	all.Wait()
	l := r.Latency()
	assert.Equal(t, n*9/10, l.N)
	assert.Equal(t, n/10, l.Failed)
	ended := 0
	for _, s := range r.Series() {
		ended += s.Ended
	}
	assert.Equal(t, n, ended)
}

func TestRecordingMakesNoGarbage(t *testing.T) {
	r := NewRecorder(1)
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.Done(0, 0) }))
	l := NewLedger(1, 1, 1)
	assert.Zero(t, testing.AllocsPerRun(100, func() { l.Send(0, 0); l.Arrive(0, 0, true) }))
}
