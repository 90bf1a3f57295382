package measure

import (
	"math"
	"slices"
)

// Trend is a straight line through samples, by least squares, with the
// uncertainty of its slope.
type Trend struct {
	Samples int     `json:"samples"`
	Slope   float64 `json:"slope"`
	// Low and High bound the slope with 95 % confidence.
	Low  float64 `json:"slope_low"`
	High float64 `json:"slope_high"`
	// Independent is how many independent samples these are worth: what is
	// above the line at one instant tends to be so at the next.
	Independent float64 `json:"independent_samples"`
	// First and Second are the slopes of the two halves.
	First  float64 `json:"first_half"`
	Second float64 `json:"second_half"`
}

// FitTrend fits a line through values over instants, or whatever else they are
// laid over. It needs six or more, and returns the zero Trend for fewer, or where
// all are at one place.
//
// Samples of a heap are not independent: a sawtooth or a slow drift puts many
// in a row on one side of the line, and the textbook interval would be far too
// narrow. So the samples count for fewer, by their correlation from one to the
// next: n (1 - r) / (1 + r), as in Santer et al., "Statistical significance of
// trends and trend differences in layer-average atmospheric temperature time
// series", Journal of Geophysical Research 105 (2000).
func FitTrend(at, values []float64) Trend {
	n := len(at)
	if n < 6 || slices.Min(at) == slices.Max(at) {
		return Trend{}
	}
	slope, rest := leastSquares(at, values)
	t := Trend{Samples: n, Slope: slope, Independent: float64(n)}
	squares, neighbours := 0.0, 0.0
	for i, r := range rest {
		squares += r * r
		if i > 0 {
			neighbours += r * rest[i-1]
		}
	}
	if squares > 0 && neighbours > 0 {
		r := neighbours / squares
		t.Independent = max(float64(n)*(1-r)/(1+r), 3)
	}
	middle := mean(at)
	spread := 0.0
	for _, x := range at {
		spread += (x - middle) * (x - middle)
	}
	freedom := t.Independent - 2
	margin := student95(freedom) * math.Sqrt(squares/freedom/spread)
	t.Low, t.High = slope-margin, slope+margin
	t.First, _ = leastSquares(at[:n/2], values[:n/2])
	t.Second, _ = leastSquares(at[n/2:], values[n/2:])
	return t
}

// Rises reports whether the values grow by more than floor, beyond noise, and keep growing.
// Values that grew and then stopped in the second half, such as those of a cache that fills,
// do not rise, and neither does a sawtooth.
func (t Trend) Rises(floor float64) bool {
	return t.Samples > 0 && t.Low > floor && t.First > 0 && t.Second > t.First/2
}

// leastSquares returns the slope of the line and what of each value it leaves.
func leastSquares(at, values []float64) (slope float64, rest []float64) {
	x0, y0 := mean(at), mean(values)
	xx, xy := 0.0, 0.0
	for i := range at {
		xx += (at[i] - x0) * (at[i] - x0)
		xy += (at[i] - x0) * (values[i] - y0)
	}
	slope = xy / xx
	rest = make([]float64, len(at))
	for i := range at {
		rest[i] = values[i] - y0 - slope*(at[i]-x0)
	}
	return slope, rest
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// student95 is the quantile of Student's t by which a 95 % interval of both
// sides is as wide: exact for one, two and three degrees of freedom and straight
// in between, and from there on within 0.3 % by the series of Abramowitz and
// Stegun, "Handbook of Mathematical Functions", 26.7.5.
func student95(freedom float64) float64 {
	table := []float64{12.706, 4.303, 3.182, 2.776}
	if i := int(freedom); i < 1 {
		return table[0]
	} else if i < len(table) {
		return table[i-1] + (table[i]-table[i-1])*(freedom-float64(i))
	}
	const x = 1.959964 // of the normal distribution
	const x2 = x * x
	inverse := 1 / freedom
	return x * (1 + inverse*((x2+1)/4+inverse*((5*x2*x2+16*x2+3)/96+
		inverse*(3*x2*x2*x2+19*x2*x2+17*x2-15)/384)))
}
