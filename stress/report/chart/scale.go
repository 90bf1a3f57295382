package chart

import (
	"math"
	"strconv"
)

// Scale is one axis of a Plot.
type Scale struct {
	Name string
	Log  bool                 // for values above 0 only
	Text func(float64) string // of a value on the axis and in the table; nil for Short
	// Ticks are where lines are drawn across; nil for round values.
	Ticks []float64
	// From and To widen the axis beyond what is drawn; equal for not at all.
	From, To float64
}

func (s Scale) text(x float64) string {
	if s.Text != nil {
		return s.Text(x)
	}
	return Short(x)
}

// most is far beyond every figure; so far nothing overflows.
const most = 1e100

// drawable tells whether a value has a place on the axis.
func (s Scale) drawable(x float64) bool {
	return math.Abs(x) < most && (!s.Log || x > 1/most) // false for NaN
}

// axis is a Scale with the range of what is drawn, laid on a stretch of pixels.
type axis struct {
	Scale
	low, high  float64 // values
	start, end float64 // where they are drawn
}

// spread covers all values and the ticks around them. It returns false if
// there is nothing to cover.
func (s Scale) spread(values []float64, count int) (axis, bool) {
	a := axis{Scale: s, low: math.Inf(1), high: math.Inf(-1)}
	cover := func(x float64) {
		if s.drawable(x) {
			a.low, a.high = min(a.low, x), max(a.high, x)
		}
	}
	for _, x := range values {
		cover(x)
	}
	if a.low > a.high {
		return a, false
	}
	if s.From != s.To {
		cover(s.From)
		cover(s.To)
	}
	size := max(math.Abs(a.low), math.Abs(a.high))
	if a.high-a.low <= max(1e-9*size, 1/most) { // the same, for all that can be seen
		switch {
		case s.Log:
			a.low, a.high = a.low/2, a.high*2
		case size <= 1/most:
			a.high = 1
		default:
			a.low, a.high = min(a.low, 0), max(a.high, 0)
		}
	}
	if a.Ticks == nil {
		a.Ticks = a.round(count)
		a.low, a.high = min(a.low, a.Ticks[0]), max(a.high, a.Ticks[len(a.Ticks)-1])
	}
	return a, true
}

// round picks about count round values from the lowest one not above low to the
// highest one not below high.
func (a axis) round(count int) []float64 {
	if a.Log {
		return a.roundLog(count)
	}
	step := roundStep((a.high - a.low) / float64(count))
	var ticks []float64
	for i := math.Floor(a.low / step); ; i++ {
		ticks = append(ticks, i*step)
		if i*step >= a.high-step*1e-9 {
			return ticks
		}
	}
}

// roundStep is the smallest of 1, 2 and 5 by a power of ten that is not below x.
func roundStep(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*unit >= x*(1-1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}

func (a axis) roundLog(count int) []float64 {
	first, last := math.Floor(math.Log10(a.low)), math.Ceil(math.Log10(a.high))
	every := max(math.Ceil((last-first)/float64(count+1)), 1)
	parts := []float64{1}
	if last-first <= 2 {
		parts = []float64{1, 2, 5}
	}
	var ticks []float64
	for e := first; ; e += every {
		for _, part := range parts {
			x := part * math.Pow(10, e)
			if len(ticks) > 0 && ticks[len(ticks)-1] >= a.high {
				return ticks
			}
			if len(parts) > 1 && x*2.5 <= a.low { // the next one is not above low either
				continue
			}
			ticks = append(ticks, x)
		}
	}
}

// on lays the axis on a stretch; start may be above end.
func (a axis) on(start, end float64) axis {
	a.start, a.end = start, end
	return a
}

// at is where a value is drawn. Values outside are drawn at the edge.
func (a axis) at(x float64) float64 {
	low, high := a.low, a.high
	if a.Log {
		low, high, x = math.Log(low), math.Log(high), math.Log(x)
	}
	part := min(max((x-low)/(high-low), 0), 1)
	return a.start + part*(a.end-a.start)
}

// Short writes a value with three digits and a prefix: 12.5K, 3M.
func Short(x float64) string {
	for _, p := range []struct {
		unit float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "K"}} {
		if math.Abs(x) >= p.unit*(1-5e-4) {
			return Plain(x/p.unit) + p.name
		}
	}
	return Plain(x)
}

// Plain writes a value with three significant digits, all of them from 100 on,
// and none that say nothing.
func Plain(x float64) string {
	if math.Abs(x) >= 100 {
		return strconv.FormatFloat(math.Round(x), 'f', -1, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
	if err != nil {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	if math.Abs(rounded) < 1e-4 && rounded != 0 {
		return strconv.FormatFloat(rounded, 'g', -1, 64)
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
