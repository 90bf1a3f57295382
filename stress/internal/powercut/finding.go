package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tensile/stress/internal/crashstates"
)

// Finding is a state that a power cut may leave, and what is wrong with what was
// made of it.
type Finding[P, F any] struct {
	Program P
	Record  *crashstates.Record
	Ledger  Ledger
	Found   F
	Why     Violation
	State   *crashstates.State

	analysis  *crashstates.Analysis
	cut       int
	vector    []int
	unstarted bool // the program itself did not end: there was no cut
	operation []string
	print     string
}

// ShrinkTime bounds the search for a smaller program and for less that is lost; one
// more program may be under way then.
const ShrinkTime = 20 * time.Second

// Shrink returns a finding of the same kind with as few operations as can be found
// in a while, of which as little as possible is lost.
func (t *Tester[P, F]) Shrink(ctx context.Context, f *Finding[P, F]) (*Finding[P, F], error) {
	until := time.Now().Add(ShrinkTime)
	for smaller := true; smaller; {
		smaller = false
		for _, p := range t.kit.Smaller(f.Program) {
			if time.Now().After(until) || ctx.Err() != nil {
				break
			}
			g, _, err := t.try(ctx, p)
			if ctx.Err() != nil {
				break // what was found is found
			}
			if err != nil {
				return f, err
			}
			if g != nil && g.Why.Kind == f.Why.Kind {
				f, smaller = g, true
				break
			}
		}
	}
	err := t.loseLess(ctx, f, until)
	if ctx.Err() != nil {
		err = nil
	}
	f.operation, f.print = t.kit.Operations(f.Program), ""
	if f.State != nil && f.Why.Kind != Refused && f.Why.Kind != Died && f.Why.Kind != Hangs {
		f.print = t.kit.Print(f.Program, f.Ledger, f.Found)
	}
	return f, err
}

// loseLess takes losses away that the violation does not need.
func (t *Tester[P, F]) loseLess(ctx context.Context, f *Finding[P, F], until time.Time) error {
	if f.unstarted {
		return nil
	}
	text, err := json.Marshal(f.Program)
	if err != nil {
		return err
	}
	e := &exploration[P, F]{Tester: t, program: f.Program, text: text, record: f.Record}
	space := f.analysis.At(f.cut)
	c := <-t.idle
	defer func() { t.idle <- c }()
	for i := range f.vector {
		for value := range f.vector[i] {
			if time.Now().After(until) {
				return nil
			}
			vector := append([]int(nil), f.vector...)
			vector[i] = value
			state := space.State(vector)
			var found F
			var v *Violation
			if c, found, v, err = e.open(ctx, c, state, true); err != nil {
				return err
			}
			if v == nil {
				v = t.kit.Judge(f.Program, f.Ledger, found)
			}
			if v != nil && v.Kind == f.Why.Kind {
				f.vector, f.State, f.Found, f.Why = vector, state, found, *v
				break
			}
		}
	}
	return nil
}

// Model is the file system that may leave it like that, "" if there was no cut.
func (f *Finding[P, F]) Model() string {
	if f.analysis == nil {
		return ""
	}
	return f.analysis.Model().Name
}

// String is the finding as a table: the operations, their calls, and what had
// become of each when the power went.
func (f *Finding[P, F]) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", f.Why.Kind, strings.TrimSpace(f.Why.Text))
	if f.unstarted {
		fmt.Fprintf(&b, "  before any power cut, in a program of %d operations: %s\n",
			len(f.operation), strings.Join(f.operation, ", "))
		return b.String()
	}
	fmt.Fprintf(&b, "  a power cut after call %d may leave this, by the model %s:\n", f.calls(), f.Model())
	space := f.analysis.At(f.cut)
	rows := [][2]string{{"call", "on the disk"}}
	for i := range f.Record.Events[:f.cut] {
		e := &f.Record.Events[i]
		if e.Kind == crashstates.Mark {
			rows = append(rows, [2]string{f.said(e.Text), ""})
			continue
		}
		rows = append(rows, [2]string{"    " + f.Record.Describe(i), space.Fate(f.vector, i)})
	}
	rows = shorten(rows)
	width := 0
	for _, r := range rows {
		if r[1] != "" {
			width = max(width, len(r[0]))
		}
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "  | %s\n", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, r[0], r[1]), " "))
	}
	for _, why := range f.causes(space) {
		fmt.Fprintf(&b, "  %s\n", why)
	}
	fmt.Fprintf(&b, "  left: %s\n", strings.Join(f.State.Files(), "; "))
	if f.print != "" {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(f.print, "\n", "\n  "))
	}
	return b.String()
}

