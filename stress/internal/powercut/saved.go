package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tensile/stress/internal/crashstates"
)

// saved is what a folder of a finding holds besides the files themselves.
type saved[P, F any] struct {
	Program    P
	Conditions Conditions
	Model      string
	Stages     []savedStage
	Same       *F   `json:",omitempty"`
	Opened     bool `json:",omitempty"` // the violation is one of what opened the state
}

type savedStage struct {
	Cut    int
	Vector []int
	Record *crashstates.Record
}

// Save writes the finding into a folder, which must not exist: the table, what is
// needed to build the state again, and in "left" the files as the cut left them.
func (f *Finding[P, F]) Save(dir string) error {
	left := filepath.Join(dir, "left")
	if err := os.MkdirAll(left, 0o755); err != nil {
		return err
	}
	s := saved[P, F]{Program: f.Program, Conditions: f.conditions, Model: f.Model(), Same: f.way.same,
		Opened: f.whileOpened()}
	for _, at := range f.way.stages {
		s.Stages = append(s.Stages, savedStage{at.cut, at.vector, at.record})
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	state := f.State
	if f.whileOpened() {
		first := f.way.stages[0]
		state = first.analysis.At(first.cut).State(first.vector)
	}
	if state != nil {
		err = state.Write(left)
	}
	return errors.Join(err, os.WriteFile(filepath.Join(dir, "finding.json"), text, 0o644),
		os.WriteFile(filepath.Join(dir, "finding.txt"), []byte(f.String()), 0o644))
}

// Replay looks once more at the state of a finding that was saved, in a fresh
// process. It returns nil if nothing is wrong with it any more. One that was seen before
// any cut is run again.
func (t *Tester[P, F]) Replay(ctx context.Context, dir string) (*Finding[P, F], error) {
	text, err := os.ReadFile(filepath.Join(dir, "finding.json"))
	if err != nil {
		return nil, err
	}
	var s saved[P, F]
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if len(s.Stages) == 0 {
		f, _, err := t.try(ctx, s.Program, Scope{}, eachRecovered)
		if f != nil {
			f.tell(t.kit)
		}
		return f, err
	}
	w, err := s.way()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	e, err := t.again(&Finding[P, F]{Program: s.Program, conditions: s.Conditions, way: w})
	if err != nil {
		return nil, err
	}
	for _, event := range w.stages[0].record.Events[:w.cut()] {
		if event.Kind == crashstates.Mark {
			w.ledger++
		}
	}
	by := new(worker)
	defer by.endLook()
	defer by.endRecovery()
	last := w.last()
	if s.Opened {
		last = w.stages[0]
	}
	d := &distinct[F]{state: last.analysis.At(last.cut).State(last.vector), ways: []way[F]{w}}
	if s.Opened {
		_, err = e.recoverOnce(ctx, by, d)
	} else {
		err = e.lookAt(ctx, by, d)
	}
	if err != nil || e.best == nil {
		return nil, err
	}
	e.best.tell(t.kit)
	return e.best, nil
}

// way is the way that was saved.
func (s saved[P, F]) way() (w way[F], err error) {
	model, ok := crashstates.ModelNamed(s.Model)
	if !ok {
		return w, fmt.Errorf("the model is %q, and must be one of those that there are", s.Model)
	}
	w.same, w.fault = s.Same, s.Conditions.Recovery
	for n, at := range s.Stages {
		if at.Record == nil || at.Cut < 0 || at.Cut > len(at.Record.Events) {
			return w, fmt.Errorf("cut %d must fit the record", at.Cut)
		}
		a := at.Record.Under(model)
		if !(s.Opened && n > 0) && !a.At(at.Cut).Fits(at.Vector) {
			return w, fmt.Errorf("vector %v must fit cut %d of the record", at.Vector, at.Cut)
		}
		w.stages = append(w.stages, stage{at.Record, a, at.Cut, at.Vector})
	}
	return w, nil
}
