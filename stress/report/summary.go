package report

import (
	"fmt"
	"io"
	"os"
	"strings"

	"tensile/stress/validate"
)

// writeSummary writes the run as Markdown for the page of a CI job: the verdict,
// what ran, what failed and how to repeat it.
func writeSummary(w io.Writer, r *Run) error {
	word, sentence, class := verdict(r)
	fmt.Fprintf(w, "## %s Stress: %s\n\n%s N = %s, seed %d, %s.\n\n", symbol(class), word, sentence,
		validate.Number(float64(r.Environment.Scale)), r.Environment.Seed, duration(r.Seconds*1e9))
	head(w, columns...)
	for _, s := range r.ran() {
		cells := s.cells()
		cells[2] = symbol(s.State) + " " + cells[2]
		row(w, cells...)
	}
	if idle := r.idle(); len(idle) > 0 {
		fmt.Fprintf(w, "\nNot run: %s.\n", strings.Join(idle, ", "))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	for _, s := range r.Scenarios {
		if len(s.Failures) > 0 {
			fmt.Fprintf(w, "\n### %d %s: what failed\n\n%s\n\nTo repeat it: `%s`\n", s.Number, s.Title,
				fenced(strings.Join(few(s.Failures), "\n")), s.Replay)
		}
	}
	if c := r.Comparison; c != nil {
		fmt.Fprintf(w, "\n### Beside the baseline\n\n%s\n", c.sentence())
		c.shown(w)
	}
	if !r.whole() {
		return nil
	}
	fmt.Fprint(w, "\n<details><summary>The six acceptance criteria</summary>\n\n")
	head(w, "#", "acceptance criterion", "verdict", "")
	for _, a := range r.Acceptance {
		row(w, fmt.Sprint(a.Number), a.Name, symbol(a.Verdict)+" "+string(a.Verdict), a.Note)
	}
	fmt.Fprint(w, "\n</details>\n")
	return nil // whoever wants to know of errors gives a buffer
}

// shown writes a table of the figures of which a difference is shown.
func (c *Comparison) shown(w io.Writer) {
	began := false
	for _, d := range c.rows() {
		if d.Verdict == string(Same) || d.Verdict == string(Unknown) {
			continue
		}
		if !began {
			began = true
			fmt.Fprintln(w)
			head(w, "figure", "before", "now", "change", "chance", "verdict")
		}
		row(w, d.Figure, d.Before, d.Now, d.Change, d.Chance, d.Verdict)
	}
}

// What a summary shows of failures: the page of a job takes a megabyte.
const (
	fewFailures = 8
	mostFailure = 1000
)

// few are the first of many failures, each cut to its first lines.
func few(failures []string) []string {
	var all []string
	for i, f := range failures {
		if i == fewFailures {
			return append(all, fmt.Sprintf("and %d more", len(failures)-i))
		}
		f = strings.TrimSpace(f)
		if len(f) > mostFailure {
			f = strings.ToValidUTF8(f[:mostFailure], "") + " …"
		}
		all = append(all, f)
	}
	return all
}

// fenced is text that no Markdown in it can get out of.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + text + "\n" + fence
}

// AppendSummary puts the summary of a run at the end of a file that others write
// to as well. Where it is there already, from an earlier moment of the same run,
// it is replaced; nothing else is touched.
func AppendSummary(path string, r *Run) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // what matters is told by the write
	old, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	var text strings.Builder
	begin := fmt.Sprintf("<!-- stress run of %s, seed %d -->\n",
		r.Started.UTC().Format("2006-01-02T15:04:05.000000000Z"), r.Environment.Seed)
	const end = "<!-- end of the stress run -->\n"
	text.WriteString(begin)
	if err := writeSummary(&text, r); err != nil {
		return err
	}
	text.WriteString(end)
	at := strings.Index(string(old), begin)
	if at < 0 {
		at = len(old)
		if at > 0 && old[at-1] != '\n' {
			if _, err := file.WriteAt([]byte("\n"), int64(at)); err != nil {
				return err
			}
			at++
		}
	} else if _, rest, ok := strings.Cut(string(old[at:]), end); ok {
		text.WriteString(rest)
	}
	if _, err := file.WriteAt([]byte(text.String()), int64(at)); err != nil {
		return err
	}
	return file.Truncate(int64(at + text.Len()))
}
