package report

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"tensile/stress/measure"
	"tensile/stress/report/chart"
	"tensile/stress/validate"
)

var (
	//go:embed page.html
	pageSource string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string
)

// policy lets a browser run the page's own script, and fetch nothing.
func policy() string {
	sum := sha256.Sum256([]byte(pageScript))
	return "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number":  func(n int) string { return validate.Number(float64(n)) },
	"join":    func(parts []string) string { return strings.Join(parts, " ") },
	"class":   func(state any) string { return strings.ReplaceAll(fmt.Sprint(state), " ", "-") },
	"symbol":  symbol,
	"math":    strings.NewReplacer(">=", "≥", "<=", "≤").Replace,
	"trim":    strings.TrimSpace,
	"seconds": func(s float64) string { return duration(s * 1e9) },
}).Parse(pageSource))

// writePage writes the run as one HTML file that needs nothing else: no network, no font,
// and no script but its own, without which all of it can be read.
func writePage(w io.Writer, r *Run) error {
	p := page{
		Run: r, Style: template.CSS(pageStyle), Script: template.JS(pageScript), Policy: policy(),
		Started: r.Started.Format("2 January 2006, 15:04:05 MST"),
		Scale:   validate.Number(float64(r.Environment.Scale)), Columns: columns[1:], Environment: environmentRows(r),
		Checks: checkRows(r.shown()), Replay: replay(r), Whole: r.whole(), Idle: r.idle(),
	}
	p.Verdict, p.Sentence, p.Class = verdict(r)
	p.Facts = facts(r)
	if r.Comparison != nil {
		p.Beside, p.Differences, p.Remarks = r.Comparison.sentence(), r.Comparison.rows(), r.Comparison.remarks()
	}
	var err error
	if p.Figures, err = htmls("run", chartsOf(r.Charts)); err != nil {
		return err
	}
	for i, s := range r.ran() {
		c, err := newCard(s, fmt.Sprintf("%s-%d", s.ID, i+1))
		if err != nil {
			return err
		}
		p.Cards = append(p.Cards, c)
	}
	slices.SortStableFunc(p.Cards, func(a, b card) int { return cmp.Compare(a.order(), b.order()) })
	return pageTemplate.Execute(w, p)
}

// page is what page.html shows.
type page struct {
	Run         *Run
	Style       template.CSS
	Script      template.JS
	Policy      string
	Started     string
	Scale       string
	Verdict     string
	Sentence    string
	Class       string
	Facts       []fact
	Columns     []string
	Figures     []template.HTML
	Cards       []card
	Checks      []checkRow
	Environment [][2]string
	Replay      string
	Whole       bool     // all scenarios were run
	Idle        []string // titles of those that were not
	Beside      string   // of the comparison, as are these two
	Differences []differenceRow
	Remarks     []string
}

type fact struct{ Name, Value string }

// card is one scenario.
type card struct {
	*Scenario
	Anchor    string
	Headlines []headline
	Cells     []string // of the table of the nine
	Facts     []fact
	Figures   []template.HTML
	Ledger    []ledgerRow
	Grids     []grid
	Rows      []checkRow
	Failed    int // checks that must hold and do not
	Missing   []string
	Heap      string
}

// headline is a failure as the top of the page tells it: the first sentence, and what was
// kept of it.
type headline struct {
	Sentence string
	Evidence []string // names of files in the folder evidence beside the page
}

// headlines are those of all failures of a scenario.
func (s *Scenario) headlines() (all []headline) {
	for _, failure := range s.Failures {
		sentence, rest, _ := strings.Cut(strings.TrimSpace(failure), "\n")
		h := headline{Sentence: sentence}
		for line := range strings.Lines(rest) {
			if kept, ok := strings.CutPrefix(strings.TrimSpace(line), evidenceMark); ok {
				for path := range strings.SplitSeq(kept, ", ") {
					if name := filepath.Base(path); filepath.Base(filepath.Dir(path)) == evidenceFolder {
						h.Evidence = append(h.Evidence, name)
					}
				}
			}
		}
		all = append(all, h)
	}
	return all
}

// evidenceMark begins the line of a failure that says where its evidence is.
const evidenceMark = "evidence: "

// order has those that failed come first.
func (c card) order() int {
	switch c.State {
	case Failed:
		return 0
	case Interrupted:
		return 1
	}
	return 2
}

// shown are the checks of the whole run that say something of it: where not all
// scenarios were run those with a verdict.
func (r *Run) shown() []validate.Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c validate.Check) bool {
		return !r.whole() && c.Verdict == validate.NotMeasured
	})
}

func facts(r *Run) []fact {
	peak := "not measured"
	var most *int64
	for _, s := range r.Scenarios {
		if s.Memory == nil {
			continue
		}
		if peak := s.largest(); peak != nil && (most == nil || *peak > *most) {
			most = peak
		}
	}
	if most != nil {
		peak = size(most)
	}
	return []fact{
		{"scenarios run", fmt.Sprintf("%d of %d", r.Totals.Scenarios, len(validate.Scenarios))},
		{"operations under load", validate.Number(float64(r.Totals.Operations))},
		{"faults in all ledgers", validate.Number(float64(r.Totals.Faults))},
		{"checks measured", validate.Number(float64(r.Totals.Checks))},
		{"failed that must hold", validate.Number(float64(r.Totals.Missed))},
		{"peak memory", peak},
	}
}

