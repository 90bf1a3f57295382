package measure

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCoinTail(t *testing.T) {
	for _, c := range []struct {
		n, k int
		want float64
	}{
		{0, 0, 1}, {1, 0, 1}, {1, 1, 0.5}, {1, 2, 0}, {2, 1, 0.75}, {3, 2, 0.5},
		{8, 8, 1. / 256}, {8, 7, 9. / 256}, {10, 8, 56. / 1024}, {32, 0, 1},
	} {
		assert.InDelta(t, c.want, CoinTail(c.n, c.k), 1e-12, "%d of %d", c.k, c.n)
	}
}

func TestMedianInterval(t *testing.T) {
	upTo := func(n int) (values []float64) {
		for i := range n {
			values = append(values, float64(n-i)) // in no helpful order
		}
		return values
	}
	for _, c := range []struct {
		n         int
		low, high float64
	}{
		// Rows of the table for 99 % in Conover, "Practical Nonparametric Statistics".
		{7, 0, 0}, {8, 1, 8}, {10, 1, 10}, {11, 1, 11}, {12, 2, 11}, {16, 3, 14}, {20, 4, 17}, {24, 6, 19}, {32, 9, 24},
	} {
		got := medianInterval(upTo(c.n))
		assert.Equal(t, Interval{float64(c.n+1) / 2, c.low, c.high}, got, "%d values", c.n)
		assert.Equal(t, c.n >= LeastPairs, got.Bounded())
	}
}

// TestTheIntervalHoldsTheMedian as often as it says, for a distribution that is
// anything but normal.
func TestTheIntervalHoldsTheMedian(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const rounds, median = 20_000, 0.25 // of the square of a number from 0 to 1
	for _, n := range []int{8, 16, 32} {
		held := 0
		for range rounds {
			values := make([]float64, n)
			for i := range values {
				x := random.Float64()
				values[i] = x * x
			}
			if i := medianInterval(values); i.Low <= median && median <= i.High {
				held++
			}
		}
		assert.Greater(t, float64(held)/rounds, confidence-0.002, "%d values", n)
	}
}

// TestTheRatioIsThatOfThePairs: where the machine slows down in the middle, both
// figures change by a factor of ten and the ratio does not.
func TestTheRatioIsThatOfThePairs(t *testing.T) {
	var pairs []Pair
	for i := range LeastPairs {
		speed := 1000.0
		if i >= 3 {
			speed = 100
		}
		pairs = append(pairs, Pair{Subject: 0.8 * speed, Control: speed})
	}
	c := ComparePairs(pairs)
	assert.Equal(t, 80.0, c.Subject)
	assert.Equal(t, 100.0, c.Control)
	assert.InDelta(t, 0.8, c.Ratio.Low, 1e-9)
	assert.InDelta(t, 0.8, c.Ratio.High, 1e-9)
}
