package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// world is what faults are injected into.
type world struct {
	mu     sync.Mutex
	hit    map[string]int
	peak   int
	undone int
}

func (w *world) inject(_ context.Context, target string) (func() error, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hit == nil {
		w.hit = make(map[string]int)
	}
	w.hit[target]++
	w.peak = max(w.peak, len(w.hit))
	return func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.hit[target]--; w.hit[target] == 0 {
			delete(w.hit, target)
		}
		w.undone++
		return nil
	}, nil
}

func (w *world) now() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.hit))
}

var errHit = errors.New("something is hit")

func (w *world) steady(context.Context) error {
	if hit := w.now(); len(hit) > 0 {
		return fmt.Errorf("%w: %v", errHit, hit)
	}
	return nil
}

const second = time.Second

func (w *world) experiment(bound int, steps ...Step) Experiment {
	return Experiment{
		Plan:       Plan{Seed: 1, Bound: bound, Steps: steps},
		Injectors:  map[Fault]Injector{Kill: w.inject, Pause: w.inject},
		Hypothesis: Hypothesis{Name: "nothing is hit", Check: w.steady},
	}
}

func TestExperiment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		e := w.experiment(2, Step{Kill, "a", second, 2 * second}, Step{Pause, "b", 2 * second, 3 * second},
			Step{Kill, "c", 10 * second, second})
		report, err := e.Run(t.Context())
		require.NoError(t, err)
		assert.Empty(t, w.now())
		assert.Equal(t, 3, w.undone)
		assert.Equal(t, 2, w.peak)
		assert.Equal(t, 2, report.Peak)

		a, b, c := report.Outcomes[0], report.Outcomes[1], report.Outcomes[2]
		assert.Equal(t, []time.Duration{second, 3 * second}, []time.Duration{a.Injected, a.Undone})
		assert.Equal(t, []time.Duration{2 * second, 5 * second}, []time.Duration{b.Injected, b.Undone})
		assert.InDelta(t, 0, a.Lost, float64(DefaultEvery), "noticed at the next check")
		assert.Negative(t, a.Recovered, "b was hit before it was steady again")
		assert.Equal(t, time.Duration(1), b.Lost, "it was lost already")
		assert.InDelta(t, 3*second, b.Recovered, float64(DefaultEvery))
		assert.InDelta(t, second, c.Recovered, float64(DefaultEvery))
		_, ok := report.Recovery()
		assert.False(t, ok)
		assert.InDelta(t, 500, report.Broken, 3, "five seconds in all")
		text := report.String()
		for _, says := range []string{"seed 1", "nothing is hit", "at most 2 targets", "not recovered", "recovered after 1"} {
			assert.Contains(t, text, says)
		}
	})
}

func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		report, err := w.experiment(1, Step{Kill, "a", 0, second}, Step{Kill, "b", 3 * second, 2 * second}).Run(t.Context())
		require.NoError(t, err)
		longest, ok := report.Recovery()
		assert.True(t, ok)
		assert.InDelta(t, 2*second, longest, float64(DefaultEvery))
	})
}

func TestNothingIsInjectedIntoAnUnsteadySystem(t *testing.T) {
	var w world
	e := w.experiment(1, Step{Kill, "a", 0, second})
	e.Hypothesis.Check = func(context.Context) error { return errors.New("out of order") }
	report, err := e.Run(t.Context())
	assert.ErrorIs(t, err, ErrUnsteady)
	assert.ErrorContains(t, err, "out of order")
	assert.Zero(t, w.peak)
	assert.Equal(t, 1, report.Checks)
}

func TestUnsteadyAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		e := w.experiment(1, Step{Kill, "a", 0, second})
		e.Settle = 5 * second
		e.Hypothesis.Check = func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.peak > 0 {
				return errors.New("never again")
			}
			return nil
		}
		began := time.Now()
		_, err := e.Run(t.Context())
		assert.ErrorIs(t, err, ErrUnsteady)
		assert.ErrorContains(t, err, "never again")
		assert.Equal(t, 6*second, time.Since(began))
	})
}

// TestFlapping holds at every other check, which is no steady state.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		e := w.experiment(1, Step{Kill, "a", 0, second})
		n := 0
		e.Hypothesis.Check = func(context.Context) error {
			if n++; n%2 == 0 {
				return errors.New("flapping")
			}
			return nil
		}
		_, err := e.Run(t.Context())
		assert.ErrorIs(t, err, ErrUnsteady)
	})
}

func TestDuringEndsTheExperiment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		e := w.experiment(2, Step{Kill, "a", 0, 100 * second}, Step{Kill, "b", 50 * second, second})
		began := time.Now()
		e.Hypothesis.During = func(context.Context) error {
			if time.Since(began) > 10*second {
				return errors.New("data lost")
			}
			return nil
		}
		_, err := e.Run(t.Context())
		assert.ErrorIs(t, err, ErrUnsteady)
		assert.ErrorContains(t, err, "data lost")
		assert.Less(t, time.Since(began), 11*second)
		assert.Equal(t, 1, w.peak)
		assert.Empty(t, w.now())
	})
}

