package measure

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPowerLaw(t *testing.T) {
	x := []float64{1e3, 1e4, 1e5, 1e6}
	for _, e := range []float64{0, 0.5, 1, 2} {
		y := make([]float64, len(x))
		for i := range x {
			y[i] = 7 * math.Pow(x[i], e)
		}
		got := PowerLaw(x, y)
		require.NotNil(t, got)
		assert.InDelta(t, e, *got, 1e-9)
	}
	assert.Nil(t, PowerLaw(x[:2], x[:2]), "two points fit anything")
	assert.Nil(t, PowerLaw(x, []float64{1, 2, 0, 4}))
	assert.Nil(t, PowerLaw([]float64{5, 5, 5}, []float64{1, 2, 3}))
}

func TestFitUSL(t *testing.T) {
	law := USL{Lambda: 1000, Sigma: 0.05, Kappa: 0.002}
	processors := []float64{1, 2, 4, 8, 16}
	rates := make([]float64, len(processors))
	for i, p := range processors {
		rates[i] = law.Lambda * p / (1 + law.Sigma*(p-1) + law.Kappa*p*(p-1))
	}
	got := FitUSL(processors, rates)
	require.NotNil(t, got)
	assert.InDelta(t, law.Lambda, got.Lambda, 1e-6)
	assert.InDelta(t, law.Sigma, got.Sigma, 1e-9)
	assert.InDelta(t, law.Kappa, got.Kappa, 1e-9)
	assert.Nil(t, FitUSL(processors[:2], rates[:2]), "two points leave one parameter free")
	assert.Nil(t, FitUSL(processors[1:], rates[1:]), "there is no figure for one processor")
}
