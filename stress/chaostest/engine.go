package chaostest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
)

// engineKit is the part of the chaos scenario with an engine.
type engineKit struct {
	*scenario.Scenario
	open func(testing.TB) Engine
}

func (k *engineKit) phases() []phase {
	soon := 2 * scenario.Settle
	return []phase{
		{Name: "engine: plans", Body: k.plans, Shows: "plan dry_run blast_radius"},
		{Name: "engine: blast radius", Body: k.blastRadius, Shows: "blast_radius plan undone", Within: soon},
		{Name: "engine: everything undone", Body: k.undone, Shows: "undone", Within: soon},
		{Name: "engine: steady state", Body: k.gate, Shows: "gate undone", Within: soon},
	}
}

func (k *engineKit) start(t testing.TB) Engine {
	e := k.open(t)
	k.Subject(e)
	return e
}

// engineTargets are twelve: a guard that lets one of them more go than it
// should lets a twelfth more go.
const engineTargets = 12

// spec is one whose faults crowd, so that the bound is what limits them.
func (k *engineKit) spec(i int) Spec {
	return Spec{Seed: k.Seed + uint64(i), Faults: []string{"kill", "pause", "delay"},
		Targets: proc.NodeNames(engineTargets), Steps: 40, Spread: 40 * time.Millisecond, Min: 2 * time.Millisecond,
		Max: 10 * time.Millisecond, Bound: 1 + i%3}
}

// atOnce is the most targets that a plan hits at the same time.
func atOnce(plan []Step) int {
	most := 0
	for _, s := range plan {
		hit := make(map[string]bool)
		for _, o := range plan {
			if o.At <= s.At && s.At < o.At+o.For {
				hit[o.Target] = true
			}
		}
		most = max(most, len(hit))
	}
	return most
}

// plans draws many, each twice.
func (k *engineKit) plans(ctx context.Context, t *testing.T) {
	const seeds = 50
	e := k.start(t)
	differ := false
	var first []Step
	for i := range seeds {
		spec := k.spec(i)
		plan, err := e.Plan(spec)
		again, err2 := k.start(t).Plan(spec)
		if err := errors.Join(err, err2); err != nil {
			k.Fault("Plan returned %v", err)
			return
		}
		if !reflect.DeepEqual(plan, again) || e.DryRun(plan) != e.DryRun(again) {
			k.Violate("plan", "two plans from seed %d differ", spec.Seed)
		}
		if i == 0 {
			first = plan
		}
		differ = differ || !reflect.DeepEqual(first, plan)
		if len(plan) != spec.Steps {
			k.Violate("plan", "a plan of %d faults has %d", spec.Steps, len(plan))
		}
		for _, s := range plan {
			if !slices.Contains(spec.Faults, s.Fault) || !slices.Contains(spec.Targets, s.Target) || s.For < spec.Min ||
				s.For > spec.Max || s.At < 0 {
				k.Violate("plan", "a plan has the step %+v, which was not asked for", s)
			}
		}
		if n := atOnce(plan); n > spec.Bound {
			k.Violate("blast_radius", "the plan from seed %d hits %d of %d targets at once, the bound is %d",
				spec.Seed, n, engineTargets, spec.Bound)
		}
	}
	if !differ {
		k.Violate("plan", "%d seeds give the same plan", seeds)
	}
	crowd := everyTarget()
	text := e.DryRun(crowd)
	for _, s := range crowd {
		if !strings.Contains(text, s.Target) || !strings.Contains(text, s.Fault) {
			k.Violate("dry_run", "the dry run does not show the %s of %s", s.Fault, s.Target)
		}
	}
}

// everyTarget is a plan that hits all targets at once.
func everyTarget() []Step {
	var crowd []Step
	for i := range engineTargets {
		crowd = append(crowd, Step{"kill", fmt.Sprintf("node-%02d", i), 0, 20 * time.Millisecond})
	}
	return crowd
}

// arena is a world that only counts.
type arena struct {
	mu       sync.Mutex
	hit      map[string]int
	peak     int
	injected int
	twice    int                              // undone more often than injected
	before   func(fault, target string) error // called before an injection; its error is that of the injection
	steady   func() error
}

func (a *arena) world() World { return World{a.inject, a.isSteady} }

func (a *arena) inject(fault, target string) (func() error, error) {
	if a.before != nil {
		if err := a.before(fault, target); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hit == nil {
		a.hit = make(map[string]int)
	}
	a.hit[target]++
	a.injected++
	a.peak = max(a.peak, len(a.hit))
	over := false
	return func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if over {
			a.twice++
			return nil
		}
		over = true
		if a.hit[target]--; a.hit[target] == 0 {
			delete(a.hit, target)
		}
		return nil
	}, nil
}

func (a *arena) isSteady(context.Context) error {
	if a.steady == nil {
		return nil
	}
	return a.steady()
}

// left are the targets that are still hit.
func (a *arena) left() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.hit))
}

