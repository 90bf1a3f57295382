package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aclements/go-moremath/stats"

	"tensile/stress/report/chart"
	"tensile/stress/validate"
)

// Comparison is a run beside earlier ones.
type Comparison struct {
	Baseline string   `json:"baseline"` // where it was read from
	Runs     int      `json:"baseline_runs"`
	Bound    *float64 `json:"bound_percent"`   // for a change for the worse, beyond which it fails the run; nil for none
	Notes    []string `json:"notes,omitempty"` // what else changed
	// Figures are those that were measured on both sides.
	Figures []Difference `json:"figures"`
	// Missing are those of the scenarios that ran which only the baseline has.
	Missing []string `json:"missing,omitempty"`
}

// Difference is a figure on both sides.
type Difference struct {
	Scenario string    `json:"scenario"`
	Figure   string    `json:"figure"`
	Unit     string    `json:"unit"`
	Better   string    `json:"better"` // "higher" or "lower"
	Before   []float64 `json:"before"`
	After    []float64 `json:"after"`
	// Change is that of the median in percent of the one before; nil if that
	// was 0.
	Change *float64 `json:"change_percent"`
	// P is how likely a difference as large would be if there were none; nil for
	// too few values, or if all are the same.
	P         *float64 `json:"p"`
	Verdict   Change   `json:"verdict"`
	Regressed bool     `json:"regressed"` // it fails the run
	Note      string   `json:"note,omitempty"`
}

// Change says what a Difference shows.
type Change string

// The changes. With fewer than four values on a side nothing can be shown: five
// of a hundred differences as large would be chance.
const (
	Better  Change = "better"
	Worse   Change = "worse"
	Same    Change = "no difference shown"
	Unknown Change = "too few to tell"
)

const (
	// significance is the probability of chance below which a difference counts
	// as shown, as in benchstat.
	significance = 0.05
	fewest       = 4
)

// Compare puts a run beside a baseline. bound is the change for the worse, in
// percent of the median before, beyond which a figure has regressed; nil for
// none. Where both sides have four values or more, it also takes a Mann-Whitney
// U-test to tell it from chance, as benchstat does; with fewer the bound alone
// decides.
func Compare(b *Baseline, r *Run, bound *float64) *Comparison {
	c := &Comparison{Baseline: b.source, Runs: b.runs, Bound: bound, Figures: []Difference{}}
	now := newSamples()
	now.addRun(r, func(s *Scenario) bool { return s.State != NotRun })
	ran := make(map[string]bool)
	for _, s := range now.all {
		ran[s.scenario] = true
		if before := b.figures.index[s.scenario+"."+s.name]; before != nil {
			d := difference(before, s, bound)
			ratio := s.scenario + "." + s.ratio
			if d.Regressed && b.figures.index[ratio] != nil && now.index[ratio] != nil {
				d.Regressed, d.Note = false, "not judged: its ratio to the control's is"
			}
			c.Figures = append(c.Figures, d)
		}
	}
	for _, s := range b.figures.all {
		if id := s.scenario + "." + s.name; ran[s.scenario] && now.index[id] == nil {
			c.Missing = append(c.Missing, id)
		}
	}
	for i, pair := range comparable(r) {
		if b.environment != nil && b.environment[i] != pair {
			c.Notes = append(c.Notes, fmt.Sprintf("%s was %s and is %s.", pair[0], b.environment[i][1], pair[1]))
		}
	}
	return c
}

func difference(before, after *sample, bound *float64) Difference {
	d := Difference{Scenario: after.scenario, Figure: after.name, Unit: after.unit, Better: string(after.better),
		Before: before.values, After: after.values, Verdict: Same}
	old, now := chart.Median(before.values), chart.Median(after.values)
	worse := now > old
	if after.better == higher {
		worse = now < old
	}
	beyond := worse && old == 0
	if old != 0 {
		change := 100 * (now - old) / old
		d.Change = &change
		beyond = worse && bound != nil && max(change, -change) > *bound
	}
	few := min(len(before.values), len(after.values)) < fewest
	switch p, ok := mannWhitney(before.values, after.values); {
	case few && old != now:
		d.Verdict = Unknown
	case !ok:
	default:
		d.P = &p
		if p < significance && old != now {
			d.Verdict = map[bool]Change{true: Worse, false: Better}[worse]
		}
	}
	if bound == nil || !beyond || d.Verdict == Same {
		return d
	}
	switch disturbed := before.disturbed + after.disturbed; {
	case !after.judged:
		d.Note = "shown, and not judged: it comes from too little"
	case disturbed > 0:
		d.Note = fmt.Sprintf("not judged: other work held the processors in %d of %d runs",
			disturbed, len(before.values)+len(after.values))
	default:
		d.Regressed = true
		if few {
			d.Note = fmt.Sprintf("by the bound alone: a test for chance takes %d values on each side", fewest)
		}
	}
	return d
}

