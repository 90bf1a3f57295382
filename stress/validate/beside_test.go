package validate

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"tensile/stress/measure"
)

// pairs alternates figures of subject and control, so many times.
func pairs(n int, of ...measure.Pair) (all []measure.Pair) {
	for i := range n {
		all = append(all, of[i%len(of)])
	}
	return all
}

func TestAFigureIsJudgedBesideItsControl(t *testing.T) {
	rate := must("x", "rate", "throughput", AtLeast, 50_000, "ops/s", WithControl)
	took := must("x", "p99", "latency", Below, 100, "ms", WithControl)
	for _, c := range []struct {
		what      string
		criterion Criterion
		pairs     []measure.Pair
		want      Verdict
		doubt     bool
		note      string
	}{
		{"it meets the target", rate, pairs(8, measure.Pair{Subject: 51_000, Control: 90_000}), Passed, false, ""},
		{"with one pair", rate, pairs(1, measure.Pair{Subject: 51_000, Control: 90_000}), Passed, false, ""},
		{"only the control meets it", rate, pairs(8, measure.Pair{Subject: 30_000, Control: 60_000}), Failed, false,
			"the control did 60,000 ops/s; ratio 0.5 (0.5 to 0.5)"},
		{"seven pairs are too few", rate, pairs(7, measure.Pair{Subject: 30_000, Control: 60_000}), NotMeasured, true,
			"in doubt: the figure was 30,000 ops/s and the control did 60,000 ops/s, " +
				"but in 7 of 7 pairs only the control met the target, and in 0 only the subject"},
		{"one try decides nothing", took, pairs(1, measure.Pair{Subject: 300, Control: 20}), NotMeasured, true,
			"in 1 of 1 pairs only the control met the target"},
		{"neither meets it", rate, pairs(8, measure.Pair{Subject: 38_540, Control: 41_000}), NotMeasured, false,
			"this machine: the control does 41,000 ops/s where 50,000 are asked; the subject does 0.94 of the control"},
		{"the subject wins half of the pairs", rate, pairs(16,
			measure.Pair{Subject: 49_000, Control: 60_000}, measure.Pair{Subject: 60_000, Control: 45_000},
			measure.Pair{Subject: 48_000, Control: 60_000}, measure.Pair{Subject: 49_000, Control: 60_000}), NotMeasured, true,
			"but in 12 of 16 pairs only the control met the target, and in 4 only the subject"},
		{"more pairs settle it", rate, pairs(32,
			measure.Pair{Subject: 49_000, Control: 60_000}, measure.Pair{Subject: 60_000, Control: 45_000},
			measure.Pair{Subject: 48_000, Control: 60_000}, measure.Pair{Subject: 49_000, Control: 60_000}), Failed, false,
			"ratio 0."},
		{"more pairs would not", rate, pairs(8,
			measure.Pair{Subject: 49_000, Control: 49_500}, measure.Pair{Subject: 49_000, Control: 60_000},
			measure.Pair{Subject: 50_500, Control: 49_500}, measure.Pair{Subject: 49_000, Control: 60_000}), NotMeasured, false,
			"in doubt"},
		{
			"a time", took, pairs(8, measure.Pair{Subject: 300, Control: 20}), Failed, false,
			"the control did 20 ms; ratio 15 (15 to 15)",
		},
		{"a time of a busy machine", took, pairs(8, measure.Pair{Subject: 300, Control: 280}), NotMeasured, false,
			"this machine: the control does 280 ms where 100 are asked; the subject does 1.07 of the control"},
	} {
		got := c.criterion.Judge(measure.ComparePairs(c.pairs))
		assert.Equal(t, c.want, got.Verdict, "%s: %s", c.what, got.Note)
		assert.Equal(t, c.doubt, got.Doubt, c.what)
		assert.Contains(t, got.Note, c.note, c.what)
	}
}

