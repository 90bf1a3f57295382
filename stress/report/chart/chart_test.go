package chart

import (
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func drawing(t *testing.T, f Figure) string {
	t.Helper()
	text, err := f.HTML("one")
	require.NoError(t, err)
	return string(text)
}

func TestShortAndPlain(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 1: "1", 0.5: "0.5", 12.345: "12.3", 999: "999", 999.96: "1K", 1000: "1K", 12_500: "12.5K", 999_999: "1M",
		3e6: "3M", 2.5e9: "2.5G", -1500: "-1.5K", 0.00012: "0.00012", 1e-7: "1e-07", 123.7: "124",
	} {
		assert.Equal(t, want, Short(x), x)
	}
	assert.Equal(t, "12500", Plain(12_500))
	assert.Equal(t, "NaN", Plain(math.NaN()))
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		values []float64
		log    bool
		want   []float64
	}{
		{[]float64{0, 97}, false, []float64{0, 50, 100}},
		{[]float64{0, 100}, false, []float64{0, 50, 100}},
		{[]float64{0, 3}, false, []float64{0, 1, 2, 3}},
		{[]float64{-30, 70}, false, []float64{-50, 0, 50, 100}},
		{[]float64{7e50, 7e50 * (1 + 1e-15)}, false, []float64{0, 2e50, 4e50, 6e50, 8e50}},
		{[]float64{7}, false, []float64{0, 2, 4, 6, 8}},
		{[]float64{0}, false, []float64{0, 0.5, 1}},
		{[]float64{3, 4e4}, true, []float64{1, 10, 100, 1000, 1e4, 1e5}},
		{[]float64{120, 900}, true, []float64{100, 200, 500, 1000}},
		{[]float64{1, 1e12}, true, []float64{1, 1000, 1e6, 1e9, 1e12}},
	} {
		a, ok := Scale{Log: c.log}.spread(c.values, 4)
		require.True(t, ok)
		assert.InDeltaSlice(t, c.want, a.Ticks, 1e-6*c.want[len(c.want)-1], "%v gave %v", c.values, a.Ticks)
		assert.LessOrEqual(t, a.low, c.values[0])
		assert.GreaterOrEqual(t, a.high, c.values[len(c.values)-1])
	}
}

// TestPointsLieWhereTheyShould: the corners of the axes are the corners of the
// drawing, and what lies between is in proportion.
func TestPointsLieWhereTheyShould(t *testing.T) {
	a, _ := Scale{}.spread([]float64{0, 100}, 4)
	a = a.on(200, 0)
	assert.Equal(t, []float64{200, 150, 0}, []float64{a.at(0), a.at(25), a.at(100)})
	assert.Equal(t, 0.0, a.at(1e9), "beyond the edge")
	a, _ = Scale{Log: true}.spread([]float64{1, 10_000}, 4)
	a = a.on(0, 100)
	assert.InDeltaSlice(t, []float64{0, 25, 75, 100}, []float64{a.at(1), a.at(10), a.at(1000), a.at(10_000)}, 1e-9)
}

func TestLineHasAGapWhereAPointCannotBeDrawn(t *testing.T) {
	p := Plot{Title: "t", Y: Scale{Log: true}, Lines: []Line{{Name: "l", Area: true,
		Points: [][2]float64{{0, 1}, {1, 10}, {2, 0}, {3, math.NaN()}, {4, 100}, {5, 1000}}}}}
	f, ok := p.Figure()
	require.True(t, ok)
	path := regexp.MustCompile(`<path class="line s0" data-series="0" d="([^"]*)"`).FindStringSubmatch(drawing(t, f))
	require.NotNil(t, path)
	assert.Equal(t, 2, strings.Count(path[1], "M"), path[1])
	assert.Equal(t, 2, strings.Count(path[1], "L"), path[1])
	assert.Len(t, f.Rows, 6, "the table has them all")
}

func TestStepsHoldUntilTheNextValue(t *testing.T) {
	f, ok := Plot{Lines: []Line{{Steps: true, Points: [][2]float64{{0, 0}, {1, 100}}}}}.Figure()
	require.True(t, ok)
	const at = `([\d.]+) ([\d.]+)`
	steps := regexp.MustCompile(`<path class="line s0" data-series="0" d="M` + at + "L" + at + "L" + at + `"`)
	path := steps.FindStringSubmatch(drawing(t, f))
	require.NotNil(t, path)
	assert.Equal(t, path[2], path[4], "level until the next x")
	assert.Equal(t, path[3], path[5], "and then straight up")
	assert.NotEqual(t, path[4], path[6])
}

