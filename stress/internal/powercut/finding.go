package powercut

import (
	"fmt"
	"strings"

	"tensile/stress/internal/crashstates"
)

// Finding is a state that a power cut may leave, and what is wrong with what was
// made of it.
type Finding[P, F any] struct {
	Program P
	Ledger  Ledger
	Found   F
	Why     Violation
	State   *crashstates.State // nil if the violation was seen before there was one

	conditions Conditions
	scope      Scope
	way        way[F] // without stages if the program itself did not end: there was no cut
	operation  []string
	print      string
}

// tell adds what the kit says of a finding.
func (f *Finding[P, F]) tell(k *Kit[P, F]) {
	f.operation, f.print = k.Operations(f.Program), ""
	if f.begun() && f.Why.Kind != Refused && f.Why.Kind != Died && f.Why.Kind != Hangs {
		f.print = k.Print(f.Program, f.Ledger, f.Found)
	}
}

// begun tells whether there was a cut.
func (f *Finding[P, F]) begun() bool { return len(f.way.stages) > 0 }

// whileOpened tells whether the violation is one of what opened the state.
func (f *Finding[P, F]) whileOpened() bool { return len(f.way.stages) > 1 && f.State == nil }

// Model is the file system that may leave it like that, "" if there was no cut.
func (f *Finding[P, F]) Model() string {
	if !f.begun() {
		return ""
	}
	return f.way.stages[0].analysis.Model().Name
}

// String is the finding as tables: the operations, their calls, and what had
// become of each when the power went.
func (f *Finding[P, F]) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", f.Why.Kind, strings.TrimSpace(f.Why.Text))
	if text := f.conditions.String(); text != "" {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	if !f.begun() {
		fmt.Fprintf(&b, "  before any power cut, in a program of %d operations: %s\n",
			len(f.operation), strings.Join(f.operation, ", "))
		return b.String()
	}
	fmt.Fprintf(&b, "  a power cut after call %d may leave this, by the model %s:\n", f.way.stages[0].calls(), f.Model())
	f.table(&b, f.way.stages[0])
	if len(f.way.stages) > 1 {
		if f.whileOpened() {
			b.WriteString("  what is left is opened:\n")
		} else {
			fmt.Fprintf(&b, "  what is left is opened, and a power cut after call %d may leave this:\n", f.way.last().calls())
		}
		f.table(&b, f.way.last())
	}
	if f.State != nil {
		fmt.Fprintf(&b, "  left: %s\n", strings.Join(f.State.Files(), "; "))
	}
	if f.print != "" {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(f.print, "\n", "\n  "))
	}
	return b.String()
}

// table prints the calls of a stage, and why some are not on the disk.
func (f *Finding[P, F]) table(b *strings.Builder, s stage) {
	rows := [][2]string{{"call", ""}}
	var causes, failed []string
	for i := range s.record.Events[:s.cut] {
		row := [2]string{f.said(s.record.Events[i].Text), ""}
		if s.record.Events[i].Kind != crashstates.Mark {
			row[0] = "    " + s.record.Describe(i)
		}
		if s.analysis != nil {
			space := s.analysis.At(s.cut)
			row[1] = space.Fate(s.vector, i)
			switch why := space.Cause(s.vector, i); {
			case why == "":
			case space.FailedSync(i):
				failed = append(failed, why)
			default:
				causes = append(causes, why)
			}
			rows[0][1] = "on the disk"
		}
		rows = append(rows, row)
	}
	rows = shorten(rows)
	width := 0
	for _, r := range rows {
		if r[1] != "" {
			width = max(width, len(r[0]))
		}
	}
	for _, r := range rows {
		fmt.Fprintf(b, "  | %s\n", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, r[0], r[1]), " "))
	}
	causes = append(failed, causes...)
	if len(causes) > mostCauses {
		causes = append(causes[:mostCauses], fmt.Sprintf("and %d more", len(causes)-mostCauses))
	}
	for _, why := range causes {
		fmt.Fprintf(b, "  %s\n", why)
	}
}

// mostCauses is how many sentences say what was lost: which syncs would have kept it.
const mostCauses = 3

// mostRows is how many rows of a table are printed.
const mostRows = 48

func shorten(rows [][2]string) [][2]string {
	if len(rows) <= mostRows {
		return rows
	}
	const first = 6
	last := mostRows - first - 1
	gap := [2]string{fmt.Sprintf("    ... %d more", len(rows)-first-last), ""}
	return append(append(rows[:first:first], gap), rows[len(rows)-last:]...)
}

// calls is the number of calls before the cut.
func (s stage) calls() (n int) {
	for _, e := range s.record.Events[:s.cut] {
		if e.Kind != crashstates.Mark && e.Kind != crashstates.Note {
			n++
		}
	}
	return n
}

// said translates a mark.
func (f *Finding[P, F]) said(text string) string {
	if text == isRead {
		return "what is there is read"
	}
	verb, rest, _ := strings.Cut(text, " ")
	number, rest, _ := strings.Cut(rest, " ")
	var op int
	if _, err := fmt.Sscan(number, &op); err != nil || op >= len(f.operation) {
		return text
	}
	switch verb {
	case "begins":
		return f.operation[op] + " ..."
	case confirmed:
		return "... " + f.operation[op] + ": confirmed"
	}
	return "... " + f.operation[op] + ": " + rest
}
