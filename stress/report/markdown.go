package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"tensile/stress/measure"
	"tensile/stress/validate"
)

// inCell escapes what would end a cell of a Markdown table, or begin a tag.
var inCell = strings.NewReplacer(`\`, `\\`, "|", `\|`, "\r", " ", "\n", " ", "< ", "< ", "<=", "<=", "<", "&lt;")

// row writes one line of a Markdown table.
func row(w io.Writer, cells ...string) {
	escaped := make([]string, len(cells))
	for i, c := range cells {
		escaped[i] = inCell.Replace(c)
	}
	fmt.Fprintf(w, "| %s |\n", strings.Join(escaped, " | "))
}

func head(w io.Writer, cells ...string) {
	row(w, cells...)
	fmt.Fprintln(w, "|"+strings.Repeat(" --- |", len(cells)))
}

func writeMarkdown(w io.Writer, r *Run) error {
	e := r.Environment
	fmt.Fprintf(w, "# Stress report: %s\n\n", r.words())
	fmt.Fprintf(w, "%s, %.1f s, N = %s, seed %d.\n\n", r.Started.Format(time.RFC3339), r.Seconds,
		validate.Number(float64(e.Scale)), e.Seed)

	fmt.Fprint(w, "## Executive summary\n\n")
	if r.whole() {
		head(w, "#", "acceptance criterion", "verdict", "")
		for _, a := range r.Acceptance {
			row(w, fmt.Sprint(a.Number), a.Name, string(a.Verdict), a.Note)
		}
	} else {
		_, sentence, _ := verdict(r)
		fmt.Fprintln(w, sentence)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}

	fmt.Fprint(w, "\n## The scenarios\n\n")
	head(w, columns...)
	for _, s := range r.ran() {
		row(w, s.cells()...)
	}
	if idle := r.idle(); len(idle) > 0 {
		fmt.Fprintf(w, "\nNot run: %s.\n", strings.Join(idle, ", "))
	}
	for _, s := range r.Scenarios {
		s.markdown(w)
	}

	if r.Comparison != nil {
		r.Comparison.markdown(w)
	}
	fmt.Fprint(w, "\n## Aggregate metrics\n\n")
	head(w, "metric", "value")
	row(w, "scenarios run", fmt.Sprintf("%d of %d", r.Totals.Scenarios, len(r.Scenarios)))
	row(w, "operations under load", validate.Number(float64(r.Totals.Operations)))
	row(w, "faults in all ledgers", validate.Number(float64(r.Totals.Faults)))
	row(w, "checks measured", validate.Number(float64(r.Totals.Checks)))
	row(w, "checks failed that must hold", validate.Number(float64(r.Totals.Missed)))

	fmt.Fprint(w, "\n## Criteria of the whole run\n\n")
	checkTable(w, r.shown())
	fmt.Fprint(w, "\n## Environment\n\n")
	head(w, "", "")
	for _, line := range environmentRows(r) {
		row(w, line[0], line[1])
	}
	return nil // w is a buffer
}

func (s *Scenario) markdown(w io.Writer) {
	if s.State == NotRun {
		return
	}
	fmt.Fprintf(w, "\n## %d %s: %s\n\n", s.Number, s.Title, s.words())
	fmt.Fprintf(w, "Subject %s, N = %s, %.1f s.\n", s.Subject, validate.Number(float64(s.N)), s.Seconds)
	for _, n := range s.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	if len(s.Failures) > 0 {
		fmt.Fprint(w, "\n### What failed\n\n")
		for _, f := range s.Failures {
			fmt.Fprintln(w, fenced(strings.TrimSpace(f)))
		}
		fmt.Fprintf(w, "\nTo repeat it: `%s`\n", s.Replay)
	}
	if s.Burst != nil || s.Steady != nil {
		fmt.Fprintln(w)
		head(w, "load", "operations", "peak in flight", "ops/s", "mean", "p50", "p95", "p99", "p99.9", "max")
	}
	if b := s.Burst; b != nil {
		row(w, append([]string{"burst", validate.Number(float64(b.N)), peak(b.Peak), throughputOf(b)},
			times(b.Latency)...)...)
	}
	if st := s.Steady; st != nil {
		row(w, append([]string{"steady, " + st.Arrivals, validate.Number(float64(st.N)), peak(st.Peak),
			validate.Number(st.Offered)}, times(&st.Latency)...)...)
	}
	if b := s.Burst; b != nil && b.Latency != nil {
		fmt.Fprintf(w,
			"\nN / X of the burst is %s: by Little's law its median wait is about half of that, whatever the subject.\n",
			duration(b.Little))
	}
	if st := s.Steady; st != nil {
		fmt.Fprintf(w,
			"\nThe generator was asked for %s ops/s; it was late by %s (p50), %s (p99), %s (max), which is part of the "+
				"latencies.\n",
			validate.Number(st.Asked), duration(float64(st.LateP50)), duration(float64(st.LateP99)),
			duration(float64(st.LateMax)))
		if worst := slowest(st.Series); worst != nil {
			fmt.Fprintf(w, "\nThe slowest part of %s began at %.3g s: %s ended, p99 %s.\n", duration(worst.Width*1e9),
				worst.At, validate.Number(float64(worst.Ended)), duration(float64(worst.P99)))
		}
	}
	for _, g := range s.grids() {
		g.markdown(w)
	}
	if s.Ledger != nil {
		fmt.Fprintf(w, "\nLedger: %s.\n", s.Ledger)
	}
	if m := s.Memory; m != nil {
		fmt.Fprintf(w, "\nMemory, peak: heap %s, stacks %s, resident %s, control group %s; %d GC cycles, pause p99 ≤ %s%s.\n",
			size(&m.Peak.Heap), size(&m.Peak.Stacks), size(m.Peak.RSS), size(m.Peak.Cgroup), m.GCCycles, duration(m.GCPause*1e9),
			subjectOf(m))
	}
	if s.Leaks != nil {
		fmt.Fprintf(w, "\nAudit: %s.\n", s.Leaks)
	}
	if s.Share != nil {
		fmt.Fprintf(w, "\nOther work left %.0f %% of the processors while the load was on.\n", 100**s.Share)
	}
	fmt.Fprintln(w)
	checkTable(w, s.Checks)
	fmt.Fprintln(w)
	head(w, "phase", "state", "seconds")
	for _, p := range s.Phases {
		row(w, p.Name, string(p.State), fmt.Sprintf("%.2f", p.Seconds))
	}
}

func (c *Comparison) markdown(w io.Writer) {
	fmt.Fprintf(w, "\n## Beside the baseline\n\n%s\n\n", c.sentence())
	head(w, "figure", "before", "now", "change", "chance", "verdict", "")
	for _, d := range c.rows() {
		row(w, d.Figure, d.Before, d.Now, d.Change, d.Chance, d.Verdict, d.Note)
	}
	for _, note := range c.remarks() {
		fmt.Fprintf(w, "\n%s\n", note)
	}
}

// slowest is the part of a series with the highest p99.
func slowest(series []measure.Bin) *measure.Bin {
	var worst *measure.Bin
	for i, b := range series {
		if worst == nil || b.P99 > worst.P99 {
			worst = &series[i]
		}
	}
	return worst
}

func times(l *measure.Latency) []string {
	if l == nil || l.N == 0 {
		return []string{"", "", "", "", "", ""}
	}
	return []string{duration(l.Mean), duration(float64(l.P50)), duration(float64(l.P95)),
		duration(float64(l.P99)), duration(float64(l.P999)), duration(float64(l.Max))}
}

func checkTable(w io.Writer, checks []validate.Check) {
	head(w, "check", "criterion", "target", "measured", "control", "ratio", "verdict", "")
	for _, c := range checkRows(checks) {
		row(w, c.ID, c.Name, c.Target, c.Measured, c.Control, c.Ratio, c.Verdict, c.Note)
	}
}

// checkRow is a check in words.
type checkRow struct {
	ID, Name, Target, Measured, Control, Ratio, Verdict, Note string
}

// What a figure to aim for is, which is never failed.
const (
	reached    = "reached"
	notReached = "not reached"
)

func checkRows(checks []validate.Check) []checkRow {
	var rows []checkRow
	for _, c := range checks {
		r := checkRow{ID: c.ID, Name: c.Name, Target: fmt.Sprintf("%s %s", c.Comparison, validate.With(c.Target, c.Unit)),
			Measured: c.Figure(), Verdict: string(c.Verdict), Note: c.Note}
		if b := c.Beside; b != nil {
			r.Measured, r.Control, r.Ratio = validate.With(b.Subject, c.Unit), validate.With(b.Control, c.Unit),
				validate.Ratio(b.Ratio)
		}
		if c.Kind == validate.Reach {
			switch c.Verdict {
			case validate.Passed:
				r.Verdict = reached
			case validate.Failed:
				r.Verdict = notReached
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// environmentRows are the names and values of what a figure must be read
// together with.
func environmentRows(r *Run) [][2]string {
	e := r.Environment
	limit := "unknown"
	if e.DescriptorLimit != nil {
		limit = fmt.Sprint(*e.DescriptorLimit)
	}
	memoryLimit := "none"
	if e.GOMEMLIMIT < 1<<62 {
		memoryLimit = size(&e.GOMEMLIMIT)
	}
	return [][2]string{
		{"Go", e.GoVersion + " " + e.OS + "/" + e.Arch},
		{"kernel", e.Kernel},
		{"processor", fmt.Sprintf("%s, %d cores, GOMAXPROCS %d", e.CPU, e.Cores, e.GOMAXPROCS)},
		{"memory", size(e.MemoryTotal)},
		{"descriptor limit", limit},
		{"GOGC, GOMEMLIMIT", e.GOGC + ", " + memoryLimit},
		{"load average at the start", e.LoadAverage},
		{"commit", e.Commit},
		{"race detector", fmt.Sprint(e.Race)},
		{"scale, seed", fmt.Sprintf("%d, %d", e.Scale, e.Seed)},
		{"command", strings.Join(r.Command, " ")},
	}
}

func writeChecklist(w io.Writer, r *Run) error {
	fmt.Fprintf(w, "# Checklist: %s\n", r.words())
	if r.whole() {
		fmt.Fprint(w, "\n## Acceptance\n\n")
		for _, a := range r.Acceptance {
			fmt.Fprintf(w, "- [%s] (%d) %s: %s\n", mark(a.Verdict), a.Number, a.Name, a.Verdict)
		}
	}
	for _, s := range r.ran() {
		fmt.Fprintf(w, "\n## %d %s: %s\n\n", s.Number, s.Title, s.words())
		checkTable(w, s.Checks)
	}
	fmt.Fprint(w, "\n## Whole run\n\n")
	checkTable(w, r.shown())
	return nil // w is a buffer
}

func mark(v validate.Verdict) string {
	if v == validate.Passed {
		return "x"
	}
	return " "
}

func peak(n int) string {
	if n == 0 {
		return ""
	}
	return validate.Number(float64(n))
}

// duration formats nanoseconds with three significant digits.
func duration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g s", ns/1e9)
}

// size formats bytes in MB of a million, as the thresholds are.
func size(n *int64) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f MB", float64(*n)/1e6)
}

// subjectOf is what of the memory was the subject's, if that was looked at.
func subjectOf(m *measure.MemoryUse) string {
	if m.Subject == nil || m.Subject.Split == nil {
		return ""
	}
	return "; the subject's: " + m.Subject.Split.String()
}