// TestGoexitOfTheHypothesis: a hypothesis that is not checked any more does not
// hold, whichever half of it ended its goroutine, and when.
func TestGoexitOfTheHypothesis(t *testing.T) {
	const last = 100 * second
	for name, at := range map[string]time.Duration{
		"in the middle": 10 * second, "while the last is undone": last + second,
	} {
		for _, during := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, during: %t", name, during), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var w world
					e := w.experiment(1, Step{Kill, "a", 0, last})
					e.Injectors[Kill] = func(ctx context.Context, target string) (func() error, error) {
						undo, err := w.inject(ctx, target)
						return func() error { time.Sleep(10 * second); return undo() }, err
					}
					began := time.Now()
					check := func(context.Context) error {
						if time.Since(began) >= at {
							runtime.Goexit()
						}
						return nil
					}
					e.Every = second
					if e.Hypothesis.Check = func(context.Context) error { return nil }; during {
						e.Hypothesis.During = check
					} else {
						e.Hypothesis.Check = check
					}
					report, err := e.Run(t.Context())
					assert.ErrorIs(t, err, ErrUnsteady)
					assert.ErrorContains(t, err, "FailNow")
					assert.LessOrEqual(t, time.Since(began), at+11*second)
					assert.Equal(t, 1, report.Broken)
					assert.Empty(t, w.now())
				})
			})
		}
	}
}

func TestUndoneAtTheEnd(t *testing.T) {
	errBroken := errors.New("broken")
	steps := []Step{{Kill, "a", 0, 20 * second}, {Pause, "b", second, 20 * second}, {"third", "c", 2 * second, second}}
	third := func(f func() (func() error, error)) func(*Experiment) {
		return func(e *Experiment) {
			e.Injectors["third"] = func(context.Context, string) (func() error, error) { return f() }
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Experiment)
		is     error // of the run
		panics any
	}{
		{"an injector fails", third(func() (func() error, error) { return nil, errBroken }), ErrFault, nil},
		{"an injector panics", third(func() (func() error, error) { panic("injector") }), nil, "injector"},
		{"nothing to undo", third(func() (func() error, error) { return nil, nil }), nil, nil},
		{"an undoing fails", third(func() (func() error, error) {
			return func() error { return errBroken }, nil
		}), errBroken, nil},
		{"an undoing panics", third(func() (func() error, error) {
			return func() error { panic("undoing") }, nil
		}), ErrFault, nil},
		{"the check panics", func(e *Experiment) {
			e.Injectors["third"] = e.Injectors[Kill]
			check := e.Hypothesis.Check
			e.Hypothesis.Check = func(ctx context.Context) error {
				if err := check(ctx); err != nil {
					panic("check")
				}
				return nil
			}
		}, nil, "check"},
		{"the guard refuses", func(e *Experiment) {
			e.Injectors["third"] = e.Injectors[Kill]
			e.Guard, _ = NewGuard(2)
		}, ErrBlastRadius, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w world
				e := w.experiment(3, steps...)
				c.change(&e)
				run := func() { _, err := e.Run(t.Context()); assert.ErrorIs(t, err, c.is) }
				if c.panics != nil {
					assert.PanicsWithValue(t, c.panics, run)
				} else {
					run()
				}
				assert.Empty(t, w.now(), "left hit")
				if e.Guard != nil {
					assert.Zero(t, e.Guard.Now(), "still counted as hit")
					assert.Equal(t, 2, w.peak)
				}
			})
		})
	}
}

func TestUndoneWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		ctx, cancel := context.WithTimeout(t.Context(), 5*second)
		defer cancel()
		_, err := w.experiment(2, Step{Kill, "a", 0, 100 * second}, Step{Kill, "b", second, 100 * second}).Run(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2, w.peak)
		assert.Empty(t, w.now())
	})
}

func TestUndoingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		tries := 0
		e := w.experiment(1, Step{"stubborn", "a", 0, second})
		e.Injectors["stubborn"] = func(context.Context, string) (func() error, error) {
			return func() error {
				if tries++; tries == 1 {
					return errors.New("not yet")
				}
				return nil
			}, nil
		}
		report, err := e.Run(t.Context())
		assert.NoError(t, err)
		assert.Equal(t, 2, tries)
		assert.Equal(t, "undoing stubborn of \"a\": not yet", report.Outcomes[0].Err[len("chaos: fault: "):])
	})
}

// TestGuardCountsWhatIsHit has an undoing that fails: what is planned after it
// is within the bound of the plan, and would still be one too many.
func TestGuardCountsWhatIsHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w world
		e := w.experiment(1, Step{"stubborn", "a", 0, second}, Step{Kill, "b", 2 * second, second})
		e.Injectors["stubborn"] = func(context.Context, string) (func() error, error) {
			return func() error { return errors.New("no") }, nil
		}
		_, err := e.Run(t.Context())
		assert.ErrorIs(t, err, ErrBlastRadius)
		assert.Zero(t, w.peak)
	})
}

func TestExperimentErrors(t *testing.T) {
	var w world
	step := Step{Kill, "a", 0, second}
	for want, change := range map[string]func(*Experiment){
		`there is no injector`: func(e *Experiment) { e.Plan.Steps[0].Fault = "unheard of" },
		"has no Check":         func(e *Experiment) { e.Hypothesis.Check = nil },
		"Every is -1ns":        func(e *Experiment) { e.Every = -1 },
		"Settle is -1ns":       func(e *Experiment) { e.Settle = -1 },
		"Hold is 48h0m0s":      func(e *Experiment) { e.Hold = 2 * MaxTime },
		"For is 0s":            func(e *Experiment) { e.Plan.Steps[0].For = 0 },
	} {
		e := w.experiment(1, step)
		change(&e)
		_, err := e.Run(t.Context())
		assert.ErrorIs(t, err, ErrPlan)
		assert.ErrorContains(t, err, want)
		assert.ErrorIs(t, e.DryRun(&bytes.Buffer{}), ErrPlan)
	}
	assert.Zero(t, w.peak)
}

func TestDryRun(t *testing.T) {
	var w world
	var out bytes.Buffer
	e := w.experiment(1, Step{Kill, "node-7", second, 2 * second})
	require.NoError(t, e.DryRun(&out))
	assert.Equal(t, e.Plan.String(), out.String())
	assert.Contains(t, out.String(), "at 1s           for 2s           kill       node-7")
	assert.Zero(t, w.peak)
}