// mostCauses is how many sentences say what was lost.
const mostCauses = 3

// causes say which syncs would have kept what is not there.
func (f *Finding[P, F]) causes(space *crashstates.Space) (all []string) {
	for i := range f.cut {
		if why := space.Cause(f.vector, i); why != "" {
			all = append(all, why)
		}
	}
	if len(all) > mostCauses {
		all = append(all[:mostCauses], fmt.Sprintf("and %d more", len(all)-mostCauses))
	}
	return all
}

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
func (f *Finding[P, F]) calls() (n int) {
	for _, e := range f.Record.Events[:f.cut] {
		if e.Kind != crashstates.Mark && e.Kind != crashstates.Note {
			n++
		}
	}
	return n
}

// said translates a mark.
func (f *Finding[P, F]) said(text string) string {
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

// saved is what a folder of a finding holds besides the files themselves.
type saved[P any] struct {
	Program P
	Model   string
	Cut     int
	Vector  []int
	Record  *crashstates.Record
}

// Save writes the finding into a folder, which must not exist: the table, what is
// needed to build the state again, and in "left" the files as the cut left them.
func (f *Finding[P, F]) Save(dir string) error {
	left := filepath.Join(dir, "left")
	if err := os.MkdirAll(left, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(saved[P]{
		Program: f.Program, Model: f.Model(), Cut: f.cut, Vector: f.vector, Record: f.Record,
	})
	if err != nil {
		return err
	}
	err = errors.Join(os.WriteFile(filepath.Join(dir, "finding.json"), text, 0o644),
		os.WriteFile(filepath.Join(dir, "finding.txt"), []byte(f.String()), 0o644))
	if f.State != nil {
		err = errors.Join(err, f.State.Write(left))
	}
	return err
}

// Replay looks once more at the state of a finding that was saved, in a fresh
// process. It returns nil if nothing is wrong with it any more.
func (t *Tester[P, F]) Replay(ctx context.Context, dir string) (*Finding[P, F], error) {
	text, err := os.ReadFile(filepath.Join(dir, "finding.json"))
	if err != nil {
		return nil, err
	}
	var s saved[P]
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	model, ok := crashstates.ModelNamed(s.Model)
	if !ok || s.Record == nil {
		return nil, fmt.Errorf("%s: the finding names no state: the model is %q", dir, s.Model)
	}
	program, err := json.Marshal(s.Program)
	if err != nil {
		return nil, err
	}
	e := &exploration[P, F]{Tester: t, program: s.Program, text: program, record: s.Record}
	all, at := ledgers(s.Record, len(t.kit.Operations(s.Program)))
	e.ledgers = all
	a := s.Record.Under(model)
	if s.Cut < 0 || s.Cut > len(s.Record.Events) || !a.At(s.Cut).Fits(s.Vector) {
		return nil, fmt.Errorf("%s: cut %d and vector %v must fit the record", dir, s.Cut, s.Vector)
	}
	w := way{analysis: a, cut: s.Cut, vector: s.Vector}
	if s.Cut > 0 {
		w.ledger = at[s.Cut-1]
	}
	c, err := e.lookAt(ctx, nil, &distinct{state: a.At(s.Cut).State(s.Vector), ways: []way{w}})
	if c != nil {
		c.end()
	}
	if err != nil || e.best == nil {
		return nil, err
	}
	f := e.best
	f.operation = t.kit.Operations(f.Program)
	if f.Why.Kind != Refused && f.Why.Kind != Died && f.Why.Kind != Hangs {
		f.print = t.kit.Print(f.Program, f.Ledger, f.Found)
	}
	return f, nil
}