// mannWhitney returns the probability of both sides being as different as they
// are, or more, by chance. ok is false if that cannot be said.
func mannWhitney(before, after []float64) (p float64, ok bool) {
	result, err := stats.MannWhitneyUTest(before, after, stats.LocationDiffers)
	if err != nil {
		return 0, false
	}
	return result.P, true
}

// String is the difference as a sentence.
func (d Difference) String() string {
	text := fmt.Sprintf("%s.%s: %s was %s and is %s", d.Scenario, d.Figure, d.better(), d.median(d.Before),
		d.median(d.After))
	var remarks []string
	for _, r := range []string{d.change(), d.chance(), d.Note} {
		if r != "" {
			remarks = append(remarks, r)
		}
	}
	if len(remarks) > 0 {
		text += " (" + strings.Join(remarks, ", ") + ")"
	}
	return text
}

func (d Difference) better() string { return d.Better + " is better, it" }

func (d Difference) median(values []float64) string {
	switch m := chart.Median(values); d.Unit {
	case "ns":
		return duration(m)
	case "bytes":
		return chart.Short(m) + "B"
	default:
		return validate.With(m, d.Unit)
	}
}

func (d Difference) change() string {
	if d.Change == nil {
		return ""
	}
	return fmt.Sprintf("%+.1f %%", *d.Change)
}

func (d Difference) chance() string {
	if d.P == nil {
		return ""
	}
	return fmt.Sprintf("p = %.3f, n = %d and %d", *d.P, len(d.Before), len(d.After))
}

// Regressions are the differences of one scenario that fail the run: of all its
// tests where test is "".
func (c *Comparison) Regressions(scenario, test string) []Difference {
	return slices.DeleteFunc(slices.Clone(c.Figures), func(d Difference) bool {
		return !d.Regressed || d.Scenario != scenario && d.Scenario != scenario+"/test="+test
	})
}

// differenceRow is a difference in words.
type differenceRow struct {
	Figure, Before, Now, Change, Chance, Verdict, Note string
}

// regressed is the verdict of a difference that fails the run.
const regressed = "regressed"

func (c *Comparison) rows() []differenceRow {
	var rows []differenceRow
	for _, d := range c.Figures {
		r := differenceRow{
			Figure: d.Scenario + "." + d.Figure, Before: d.median(d.Before), Now: d.median(d.After),
			Change: d.change(), Chance: d.chance(), Verdict: string(d.Verdict), Note: d.Note,
		}
		if d.Regressed {
			r.Verdict = regressed
		}
		rows = append(rows, r)
	}
	return rows
}

// sentence says what is compared, and by which rule.
func (c *Comparison) sentence() string {
	n := 0
	for _, d := range c.Figures {
		if d.Regressed {
			n++
		}
	}
	text := fmt.Sprintf("%s, of %d %s: %d figures compared by their medians. ", c.Baseline, c.Runs,
		map[bool]string{true: "run", false: "runs"}[c.Runs == 1], len(c.Figures))
	if c.Bound == nil {
		return text + "Nothing is judged: no bound was set."
	}
	return text + fmt.Sprintf("%d have become worse by more than %.3g %%.", n, *c.Bound)
}

// remarks are what a reader of the differences must know besides.
func (c *Comparison) remarks() []string {
	remarks := c.Notes
	if len(c.Missing) > 0 {
		remarks = append(slices.Clone(remarks), "Measured before and not now: "+strings.Join(c.Missing, ", ")+".")
	}
	return remarks
}
