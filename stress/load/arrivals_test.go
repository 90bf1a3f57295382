package load

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestConstantScheduleIsEven(t *testing.T) {
	due := Constant.Schedule(5, 1000, 1)
	assert.Equal(t, []int64{0, 1e6, 2e6, 3e6, 4e6}, due)
	// A gap that is no whole number of nanoseconds does not add up to a drift.
	due = Constant.Schedule(3_000_001, 3, 1)
	assert.Equal(t, int64(1_000_000*time.Second), due[3_000_000])
	assert.Equal(t, due, Constant.Schedule(3_000_001, 3, 2), "nothing in it is drawn")
}

func TestSameSeedSameSchedule(t *testing.T) {
	assert.Equal(t, Poisson.Schedule(1000, 500, 7), Poisson.Schedule(1000, 500, 7))
	assert.NotEqual(t, Poisson.Schedule(1000, 500, 7), Poisson.Schedule(1000, 500, 8))
}

// TestPoissonGaps compares the gaps with the exponential distribution, for
// fixed seeds: by their mean, by their deviation, which equals the mean, by the
// largest distance of the two distribution functions (Kolmogorov and Smirnov),
// and by the correlation of neighbours, which have none.
func TestPoissonGaps(t *testing.T) {
	const n, rate = 100_000, 1000.0
	mean := float64(time.Second) / rate
	for seed := range uint64(5) {
		due := Poisson.Schedule(n+1, rate, seed)
		assert.True(t, slices.IsSorted(due))
		gaps := make([]float64, n)
		sum, squares, products := 0.0, 0.0, 0.0
		for i := range gaps {
			gaps[i] = float64(due[i+1] - due[i])
			sum += gaps[i]
			squares += (gaps[i] - mean) * (gaps[i] - mean)
			if i > 0 {
				products += (gaps[i] - mean) * (gaps[i-1] - mean)
			}
		}
		assert.InEpsilon(t, mean, sum/n, 0.01)
		assert.InEpsilon(t, mean, math.Sqrt(squares/n), 0.02)
		assert.InDelta(t, 0, products/squares, 0.01, "correlation of neighbours")

		slices.Sort(gaps)
		distance := 0.0
		for i, gap := range gaps {
			expected := 1 - math.Exp(-gap/mean)
			distance = max(distance, math.Abs(expected-float64(i)/n), math.Abs(expected-float64(i+1)/n))
		}
		assert.Less(t, distance, 1.63/math.Sqrt(n), "the critical distance at a level of 1 %%")
	}
}

func TestScheduleOfExtremeRates(t *testing.T) {
	for _, a := range []Arrivals{Constant, Poisson} {
		for _, rate := range []float64{1e-300, math.SmallestNonzeroFloat64, 1e18, math.Inf(1)} {
			due := a.Schedule(100, rate, 1)
			assert.True(t, slices.IsSorted(due), "%v at %g: %v", a, rate, due)
			assert.GreaterOrEqual(t, due[0], int64(0))
		}
		for _, rate := range []float64{0, -1, math.NaN(), math.Inf(-1)} {
			assert.PanicsWithValue(t, fmt.Sprintf("load: %g arrivals a second, must be a rate above 0", rate),
				func() { a.Schedule(1, rate, 1) })
		}
	}
	assert.Empty(t, Poisson.Schedule(0, 1, 1))
}

func TestArrivalsHaveNames(t *testing.T) {
	assert.Equal(t, "constant", Constant.String())
	assert.Equal(t, "poisson", Poisson.String())
	assert.Equal(t, "Arrivals(7)", Arrivals(7).String())
}