// TestStallsOfTheSubjectAloneShow: every third turn is slow, which the median does
// not know. A machine that stalls strikes both.
func TestStallsOfTheSubjectAloneShow(t *testing.T) {
	took := must("x", "p99", "latency", Below, 100, "ms", WithControl)
	quick, stalled := measure.Pair{Subject: 2, Control: 2}, measure.Pair{Subject: 200, Control: 2}
	struck := measure.Pair{Subject: 2, Control: 200}
	over := func(all []measure.Pair, control float64) measure.Paired {
		m := measure.ComparePairs(all)
		m.Subject, m.Control = 150, control // of all samples
		return m
	}
	assert.True(t, took.Judge(over(pairs(8, quick, stalled, quick), 2)).Doubt)
	assert.Equal(t, Failed, took.Judge(over(pairs(24, quick, stalled, quick), 2)).Verdict)
	assert.Equal(t, NotMeasured, took.Judge(over(pairs(32, quick, stalled, struck), 2)).Verdict, "it strikes both alike")
	assert.Equal(t, NotMeasured, took.Judge(over(pairs(32, quick, stalled, quick), 180)).Verdict,
		"the control misses it too")
}

func TestASubjectFarBehindFailsOnAnyMachine(t *testing.T) {
	rate := must("x", "rate", "throughput", AtLeast, 50_000, "ops/s", WithControl)
	took := must("x", "p99", "latency", Below, 100, "ms", WithControl)
	for _, c := range []struct {
		what      string
		criterion Criterion
		pairs     []measure.Pair
		want      Verdict
		note      string
	}{
		{"level", rate, pairs(8, measure.Pair{Subject: 1000, Control: 1000}), Passed, ""},
		{"faster", rate, pairs(8, measure.Pair{Subject: 9000, Control: 1000}), Passed, ""},
		{
			"12 times slower", rate, pairs(8, measure.Pair{Subject: 1000, Control: 12_000}), Failed,
			"12 (12 to 12) times slower than the control at the same moment",
		},
		{
			"12 times slower in two pairs", rate, pairs(2, measure.Pair{Subject: 1000, Control: 12_000}), NotMeasured,
			"in doubt: 12 times slower",
		},
		{"now and then", rate, pairs(8, measure.Pair{Subject: 1000, Control: 12_000},
			measure.Pair{Subject: 1000, Control: 12_000}, measure.Pair{Subject: 1000, Control: 3000}),
			NotMeasured, "in doubt: 12 (3 to 12)"},
		{"a time", took, pairs(8, measure.Pair{Subject: 1200, Control: 100}), Failed, "12 (12 to 12) times slower"},
		{"a short time", took, pairs(8, measure.Pair{Subject: 400, Control: 100}), Passed, ""},
		{"a time within its target", took, pairs(8, measure.Pair{Subject: 90, Control: 1}), Passed, ""},
		{"far beyond the target alone", took, pairs(8, measure.Pair{Subject: 900, Control: 1}), Failed, "9 (9 to 9) times"},
	} {
		list := NewChecklist([]Criterion{slowness("x")})
		got := list.Slower("x.slowness", c.criterion.Slower(measure.ComparePairs(c.pairs)))
		assert.Equal(t, c.want, got.Verdict, "%s: %s", c.what, got)
		assert.Contains(t, got.Note, c.note, c.what)
		assert.Equal(t, c.want != NotMeasured, got.Measured != nil, c.what)
	}
	assert.Contains(t, SettableIDs(), "pooling.slowness")
}

func TestAComparedFigureIsInTheCheck(t *testing.T) {
	list := NewChecklist(Of(Pooling))
	c := list.Compare("pooling.throughput", measure.ComparePairs(pairs(8, measure.Pair{Subject: 40_000, Control: 80_000})))
	assert.Equal(t,
		"pooling.throughput: throughput of the burst must be at least 50,000 ops/s, measured was 40,000 ops/s "+
			"(the control did 80,000 ops/s; ratio 0.5 (0.5 to 0.5))", c.String())
	c = list.Compare("pooling.throughput", measure.ComparePairs(pairs(8, measure.Pair{Subject: 40_000, Control: 41_000})))
	assert.Nil(t, c.Measured, "it says nothing of the subject")
	assert.Equal(t, 41_000.0, c.Beside.Control)
	for _, p := range []measure.Pair{
		{Subject: 0, Control: 1}, {Subject: math.NaN(), Control: 1}, {Subject: math.Inf(1), Control: 1},
	} {
		c = list.Compare("pooling.throughput", measure.ComparePairs(pairs(8, p)))
		assert.Equal(t, Failed, c.Verdict, "%v", p)
		assert.Nil(t, c.Beside)
	}
}
