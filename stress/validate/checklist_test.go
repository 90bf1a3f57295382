package validate

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	here     = Conditions{Scale: BaseScale, Share: 1}
	criteria = []Criterion{
		must("x", "rate", "throughput of the burst", AtLeast, 50_000, "ops/s", WithShare),
		must("x", "delivery", "messages delivered", Equal, 100, "%"),
		must("x", "peak", "peak in flight", AtLeast, BaseScale, "operations", WithN),
		reach("x", "far", "throughput of the burst", AtLeast, 100_000, "ops/s"),
	}
)

func TestChecklistBeginsAsNotMeasured(t *testing.T) {
	l := NewChecklist(Criteria)
	for i, c := range l.Checks() {
		assert.Equal(t, NotMeasured, c.Verdict)
		assert.Nil(t, c.Measured)
		assert.Equal(t, Criteria[i], c.Criterion)
	}
	assert.Empty(t, FailedOf(l.Checks()), "what was not measured did not fail")
	for _, a := range Acceptances(l.Checks(), nil) {
		assert.Equal(t, NotMeasured, a.Verdict, "and did not pass: %s", a.Name)
	}
}

func TestTheVerdictFollowsFromTheFigure(t *testing.T) {
	l := NewChecklist(criteria)
	c := l.Measure("x.rate", 61_234, here)
	assert.Equal(t, Passed, c.Verdict)
	assert.Equal(t, 61_234.0, *c.Measured)
	c = l.Measure("x.rate", 49_999, here)
	assert.Equal(t, Failed, c.Verdict, "measured again")
	assert.Equal(t, c, l.Checks()[0])
	c = l.Leave("x.rate", NotMeasured, "the race detector slows down")
	assert.Equal(t, NotMeasured, c.Verdict)
	assert.Nil(t, c.Measured, "a figure that does not count is not shown")
}

// TestTargetsAreScaledOnce, however often they are measured.
func TestTargetsAreScaledOnce(t *testing.T) {
	l := NewChecklist(criteria)
	half := Conditions{Scale: BaseScale, Share: 0.5}
	for range 3 {
		c := l.Measure("x.rate", 30_000, half)
		assert.Equal(t, 12_500.0, c.Target)
		assert.Equal(t, Passed, c.Verdict)
	}
	c := l.Measure("x.rate", 30_000, here)
	assert.Equal(t, 50_000.0, c.Target)
	assert.Empty(t, c.Note)
	c = l.Leave("x.rate", NotOffered, "")
	assert.Equal(t, criteria[0], c.Criterion)
}

func TestNoFigureNeverPasses(t *testing.T) {
	for _, figure := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, criterion := range criteria {
			l := NewChecklist(criteria)
			c := l.Measure(criterion.ID, figure, here)
			assert.Equal(t, Failed, c.Verdict)
			assert.Nil(t, c.Measured)
			assert.Contains(t, c.String(), fmt.Sprintf("failed (the figure was %g)", figure))
			_, err := json.Marshal(c)
			assert.NoError(t, err, "the report must be written all the same")
		}
	}
}

func TestFigureFromAMachineThatLeftNothingIsNotJudged(t *testing.T) {
	for _, share := range []float64{0, 0.05, math.NaN()} {
		l := NewChecklist(criteria)
		c := l.Measure("x.rate", 10, Conditions{Scale: BaseScale, Share: share})
		assert.Equal(t, NotMeasured, c.Verdict)
		assert.Contains(t, c.Note, "the figure was 10 ops/s")
		c = l.Measure("x.delivery", 99, Conditions{Scale: BaseScale, Share: share})
		assert.Equal(t, Failed, c.Verdict, "what was lost was lost")
	}
}

// TestEveryCheckEncodes: no figure, scale or share makes one that results.json
// cannot hold.
func TestEveryCheckEncodes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	l := NewChecklist(Criteria)
	for range 3000 {
		c := l.Measure(Criteria[random.IntN(len(Criteria))].ID, math.Float64frombits(random.Uint64()),
			Conditions{Scale: int(random.Int32()), Share: random.Float64()})
		text, err := json.Marshal(c)
		require.NoError(t, err, "%+v", c)
		var back Check
		require.NoError(t, json.Unmarshal(text, &back))
		known := Known(back.ID)
		back.Metric, back.Part = known.Metric, known.Part // which the file does not have
		require.Equal(t, c, back)
		require.Equal(t, c.Verdict == Passed, c.Measured != nil && c.Comparison.holds(*c.Measured, c.Target))
	}
}

func TestMistakesOfTheProgramPanic(t *testing.T) {
	l := NewChecklist(criteria)
	assert.PanicsWithValue(t, `validate: no criterion "x.unknown"`, func() { l.Measure("x.unknown", 1, here) })
	assert.PanicsWithValue(t, `validate: no criterion "x.unknown"`, func() { l.Leave("x.unknown", NotMeasured, "") })
	for _, v := range []Verdict{Passed, Failed, "", "fine"} {
		assert.PanicsWithValue(t, fmt.Sprintf("validate: x.rate can not be left %q: only a figure passes or fails", v),
			func() { l.Leave("x.rate", v, "") })
	}
}

