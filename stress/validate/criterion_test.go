package validate

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestComparisons(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		comparison       Comparison
		measured, target float64
		want             bool
	}{
		{AtLeast, 5, 5, true}, {AtLeast, 4.999, 5, false}, {AtLeast, 6, 5, true},
		{AtMost, 5, 5, true}, {AtMost, 5.001, 5, false}, {AtMost, -1, 5, true},
		{Below, 5, 5, false}, {Below, 4.999, 5, true}, {Below, 5.001, 5, false},
		{Equal, 5, 5, true}, {Equal, 5.000001, 5, false}, {Equal, 0, 0, true},
		{AtLeast, nan, 5, false}, {AtMost, nan, 5, false}, {Below, nan, 5, false}, {Equal, nan, nan, false},
		{AtMost, inf, 5, false}, {Below, inf, 5, false}, {Equal, inf, 5, false}, {AtLeast, -inf, 5, false},
		{"", 5, 5, false}, {"!=", 5, 6, false}, // what is no comparison never holds
	} {
		assert.Equal(t, c.want, c.comparison.holds(c.measured, c.target), "%v %s %v", c.measured, c.comparison, c.target)
	}
}

func TestTargetsScale(t *testing.T) {
	rate := must("x", "rate", "rate", AtLeast, 50_000, "ops/s", WithShare)
	took := must("x", "took", "time", Below, 100, "ms", WithShare)
	count := must("x", "count", "count", AtLeast, 100_000, "things", WithN)
	kills := must("x", "kills", "kills", AtLeast, 20, "kills", UpToBase)
	size := memoryPeak("x", "size", "size")
	fixed := must("x", "fixed", "lost", Equal, 0, "messages")
	for _, c := range []struct {
		criterion Criterion
		w         Conditions
		want      float64
		note      string
	}{
		{rate, Conditions{100_000, 1}, 50_000, ""},
		{rate, Conditions{10_000, 1}, 50_000, ""}, // a rate does not depend on N
		{rate, Conditions{100_000, 0.5}, 12_500, "target 50,000 adjusted: other work held 50 % of the processors"},
		{took, Conditions{100_000, 0.25}, 1_600, "target 100 adjusted: other work held 75 % of the processors"},
		{took, Conditions{100_000, 1}, 100, ""},
		{count, Conditions{100_000, 0.5}, 100_000, ""}, // a count does not depend on the machine
		{count, Conditions{10_000, 1}, 10_000, "target 100,000 scaled to N = 10000"},
		{count, Conditions{7, 1}, 7, "target 100,000 scaled to N = 7"},
		{count, Conditions{1_000_000, 1}, 1_000_000, "target 100,000 scaled to N = 1000000"},
		{kills, Conditions{100_000, 0.5}, 20, ""},
		{kills, Conditions{10_000, 1}, 2, "target 20 scaled to N = 10000"},
		{kills, Conditions{1_000_000, 1}, 20, ""}, // and no more beyond
		{size, Conditions{100_000, 1}, 500, ""},
		{size, Conditions{10_000, 1}, 230, "target 500 scaled to N = 10000"},        // 200 stay
		{size, Conditions{1_000_000, 1}, 5_000, "target 500 scaled to N = 1000000"}, // all of it
		{size, Conditions{1, 1}, 200.003, "target 500 scaled to N = 1"},
		{fixed, Conditions{10_000, 0.5}, 0, ""},
	} {
		got, note := c.criterion.at(c.w)
		assert.InDelta(t, c.want, got.Target, 1e-9, "%s at %+v", c.criterion.ID, c.w)
		assert.Equal(t, c.note, note)
		unchanged := c.criterion
		unchanged.Target = got.Target
		assert.Equal(t, unchanged, got, "nothing but the target changes")
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 7: "7", -7: "-7", 100: "100", 999.6: "1,000", 1000: "1,000", 1234567: "1,234,567", -1234567: "-1,234,567",
		0.5: "0.5", 1.0 / 3: "0.333", 12.345: "12.3", 99.96: "100", 123.4: "123", 1e9: "1,000,000,000",
		math.Inf(1): "+Inf", math.Inf(-1): "-Inf", math.NaN(): "NaN",
	} {
		assert.Equal(t, want, Number(x))
	}
	assert.Equal(t, "5 ms", With(5, "ms"))
	assert.Equal(t, "5", With(5, ""))
}