// replay is the command that runs the whole again: as the scenarios say, without the
// tests that they name.
func replay(r *Run) string {
	ran := r.ran()
	if len(ran) == 1 {
		return ran[0].Replay
	}
	for _, s := range ran {
		if command, _, ok := strings.Cut(s.Replay, " -run "); ok {
			return command + " -run Stress ./..."
		}
	}
	return "go test -count=1 -run Stress ./..."
}

func newCard(s *Scenario, anchor string) (card, error) {
	c := card{Scenario: s, Anchor: anchor, Cells: s.cells()[1:], Rows: checkRows(s.Checks),
		Failed: len(validate.FailedOf(s.Checks))}
	figures, missing := s.figures()
	c.Missing = missing
	var err error
	if c.Figures, err = htmls(anchor, figures); err != nil {
		return c, err
	}
	c.Facts, c.Grids, c.Headlines = s.facts(), s.grids(), s.headlines()
	if s.Ledger != nil {
		c.Ledger = ledgerRows(s.Ledger)
	}
	if m := s.Memory; m != nil {
		c.Heap = fmt.Sprintf("heap %s, stacks %s, resident %s, control group %s; %d collections, pauses p99 ≤ %s%s",
			size(&m.Peak.Heap), size(&m.Peak.Stacks), size(m.Peak.RSS), size(m.Peak.Cgroup), m.GCCycles, duration(m.GCPause*1e9),
			subjectOf(m))
	}
	return c, nil
}

// facts are the headline figures of a scenario: only those that were measured.
func (s *Scenario) facts() []fact {
	var all []fact
	add := func(name, format string, args ...any) { all = append(all, fact{name, fmt.Sprintf(format, args...)}) }
	if b := s.Burst; b != nil {
		if b.Peak > 0 {
			add("peak in flight", "%s", peak(b.Peak))
		}
		if b.Throughput > 0 {
			add("throughput, ops/s", "%s", validate.Number(b.Throughput))
		}
		if c := s.beside("throughput"); c != nil {
			add("the control's throughput", "%s", validate.With(c.Beside.Control, c.Unit))
			add("ratio to the control's", "%s", validate.Ratio(c.Beside.Ratio))
		}
		if b.Latency != nil && b.Latency.N > 0 && b.Little > 0 {
			add("burst p50", "%s", duration(float64(b.Latency.P50)))
			add("N / X of the burst", "%s", duration(b.Little))
		}
	}
	if st := s.Steady; st != nil && st.Latency.N > 0 {
		add("steady rate, ops/s", "%s", validate.Number(st.Offered))
		add("steady p50", "%s", duration(float64(st.Latency.P50)))
		add("steady p99", "%s", duration(float64(st.Latency.P99)))
		add("steady p99.9", "%s", duration(float64(st.Latency.P999)))
		add("steady max", "%s", duration(float64(st.Latency.Max)))
		add("generator late, p99", "%s", duration(float64(st.LateP99)))
	}
	if s.Memory != nil {
		if peak := s.largest(); peak != nil {
			add("peak memory", "%s", size(peak))
		}
	}
	if s.Share != nil && *s.Share < 1 {
		add("processors left free", "%.0f %%", 100**s.Share)
	}
	return all
}

// ledgerRow is a line of a ledger.
type ledgerRow struct {
	Name  string
	N     int
	Fault bool // it should be none, and is not
}

func ledgerRows(a *measure.Account) []ledgerRow {
	rows := []ledgerRow{{Name: "sent", N: a.Sent}, {Name: "delivered", N: a.Delivered}, {Name: "refused", N: a.Refused}}
	for _, r := range []ledgerRow{
		{Name: "lost", N: a.Lost}, {Name: "duplicated", N: a.Duplicated}, {Name: "reordered", N: a.Reordered},
		{Name: "corrupted", N: a.Corrupted}, {Name: "misrouted", N: a.Misrouted}, {Name: "phantom", N: a.Phantom},
	} {
		r.Fault = r.N > 0
		rows = append(rows, r)
	}
	return rows
}

// htmls draws figures, each with an id of its own.
func htmls(prefix string, figures []chart.Figure) ([]template.HTML, error) {
	var all []template.HTML
	for i, f := range figures {
		text, err := f.HTML(fmt.Sprintf("%s-figure-%d", prefix, i+1))
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, nil
}

// symbol tells verdicts apart without colour.
func symbol(state any) string {
	switch fmt.Sprint(state) {
	case string(validate.Passed), reached:
		return "✓"
	case string(validate.Failed), string(Interrupted), regressed:
		return "✕"
	case string(Better):
		return "▲"
	case string(Worse):
		return "▼"
	}
	return "–"
}
