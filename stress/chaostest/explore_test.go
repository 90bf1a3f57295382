package chaostest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"tensile/stress/explore"
	"tensile/stress/internal/programs"
)

func explored(t *testing.T, fault string, schedules int) explore.Outcome {
	return engineVocabulary(func(testing.TB) Engine { return faultyDriller{fault} }).Explored(t, schedules)
}

// TestExploredFaultsOfEngines plants a fault of each kind in a sound engine.
func TestExploredFaultsOfEngines(t *testing.T) {
	programs.MustFind(t, map[string]string{
		"injects after an abort":     "undone: ",
		"matches by prefix":          "plan: ",
		"one undo for each target":   "undone: ",
		"leaves out the last":        "plan: ",
		"undoes with the next":       "plan: ",
		"leaves all after a failure": "undone: ",
	}, func(t *testing.T, fault string) explore.Outcome { return explored(t, fault, 2000) })
}

// Without a fault the engine is sound, and what is judged is reached.
func TestExploredCoverageOfEngines(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	out := explored(t, "", 5000)
	if out.Failure != nil {
		t.Fatalf("%s\n%s", out.Failure.Sentence, out.Failure.Program)
	}
	for _, criterion := range []string{"plan", "undone"} {
		assert.Positive(t, engineVocabulary(nil).Coverage(out.Counts).Promises[criterion], criterion)
	}
}

// faultyDriller carries out a plan one event after the other, and is sound but for
// the fault that it is told to have. It draws no plans.
type faultyDriller struct{ fault string }

func (faultyDriller) Plan(Spec) ([]Step, error) { return nil, errors.ErrUnsupported }
func (faultyDriller) DryRun([]Step) string      { return "" }

func (f faultyDriller) Run(ctx context.Context, _ int, plan []Step, world World) (err error) {
	if err := world.Steady(ctx); err != nil {
		return err
	}
	type event struct {
		at   time.Duration
		step int
		ends bool
	}
	var events []event
	for i, s := range plan {
		if f.fault == "leaves out the last" && i == 2 {
			break
		}
		events = append(events, event{s.At, i, false}, event{s.At + s.For, i, true})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	undos := make(map[any]func() error)
	id := func(step int) any {
		if f.fault == "one undo for each target" {
			return plan[step].Target
		}
		return step
	}
	undo := func(step int) error {
		f := undos[id(step)]
		delete(undos, id(step))
		if f == nil {
			return nil
		}
		return f()
	}
	defer func() {
		if f.fault == "leaves all after a failure" && err != nil && ctx.Err() == nil {
			return
		}
		for i := range plan {
			err = errors.Join(err, undo(i))
		}
	}()
	began, over := time.Now(), ctx.Done()
	if f.fault == "injects after an abort" {
		over = nil
	}
	for _, e := range events {
		select {
		case <-time.After(time.Until(began.Add(e.at))):
		case <-over:
			return ctx.Err()
		}
		if e.ends {
			if f.fault == "undoes with the next" && len(undos) < 2 {
				continue
			}
			if err := undo(e.step); err != nil {
				return err
			}
			continue
		}
		target := plan[e.step].Target
		for _, s := range plan {
			if f.fault == "matches by prefix" && strings.HasPrefix(s.Target, target) {
				target = s.Target
			}
		}
		u, err := world.Inject(plan[e.step].Fault, target)
		if err != nil {
			return err
		}
		undos[id(e.step)] = u
	}
	return ctx.Err()
}