func TestNothingToDraw(t *testing.T) {
	for name, figure := range map[string]func() (Figure, bool){
		"no line":    Plot{}.Figure,
		"no point":   Plot{Lines: []Line{{}}}.Figure,
		"not finite": Plot{Lines: []Line{{Points: [][2]float64{{1, math.NaN()}, {math.Inf(1), 1}}}}}.Figure,
		"log of 0":   Plot{Y: Scale{Log: true}, Lines: []Line{{Points: [][2]float64{{1, 0}}}}}.Figure,
		"no part":    Deviations{}.Figure,
		"no event":   Events{}.Figure,
		"no time":    Events{Events: []Event{{At: math.NaN()}}}.Figure,
		"no series":  Strip{}.Figure,
		"no value":   Strip{Series: []Series{{Name: "x"}}}.Figure,
	} {
		_, ok := figure()
		assert.False(t, ok, name)
	}
}

func TestDeviations(t *testing.T) {
	allowed := 100.0
	f, ok := Deviations{Title: "t", Unit: "connections", Allowed: &allowed, Parts: []Part{
		{"a", 1000, 1000}, {"b", 850, 1000}, {"c", 1050, 1000}}}.Figure()
	require.True(t, ok)
	text := drawing(t, f)
	assert.Equal(t, 3, strings.Count(text, `<rect class="bar`))
	assert.Equal(t, 1, strings.Count(text, `<rect class="bar over"`), "one differs by more than is allowed")
	assert.Contains(t, f.Summary, "b differs most from its fair share of 1K, by -150")
	assert.Equal(t, []string{"c", "1.05K", "1K", "+50"}, f.Rows[2])
}

func TestEventsAreInOrderAndShadedUntilRecovery(t *testing.T) {
	f, ok := Events{X: Scale{Name: "ms"}, Events: []Event{
		{5, "recovered", "b", "back"}, {1, "fault", "a", "killed"}, {2, "fault", "b", "stopped"},
		{3, "detected", "a", "dead"},
	}}.Figure()
	require.True(t, ok)
	assert.Equal(t, []string{"1", "fault", "a", "killed"}, f.Rows[0])
	assert.Equal(t, []string{"5", "recovered", "b", "back"}, f.Rows[3])
	assert.Equal(t, 1, strings.Count(drawing(t, f), `class="outage"`), "a never recovered")
	assert.Equal(t, "4 events from 1 to 5: 2 fault, 1 detected, 1 recovered.", f.Summary)

}

// TestManyEventsHaveARowForEachTarget.
func TestManyEventsHaveARowForEachTarget(t *testing.T) {
	many := Events{Events: []Event{{0, "remark", "", "begins"}}}
	for i := range 100 {
		many.Events = append(many.Events, Event{float64(i), "fault", string(rune('a' + i%3)), "y"})
	}
	f, ok := many.Figure()
	require.True(t, ok)
	text := drawing(t, f)
	assert.Len(t, f.Rows, 101)
	assert.Equal(t, 100, strings.Count(text, `class="mark fault" transform`))
	for _, lane := range []string{">all<", ">a<", ">b<", ">c<"} {
		assert.True(t, strings.Contains(text, lane), "no row is named %s", lane)
	}
	for i := range 100 {
		many.Events = append(many.Events, Event{float64(i), "fault", strings.Repeat("z", i+2), "y"})
	}
	f, _ = many.Figure()
	assert.Equal(t, mostRows, strings.Count(drawing(t, f), `class="tick name"`), "the rest is in the table")
	assert.Contains(t, f.Note, "The first 24 of 104 targets")
	assert.Len(t, f.Rows, 201)
}

// TestIncidents: what follows a fault is that of the same target, up to its next
// fault.
func TestIncidents(t *testing.T) {
	n := Incidents{Events: []Event{
		{10, "fault", "a", "killed"}, {11, "fault", "b", "killed"}, {12, "detected", "a", ""}, {13, "detected", "a", "again"},
		{15, "recovered", "a", ""}, {20, "fault", "a", "killed"}, {21, "detected", "b", ""}, {24, "detected", "a", ""},
		{25, "recovered", "c", "was not hit"}, {26, "fault", "d", "nobody noticed"}, {27, "remark", "a", ""},
	}}
	f, ok := n.Figure()
	require.True(t, ok)
	assert.Equal(t, [][]string{{"a: killed", "2", "", "5"}, {"b: killed", "10", "", ""}, {"a: killed", "4", "", ""}},
		f.Rows)
	assert.Equal(t,
		"3 faults. 3 detected, after 4 in the median and 10 at most. 1 recovered, after 5 in the median and 5 at most.",
		f.Summary)
	assert.Equal(t, 4, strings.Count(drawing(t, f), `transform="translate(`))
	_, ok = Incidents{Events: n.Events[:1]}.Figure()
	assert.False(t, ok)
}

