package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"tensile/stress/report"
	"tensile/stress/validate"
)

// schema is the version of fleet.json.
const schema = 1

// book has the results of all fleets of this process.
var book struct {
	sync.Mutex
	Schema int       `json:"schema"`
	Fleets []*Result `json:"fleets"`
}

// keep adds a result to fleet.json and fleet.md of a folder. Each is complete or
// untouched; a result that has no place in fleet.json, as one of its figures is
// infinite, is in neither, and keeps no other out.
func keep(folder string, r *Result) error {
	book.Lock()
	defer book.Unlock()
	before := book.Fleets
	book.Schema, book.Fleets = schema, append(before, r)
	var text, page bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetIndent("", "  ")
	if err := out.Encode(&book); err != nil {
		book.Fleets = before
		return fmt.Errorf("fleet %q: %w", r.Name, err)
	}
	for _, r := range book.Fleets {
		write(&page, r)
	}
	return errors.Join(os.MkdirAll(folder, 0o755),
		report.Replace(filepath.Join(folder, "fleet.json"), text.Bytes()),
		report.Replace(filepath.Join(folder, "fleet.md"), page.Bytes()))
}

// write is a result for people.
func write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "# Fleet: %s\n\n%s.\n\n", cell(r.Name), cell(strings.TrimPrefix(r.String(), "fleet: ")))
	for _, note := range r.Notes {
		fmt.Fprintf(w, "- %s\n\n", cell(note))
	}
	fmt.Fprint(w,
		"| agent | machine | process | share | asked | started | succeeded | failed | unfinished | offered ops/s | "+
			"p50 | p95 | p99 | p99.9 | generator late p99 | began after the first |\n")
	fmt.Fprint(w,
		"| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, p := range r.Parts {
		fmt.Fprintf(w, "| %d | %s | %d | %s | %d ", p.Number, cell(p.Host), p.PID, percent(p.Share), p.Asked)
		if !p.Measured {
			fmt.Fprintf(w, "| %s %s|\n", validate.NotMeasured, strings.Repeat("| ", 10))
			continue
		}
		fmt.Fprintf(w, "| %d | %d | %d | %d | %s | %s | %s | %s | %s | %s | %s ± %s |\n",
			p.Started, p.Succeeded, p.Failed, p.Unfinished,
			validate.Number(p.Offered), nanoseconds(p.Latency.P50), nanoseconds(p.Latency.P95), nanoseconds(p.Latency.P99),
			nanoseconds(p.Latency.P999), nanoseconds(p.LateP99), nanoseconds(p.Began), nanoseconds(p.BeganOff))
	}
	l := r.Latency
	fmt.Fprintf(w, "| **all measured** | | | %s | %d | %d | %d | %d | %d | %s | %s | %s | %s | %s | | |\n\n",
		percent(r.Share),
		r.Asked, r.Started, r.Succeeded, r.Failed, r.Unfinished, validate.Number(r.Offered),
		nanoseconds(l.P50), nanoseconds(l.P95), nanoseconds(l.P99), nanoseconds(l.P999))
	for _, c := range r.Checks {
		fmt.Fprintf(w, "- %s: %s\n", c.Verdict, cell(c.String()))
	}
	fmt.Fprintln(w)
}

// cell is text that may stand in a table: machines choose their own names.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "<", "&lt;").Replace(text)
}
