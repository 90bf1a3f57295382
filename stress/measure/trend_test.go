package measure

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestStudent(t *testing.T) {
	for freedom, want := range map[float64]float64{
		0.5: 12.706, 1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 8: 2.306, 10: 2.228, 30: 2.042, 1e6: 1.960,
	} {
		assert.InEpsilon(t, want, student95(freedom), 0.003, "%v degrees of freedom", freedom)
	}
	assert.Greater(t, student95(1.5), student95(2))
}

func TestFitTrend(t *testing.T) {
	at := []float64{0, 1, 2, 3, 4, 5, 6, 7}
	line := make([]float64, len(at))
	for i, x := range at {
		line[i] = 5 + 3*x
	}
	fit := FitTrend(at, line)
	assert.InDelta(t, 3, fit.Slope, 1e-12)
	assert.InDelta(t, 3, fit.Low, 1e-9)
	assert.InDelta(t, 3, fit.High, 1e-9)
	assert.True(t, fit.Rises(2.9))
	assert.False(t, fit.Rises(3.1))

	// The textbook's interval where samples alternate, and so are independent.
	noisy := []float64{1, -1, 1, -1, 1, -1, 1, -1}
	fit = FitTrend(at, noisy)
	assert.Equal(t, 8.0, fit.Independent)
	slope, rest := leastSquares(at, noisy)
	squares := 0.0
	for _, r := range rest {
		squares += r * r
	}
	assert.InDelta(t, slope+2.447*math.Sqrt(squares/6/42), fit.High, 0.01)

	assert.Equal(t, Trend{}, FitTrend(at[:5], line[:5]))
	assert.False(t, Trend{}.Rises(0))
}

// TestRises draws heaps of many shapes: those that only look like growth must
// not be taken for it, and growth must not hide behind noise.
func TestRises(t *testing.T) {
	const n, rounds = 24, 2000
	saw := func(period float64) func(*rand.Rand) []float64 {
		return func(r *rand.Rand) []float64 {
			y, phase := make([]float64, n), r.Float64()
			for i := range y {
				_, y[i] = math.Modf(float64(i)/period + phase)
				y[i] += 0.05 * r.NormFloat64()
			}
			return y
		}
	}
	noise := func(carry float64) func(*rand.Rand) []float64 {
		return func(r *rand.Rand) []float64 {
			y := make([]float64, n)
			for i := range y {
				y[i] = r.NormFloat64()
				if i > 0 {
					y[i] += carry * y[i-1]
				}
			}
			return y
		}
	}
	warm := func(tau float64) func(*rand.Rand) []float64 {
		return func(r *rand.Rand) []float64 {
			y := make([]float64, n)
			for i := range y {
				y[i] = -math.Exp(-float64(i)/tau) + 0.01*r.NormFloat64()
			}
			return y
		}
	}
	plus := func(slope float64, of func(*rand.Rand) []float64) func(*rand.Rand) []float64 {
		return func(r *rand.Rand) []float64 {
			y := of(r)
			for i := range y {
				y[i] += slope * float64(i)
			}
			return y
		}
	}
	for _, c := range []struct {
		name        string
		heap        func(*rand.Rand) []float64
		least, most float64 // how often it may be taken for growth
	}{
		{"white noise", noise(0), 0, 0.03},
		{"noise that lingers", noise(0.8), 0, 0.08},
		{"sawtooth, short", saw(4), 0, 0.01},
		{"sawtooth, middling", saw(8), 0, 0.02},
		{"sawtooth, long", saw(16), 0, 0.03},
		{"a step", func(r *rand.Rand) []float64 {
			y, at := make([]float64, n), r.IntN(n)
			for i := range y {
				y[i] = 0.01 * r.NormFloat64()
				if i >= at {
					y[i]++
				}
			}
			return y
		}, 0, 0.04},
		{"a cache that fills at once", warm(2), 0, 0.03},
		{"a cache that fills slowly", warm(5), 0, 0.01},
		{"a leak", plus(1, noise(0)), 1, 1},
		{"a leak behind noise", plus(1, noise(0.5)), 0.99, 1},
		{"a leak under a sawtooth", plus(0.3, saw(4)), 0.99, 1},
		{"a list that grows by a quarter", func(r *rand.Rand) []float64 {
			y, size := make([]float64, n), 5+r.Float64()
			for i := range y {
				for size < 5+float64(i) {
					size *= 1.25
				}
				y[i] = size
			}
			return y
		}, 0.99, 1},
	} {
		r := rand.New(rand.NewPCG(1, 2))
		rises := 0
		at := make([]float64, n)
		for i := range at {
			at[i] = float64(i)
		}
		for range rounds {
			if FitTrend(at, c.heap(r)).Rises(0) {
				rises++
			}
		}
		share := float64(rises) / rounds
		assert.GreaterOrEqual(t, share, c.least, c.name)
		assert.LessOrEqual(t, share, c.most, c.name)
	}
}
