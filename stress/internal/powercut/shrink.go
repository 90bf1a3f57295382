package powercut

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// ShrinkTime bounds the search for a smaller program and for less that is lost; one
// more program may be under way then.
const ShrinkTime = 20 * time.Second

// Shrink returns a finding of the same kind with as few operations as can be found
// in a while, of which as little as possible is lost.
func (t *Tester[P, F]) Shrink(ctx context.Context, f *Finding[P, F]) (*Finding[P, F], error) {
	until := time.Now().Add(ShrinkTime)
	recovered := eachRecovered
	if len(f.way.stages) > 1 {
		recovered = eachRecoveredAgain
	}
	for smaller := true; smaller; {
		smaller = false
		for _, p := range t.kit.Smaller(f.Program) {
			if time.Now().After(until) || ctx.Err() != nil {
				break
			}
			g, _, err := t.try(ctx, p, f.scope, recovered)
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
	f.tell(t.kit)
	return f, err
}

// loseLess takes losses of the last cut away that the violation does not need.
func (t *Tester[P, F]) loseLess(ctx context.Context, f *Finding[P, F], until time.Time) error {
	if !f.begun() || f.whileOpened() {
		return nil
	}
	e, err := t.again(f)
	if err != nil {
		return err
	}
	last := &f.way.stages[len(f.way.stages)-1]
	space := last.analysis.At(last.cut)
	by := <-t.idle
	defer func() { t.idle <- by }()
	try := func(vector []int) error {
		if slices.Equal(vector, last.vector) || time.Now().After(until) {
			return nil
		}
		state := space.State(vector)
		found, v, err := e.open(ctx, by, state, true)
		if err != nil {
			return err
		}
		if v = e.judge(f.way, found, v); v != nil && v.Kind == f.Why.Kind {
			last.vector, f.State, f.Found, f.Why = vector, state, found, *v
		}
		return nil
	}
	for size := len(last.vector); size > 0; size /= 2 { // nothing of these is lost
		for from := 0; from < len(last.vector); from += size {
			vector := slices.Clone(last.vector)
			clear(vector[from:min(from+size, len(vector))])
			if err := try(vector); err != nil {
				return err
			}
		}
	}
	for i, most := range last.vector { // or less
		for value := 1; value < most && last.vector[i] == most; value++ {
			vector := slices.Clone(last.vector)
			vector[i] = value
			if err := try(vector); err != nil {
				return err
			}
		}
	}
	return nil
}

// again is what is needed to look at a finding again.
func (t *Tester[P, F]) again(f *Finding[P, F]) (*exploration[P, F], error) {
	text, err := json.Marshal(f.Program)
	record := f.way.stages[0].record
	e := &exploration[P, F]{Tester: t, program: f.Program, text: text, conditions: f.conditions,
		scope: f.scope, record: record}
	e.ledgers, _ = ledgers(record, len(t.kit.Operations(f.Program)))
	return e, err
}