// TestNamesOfPostsDoNotTouch: those that are close stand on both sides and in
// two rows, and one without a place has its title.
func TestNamesOfPostsDoNotTouch(t *testing.T) {
	p := Plot{Lines: []Line{{Points: [][2]float64{{0, 0}, {100, 1}}}}}
	for i := range 6 {
		p.Posts = append(p.Posts, Post{95 + float64(i), "recovered"})
	}
	f, ok := p.Figure()
	require.True(t, ok)
	text := drawing(t, f)
	assert.Equal(t, 6, strings.Count(text, `<path class="post"`))
	assert.Equal(t, 6, strings.Count(text, "<title>recovered</title>"))
	assert.Equal(t, 2, strings.Count(text, `<text class="postname"`))
}

func TestMedian(t *testing.T) {
	assert.Zero(t, Median(nil))
	assert.Equal(t, 3.0, Median([]float64{9, 1, 3}))
	assert.Equal(t, 2.5, Median([]float64{4, 1, 2, 3}))
}

func TestStripSaysWhatIsNotMeasured(t *testing.T) {
	target := 10.0
	f, ok := Strip{Series: []Series{{"a", []float64{3, 1, 2}, &target}, {Name: "b"}}}.Figure()
	require.True(t, ok)
	assert.Equal(t, []string{"a", "2", "10", "3, 1, 2"}, f.Rows[0])
	assert.Equal(t, []string{"b", "not measured", "", ""}, f.Rows[1])
	assert.Equal(t, 3, strings.Count(drawing(t, f), `<circle class="value" cx`))
}

func TestTextIsEscaped(t *testing.T) {
	f, _ := Plot{Title: `<b>&"`, Lines: []Line{{Name: "</svg><script>", Points: [][2]float64{{1, 1}, {2, 2}}}},
		Posts: []Post{{1, "<i>"}}, Rules: []Rule{{1, "<u>"}}}.Figure()
	text := drawing(t, f)
	for _, tag := range []string{"<b>", "<script>", "<i>", "<u>"} {
		assert.NotContains(t, text, tag)
	}
	assert.Equal(t, 1, strings.Count(text, "</svg>")-strings.Count(text, `<svg class="swatch`))
}

func TestTwoFiguresShareNoID(t *testing.T) {
	f, _ := Deviations{Parts: []Part{{"a", 1, 1}}}.Figure()
	one, err := f.HTML("one")
	require.NoError(t, err)
	two, err := f.HTML("two")
	require.NoError(t, err)
	assert.NotContains(t, two, `"one`)
	assert.Equal(t, strings.ReplaceAll(string(one), `"one`, `"two`), string(two))
}

// numbers are the coordinates in a drawing.
var numbers = regexp.MustCompile(`[ ](?:x|y|x1|width|height|cx|cy)="([^"]*)"`)

// FuzzPlot: whatever the values are, what is drawn lies in the drawing.
func FuzzPlot(f *testing.F) {
	f.Add(uint64(1), 0.0, 1.0, true)
	f.Add(uint64(2), 5e-324, 1.7e308, true)
	f.Add(uint64(3), -1e300, 1e300, false)
	f.Add(uint64(37), 5e-324, 0.0, false)
	f.Add(uint64(4), 7.0, 7.0, false)
	f.Add(uint64(5), math.Inf(-1), math.NaN(), true)
	f.Fuzz(func(t *testing.T, seed uint64, a, b float64, log bool) {
		random := rand.New(rand.NewPCG(seed, 0))
		line := Line{Name: "l", Area: true, Dots: true, Points: [][2]float64{{a, b}, {b, a}, {0, 0}}}
		for range random.IntN(20) {
			line.Points = append(line.Points, [2]float64{a + random.Float64()*(b-a), a * random.Float64()})
		}
		figure, ok := Plot{X: Scale{Log: log}, Y: Scale{Log: log}, Lines: []Line{line}, Rules: []Rule{{a, "r"}},
			Posts: []Post{{b, "p"}}, Goals: []Goal{{a, b, "g"}}, Bands: []Band{{a, b, "band"}}}.Figure()
		if !ok {
			return
		}
		text := drawing(t, figure)
		for _, bad := range []string{"NaN", "Inf"} {
			if at := strings.Index(text, `"`+bad); at >= 0 {
				t.Fatalf("%s is a coordinate: %s", bad, text[at:min(at+80, len(text))])
			}
		}
		for _, n := range numbers.FindAllStringSubmatch(text, -1) {
			x, err := strconv.ParseFloat(n[1], 64)
			if err != nil || x < -1 || x > width+1 {
				t.Fatalf("%s is outside", n[0])
			}
		}
	})
}