func TestCheckReadsLikeASentence(t *testing.T) {
	l := NewChecklist(criteria)
	for _, c := range []struct {
		check Check
		want  string
	}{
		{l.Checks()[0], "x.rate: throughput of the burst must be at least 50,000 ops/s: not measured"},
		{
			l.Measure("x.rate", 41_200, here),
			"x.rate: throughput of the burst must be at least 50,000 ops/s, measured was 41,200 ops/s",
		},
		{
			l.Measure("x.rate", 12_000, Conditions{BaseScale, 0.5}),
			"x.rate: throughput of the burst must be at least 12,500 ops/s, measured was 12,000 ops/s " +
				"(target 50,000 adjusted: other work held 50 % of the processors)",
		},
		{
			l.Measure("x.far", 41_200, here),
			"x.far: throughput of the burst should reach at least 100,000 ops/s, measured was 41,200 ops/s",
		},
		{
			l.Leave("x.far", NotOffered, "no burst"),
			"x.far: throughput of the burst should reach at least 100,000 ops/s: not offered (no burst)",
		},
		{
			l.Measure("x.delivery", 50, here),
			"x.delivery: messages delivered must be exactly 100 %, measured was 50 %",
		},
		{ // one message in a million must not read as none
			l.Measure("x.delivery", 99.9999, here),
			"x.delivery: messages delivered must be exactly 100 %, measured was 99.9999 %",
		},
		{
			l.Measure("x.delivery", 100, here),
			"x.delivery: messages delivered must be exactly 100 %, measured was 100 %",
		},
	} {
		assert.Equal(t, c.want, c.check.String())
	}
}

// told keeps what testify says.
type told struct{ messages []string }

func (f *told) Errorf(format string, args ...any) {
	f.messages = append(f.messages, fmt.Sprintf(format, args...))
}

func TestAssertSaysWhatWasMissed(t *testing.T) {
	l := NewChecklist(criteria)
	l.Measure("x.rate", 41_200, here)
	l.Measure("x.delivery", 100, here)
	l.Measure("x.far", 41_200, here) // not reached, which is no failure
	var f told
	assert.False(t, Assert(&f, l.Checks()))
	require.Len(t, f.messages, 1)
	assert.Contains(t, f.messages[0],
		"x.rate: throughput of the burst must be at least 50,000 ops/s, measured was 41,200 ops/s")
	assert.Contains(t, f.messages[0], "Error Trace:", "by testify")

	l.Measure("x.rate", 50_000, here)
	f = told{}
	assert.True(t, Assert(&f, l.Checks()))
	assert.Empty(t, f.messages)
}

func TestChecklistIsSafeForConcurrentUse(t *testing.T) {
	l := NewChecklist(criteria)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				l.Measure(criteria[i%len(criteria)].ID, float64(n), here)
				l.Leave(criteria[n%len(criteria)].ID, NotMeasured, "")
				for _, c := range l.Checks() {
					if c.Verdict == NotMeasured && c.Measured != nil {
						t.Error("half a change was seen")
					}
				}
			}
		})
	}
	all.Wait()
}

func TestChecksAreACopy(t *testing.T) {
	l := NewChecklist(criteria)
	l.Checks()[0].Verdict = Passed
	assert.Equal(t, NotMeasured, l.Checks()[0].Verdict)
	of := Of(Pooling)
	of[0].Target = 0
	assert.NotEqual(t, of[0], Of(Pooling)[0])
}

// TestAcceptancesAgainstTheirDefinition for checks with verdicts at random.
func TestAcceptancesAgainstTheirDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	verdicts := []Verdict{Passed, Passed, Passed, Passed, NotOffered, NotOffered, NotMeasured, Failed}
	seen := map[Verdict]int{}
	for range 600 {
		checks := NewChecklist(Criteria).Checks()
		most := 4 + random.IntN(5) // so that some runs are flawless
		for i := range checks {
			checks[i].Verdict = verdicts[random.IntN(min(most, len(verdicts)))]
		}
		var broken []string
		if random.IntN(10) == 0 {
			broken = append(broken, Scenarios[random.IntN(len(Scenarios))].ID)
		}
		got := Acceptances(checks, broken)
		require.Len(t, got, 6)
		for i, a := range got {
			assert.Equal(t, i+1, a.Number)
			passed, failed, missing := false, false, false
			for _, scenario := range acceptances[i].scenarios {
				for _, b := range broken {
					failed = failed || b == scenario
				}
				for _, c := range checks {
					if c.Scenario == scenario && c.Kind == Must {
						passed = passed || c.Verdict == Passed
						failed = failed || c.Verdict == Failed
						missing = missing || c.Verdict == NotMeasured
					}
				}
			}
			want := Passed
			if failed {
				want = Failed
			} else if missing || !passed {
				want = NotMeasured
			}
			require.Equal(t, want, a.Verdict, a.Name)
			require.Equal(t, want == Passed, a.Note == "", "a note where it did not pass")
			seen[want]++
		}
	}
	for _, v := range []Verdict{Passed, Failed, NotMeasured} {
		assert.Greater(t, seen[v], 10, v)
	}
}

func TestAcceptanceNamesAFewOfMany(t *testing.T) {
	checks := NewChecklist(Criteria).Checks()
	note := Acceptances(checks, nil)[0].Note
	assert.True(t, strings.HasPrefix(note, "not measured: formation.views, "), note)
	assert.Regexp(t, ` and \d+ more$`, note)
	for i := range checks {
		checks[i].Verdict = NotOffered
	}
	assert.Equal(t, "nothing of it was measured", Acceptances(checks, nil)[1].Note)
	assert.Equal(t, "failed: balancing", Acceptances(checks, []string{Balancing})[1].Note)
}

func TestATimeShorterThanTheTurnsOfOthersIsNotJudgedBesideThem(t *testing.T) {
	short := must("x", "mean", "mean latency", Below, 3, "ms", WithShare)
	l := NewChecklist([]Criterion{short})
	assert.Equal(t, Failed, l.Measure("x.mean", 4, Conditions{Scale: BaseScale, Share: 1}).Verdict)
	assert.Equal(t, NotMeasured, l.Measure("x.mean", 4, Conditions{Scale: BaseScale, Share: 0.8}).Verdict)
}
