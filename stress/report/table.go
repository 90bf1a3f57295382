package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"tensile/stress/validate"
)

var columns = []string{
	"#", "scenario", "state", "peak in flight", "ops/s", "p50", "p95", "p99", "max", "faults", "memory", "time",
}

// cells are what a scenario shows in the table; what was not measured is said
// to be so.
func (s *Scenario) cells() []string {
	cells := []string{fmt.Sprint(s.Number), s.Title, s.words(), "", "", "", "", "", "", "", "", ""}
	if s.State == NotRun {
		cells[2] = string(validate.NotMeasured)
		return cells
	}
	if s.Burst != nil {
		cells[3], cells[4] = peak(s.Burst.Peak), throughputOf(s.Burst)
	}
	if s.Steady != nil && s.Steady.Latency.N > 0 {
		l := s.Steady.Latency
		cells[5], cells[6], cells[7], cells[8] = duration(float64(l.P50)), duration(float64(l.P95)),
			duration(float64(l.P99)), duration(float64(l.Max))
	}
	if s.Ledger != nil {
		cells[9] = validate.Number(float64(s.Ledger.Faults()))
	}
	if s.Memory != nil {
		cells[10] = size(s.largest())
	}
	cells[11] = fmt.Sprintf("%.1f s", s.Seconds)
	return cells
}

// Line is a scenario in one line, for the moment it ends.
func (s *Scenario) Line() string {
	parts := []string{fmt.Sprintf("stress %d/9 %-26s %-11s", s.Number, s.Title, s.words())}
	if s.Burst != nil {
		if s.Burst.Peak > 0 {
			parts = append(parts, "peak "+peak(s.Burst.Peak))
		}
		if s.Burst.Throughput > 0 {
			parts = append(parts, throughputOf(s.Burst)+" ops/s"+s.ratio("throughput"))
		}
	}
	if s.Steady != nil && s.Steady.Latency.N > 0 {
		parts = append(parts, "p50 "+duration(float64(s.Steady.Latency.P50)),
			"p99 "+duration(float64(s.Steady.Latency.P99))+s.ratio("p99"))
	}
	if s.Ledger != nil {
		parts = append(parts, fmt.Sprintf("%d faults", s.Ledger.Faults()))
	}
	return strings.Join(append(parts, fmt.Sprintf("%.1f s", s.Seconds)), "  ")
}

// throughputOf is the rate of a burst; "" if it was not measured.
func throughputOf(b *Burst) string {
	if b.Throughput == 0 {
		return ""
	}
	return validate.Number(b.Throughput)
}

// beside is the check of a figure that was judged beside a control, or nil.
func (s *Scenario) beside(criterion string) *validate.Check {
	for i, c := range s.Checks {
		if c.ID == s.ID+"."+criterion && c.Beside != nil {
			return &s.Checks[i]
		}
	}
	return nil
}

// ratio says how a figure relates to that of the control, where there was one.
func (s *Scenario) ratio(criterion string) string {
	c := s.beside(criterion)
	if c == nil {
		return ""
	}
	return " (" + validate.Number(c.Beside.Ratio.Median) + " of the control)"
}

// WriteTable writes the summary of a run as text in aligned columns.
func WriteTable(w io.Writer, r *Run) {
	rows := [][]string{columns}
	for _, s := range r.ran() {
		rows = append(rows, s.cells())
	}
	width := make([]int, len(columns))
	for _, cells := range rows {
		for i, c := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, cells := range rows {
		var line strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if i >= 3 { // figures to the right
				c, pad = pad, c
			}
			line.WriteString(c + pad + "  ")
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
	if r.whole() {
		for _, a := range r.Acceptance {
			fmt.Fprintf(w, "(%d) %s: %s\n", a.Number, a.Name, a.Verdict)
		}
	}
	if c := r.Comparison; c != nil {
		fmt.Fprintf(w, "beside %s\n", c.sentence())
	}
	if line := r.notJudged(); line != "" {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w, r.last())
}

// notJudged says which checks of the scenarios that ran have no verdict, and why the
// first has none; "" if all have one.
func (r *Run) notJudged() string {
	const named = 6
	var ids []string
	why := ""
	for _, s := range r.ran() {
		for _, c := range unjudged(s.Checks) {
			ids = append(ids, c.ID)
			if why == "" && c.Note != "" {
				why = c.ID + ": " + c.Note
			}
		}
	}
	if len(ids) == 0 {
		return ""
	}
	if len(ids) == 1 {
		return "not judged: " + cmp.Or(why, ids[0])
	}
	list := strings.Join(ids[:min(len(ids), named)], ", ")
	if more := len(ids) - named; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	if why != "" {
		list += "; " + why
	}
	return "not judged: " + list
}

// last is the last line of the table: how the run ended, and where all scenarios
// were run how many of the criteria say so.
func (r *Run) last() string {
	if !r.whole() {
		return r.words()
	}
	measured := 0
	for _, a := range r.Acceptance {
		if a.Verdict == validate.Passed || a.Verdict == validate.Failed {
			measured++
		}
	}
	return fmt.Sprintf("%s, %d of %d criteria measured", r.State, measured, len(r.Acceptance))
}