// clean checks that nothing is left of a run.
func (k *engineKit) clean(a *arena, when string) {
	if left := a.left(); len(left) > 0 {
		k.Violate("undone", "%s: %v are still hit", when, left)
	}
	if a.twice > 0 {
		k.Violate("undone", "%s: %d faults were undone more than once", when, a.twice)
	}
}

// blastRadius carries out plans that crowd, and one that would exceed its
// bound.
func (k *engineKit) blastRadius(ctx context.Context, t *testing.T) {
	runs := 6
	if testing.Short() {
		runs = 2
	}
	e := k.start(t)
	for i := range runs {
		spec := k.spec(i)
		plan, err := e.Plan(spec)
		if err != nil {
			k.Fault("Plan returned %v", err)
			return
		}
		var a arena
		if err := e.Run(ctx, spec.Bound, plan, a.world()); err != nil {
			k.Fault("Run of a plan within its bound returned %v", err)
		}
		if a.peak > spec.Bound {
			k.Violate("blast_radius", "%d of %d targets were hit at once, the bound is %d", a.peak, engineTargets, spec.Bound)
		}
		if a.injected != len(plan) {
			k.Violate("plan", "of a plan of %d faults %d were injected", len(plan), a.injected)
		}
		k.clean(&a, "after a run")
	}
	for bound := 1; bound < engineTargets; bound++ {
		crowd := everyTarget()
		var a arena
		err := e.Run(ctx, bound, crowd, a.world())
		if a.peak > bound {
			k.Violate("blast_radius", "a plan that hits all %d targets at once had %d hit at once, the bound is %d",
				engineTargets, a.peak, bound)
		}
		if err == nil && a.injected < len(crowd) {
			k.Violate("blast_radius", "of a plan that exceeds its bound %d of %d faults were injected, and no error says so",
				a.injected, len(crowd))
		}
		k.clean(&a, "after a plan that exceeds its bound")
	}
}

// undone ends runs in every way there is.
func (k *engineKit) undone(ctx context.Context, t *testing.T) {
	long := []Step{
		{"kill", "node-0", 0, time.Minute}, {"pause", "node-1", 0, time.Minute},
		{"delay", "node-2", 5 * time.Millisecond, time.Minute},
	}
	third := func(f func() error) func(fault, _ string) error {
		return func(fault, _ string) error {
			if fault == "delay" {
				return f()
			}
			return nil
		}
	}
	for _, c := range []struct {
		when   string
		before func(stop context.CancelFunc) func(fault, target string) error
	}{
		{"after an injection failed", func(context.CancelFunc) func(string, string) error {
			return third(func() error { return errHandler })
		}},
		{"after an injection panicked", func(context.CancelFunc) func(string, string) error {
			return third(func() error { panic(deadly) })
		}},
		{"after the context ended", func(stop context.CancelFunc) func(string, string) error {
			return third(func() error { stop(); return nil })
		}},
	} {
		e := k.start(t)
		ctx, stop := context.WithCancel(ctx)
		a := arena{before: c.before(stop)}
		err := func() (err error) {
			defer func() {
				if value := recover(); value != nil {
					err = fmt.Errorf("panic: %v", value)
				}
			}()
			return e.Run(ctx, len(long), long, a.world())
		}()
		stop()
		if err == nil {
			k.Violate("undone", "%s: Run returned no error", c.when)
		}
		if a.injected < 2 {
			k.Fault("%s: %d faults were injected, must be 2 or more: the run returned %v", c.when, a.injected, err)
		}
		k.clean(&a, c.when)
	}
}

// gate: no fault without a steady state, and no success without one afterwards.
func (k *engineKit) gate(ctx context.Context, t *testing.T) {
	plan := []Step{{"kill", "node-0", 0, 5 * time.Millisecond}}
	unsteady := errors.New("the steady state does not hold")

	e := k.start(t)
	a := arena{steady: func() error { return unsteady }}
	if err := e.Run(ctx, 1, plan, a.world()); err == nil {
		k.Violate("gate", "the steady state did not hold before the faults, and Run returned no error")
	}
	if a.injected > 0 {
		k.Violate("gate", "%d faults were injected although the steady state did not hold", a.injected)
	}

	ctx, stop := context.WithTimeout(ctx, scenario.Settle)
	defer stop()
	// After the fault was undone: for that long it may take an engine to believe
	// that the state is steady, even if it is not told so.
	const asks, patience = 20, 200 * time.Millisecond
	var since time.Time
	var b arena
	asked := 0
	b.steady = func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.injected == 0 {
			return nil
		}
		if len(b.hit) > 0 {
			return unsteady
		}
		if asked++; asked == 1 {
			since = time.Now()
		}
		if asked >= asks && time.Since(since) > patience {
			stop()
		}
		return unsteady
	}
	if err := e.Run(ctx, 1, plan, b.world()); err == nil {
		k.Violate("gate", "the steady state did not return after the faults, and Run returned no error")
	}
	k.clean(&b, "after a steady state that did not return")
}
