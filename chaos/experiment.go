package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Injector injects a fault into a target and returns a function that undoes it, or nil if
// there is nothing to undo. An undo that fails is tried once more at the end. Both should
// return soon, because an experiment does one thing after the other.
type Injector func(ctx context.Context, target string) (undo func() error, err error)

// Hypothesis states what the steady state is.
type Hypothesis struct {
	Name string
	// Check returns nil while the system is in its steady state. It is called
	// repeatedly, by one goroutine at a time, and must return once its context has
	// ended. If it ends its goroutine instead, as testing.T.FailNow does, the steady
	// state counts as broken from then on.
	Check func(context.Context) error
	// During checks what must hold even while faults are active. It may be nil. If it
	// fails, the experiment ends at once.
	During func(context.Context) error
}

// Defaults of an Experiment.
const (
	DefaultEvery  = 10 * time.Millisecond
	DefaultSettle = 10 * time.Second
	DefaultHold   = 100 * time.Millisecond
)

// Experiment is a plan, and everything that is needed to carry it out.
type Experiment struct {
	Plan       Plan
	Injectors  map[Fault]Injector // for every fault of the plan
	Hypothesis Hypothesis
	Every      time.Duration // between two checks; 0 means DefaultEvery
	Settle     time.Duration // that the steady state may take to return after the last fault; 0 means DefaultSettle
	Hold       time.Duration // for which it must then hold without a break; 0 means DefaultHold
	Guard      *Guard        // nil means one of its own with the bound of the plan
}

func (e *Experiment) validate() error {
	if err := e.Plan.Validate(); err != nil {
		return err
	}
	for i, s := range e.Plan.Steps {
		if e.Injectors[s.Fault] == nil {
			return fmt.Errorf("%w: step %d is a %q, and there is no injector for it", ErrPlan, i, s.Fault)
		}
	}
	if e.Hypothesis.Check == nil {
		return fmt.Errorf("%w: the hypothesis %q has no Check", ErrPlan, e.Hypothesis.Name)
	}
	for _, d := range []struct {
		name string
		at   *time.Duration
		zero time.Duration
	}{{"Every", &e.Every, DefaultEvery}, {"Settle", &e.Settle, DefaultSettle}, {"Hold", &e.Hold, DefaultHold}} {
		if *d.at < 0 || *d.at > MaxTime {
			return fmt.Errorf("%w: %s is %v, must be 0 for %v, or up to %v", ErrPlan, d.name, *d.at, d.zero, MaxTime)
		}
		if *d.at == 0 {
			*d.at = d.zero
		}
	}
	if e.Guard == nil {
		guard, err := NewGuard(e.Plan.Bound)
		if err != nil {
			return err
		}
		e.Guard = guard
	}
	return nil
}

// DryRun writes the plan to w and touches nothing. It returns the error that
// Run would return before it begins.
func (e Experiment) DryRun(w io.Writer) error {
	if err := e.validate(); err != nil {
		return err
	}
	_, err := io.WriteString(w, e.Plan.String())
	return err
}

// Run carries out the experiment. It injects nothing unless the steady state holds. When it
// returns, or panics because a function that it calls does, it has undone everything that
// it injected, except where an undo failed. The error wraps ErrPlan, ErrUnsteady,
// ErrBlastRadius, ErrFault or the error of the context, or several of them. The report
// covers the experiment up to its end.
func (e Experiment) Run(ctx context.Context) (report Report, err error) {
	if err := e.validate(); err != nil {
		return Report{Plan: e.Plan}, err
	}
	r := &running{Experiment: e, undo: make([]func() error, len(e.Plan.Steps)), log: newLog(e.Plan)}
	if err := r.check(ctx); err != nil {
		return r.log.report(e), fmt.Errorf("%w before anything was injected: %s: %w", ErrUnsteady, e.Hypothesis.Name, err)
	}
	defer func() { report = r.log.report(e) }()
	if err := r.inject(ctx); err != nil {
		return Report{}, err
	}
	return Report{}, r.settle(ctx)
}

// errGoexit says that a hypothesis did not return.
var errGoexit = errors.New("the check ended its goroutine (runtime.Goexit, as by testing.T.FailNow)")

// running is an experiment under way.
type running struct {
	Experiment
	undo []func() error // of each step that is not undone
	log  *log
}

// check asks the hypothesis once and logs its answer.
func (r *running) check(ctx context.Context) error {
	err := r.Hypothesis.Check(ctx)
	r.log.checked(err)
	return err
}

// inject goes through the events of the plan while another goroutine checks the
// hypothesis. When it returns or panics everything is undone.
func (r *running) inject(ctx context.Context) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	var panicked any // by the hypothesis; handed on to our caller
	go func() {
		defer close(watched)
		returned := false
		defer func() {
			if panicked = recover(); panicked != nil {
				stop(nil)
			} else if !returned { // nobody would look any more, and nobody would know
				r.log.checked(errGoexit)
				stop(fmt.Errorf("%w during the faults: %s: %w", ErrUnsteady, r.Hypothesis.Name, errGoexit))
			}
		}()
		r.watch(ctx, stop)
		returned = true
	}()
	defer func() {
		stop(nil)
		err = errors.Join(err, r.undoAll())
		<-watched
		if cause := context.Cause(ctx); err == nil && errors.Is(cause, ErrUnsteady) { // while the last was undone
			err = cause
		}
		if panicked != nil {
			panic(panicked)
		}
	}()
	for _, event := range r.Plan.events() {
		if !sleep(ctx, event.at-r.log.since()) {
			return context.Cause(ctx)
		}
		if event.undo {
			_ = r.undoStep(event.step) // what fails is tried again at the end
		} else if err := r.injectStep(ctx, event.step); err != nil {
			return err
		}
	}
	return nil
}

func (r *running) injectStep(ctx context.Context, i int) error {
	s := r.Plan.Steps[i]
	if err := r.Guard.Hit(s.Target); err != nil {
		return err
	}
	at := r.log.since()
	undo, err := r.hit(ctx, s)
	if err != nil {
		r.Guard.Healed(s.Target)
		err = fmt.Errorf("%w: %s of %q: %w", ErrFault, s.Fault, s.Target, err)
		r.log.injected(i, at, err)
		return err
	}
	r.undo[i] = undo
	r.log.injected(i, at, nil)
	return nil
}

// hit calls the injector, and counts the target out if that panics.
func (r *running) hit(ctx context.Context, s Step) (undo func() error, err error) {
	returned := false
	defer func() {
		if !returned {
			r.Guard.Healed(s.Target)
		}
	}()
	undo, err = r.Injectors[s.Fault](ctx, s.Target)
	if undo == nil {
		undo = func() error { return nil }
	}
	returned = true
	return undo, err
}

func (r *running) undoStep(i int) error {
	if r.undo[i] == nil {
		return nil
	}
	s := r.Plan.Steps[i]
	if err := recovered(r.undo[i]); err != nil {
		err = fmt.Errorf("%w: undoing %s of %q: %w", ErrFault, s.Fault, s.Target, err)
		r.log.undone(i, err)
		return err
	}
	r.undo[i] = nil
	r.Guard.Healed(s.Target)
	r.log.undone(i, nil)
	return nil
}

// undoAll undoes what is left, the last first.
func (r *running) undoAll() error {
	var errs []error
	for i := len(r.undo) - 1; i >= 0; i-- {
		errs = append(errs, r.undoStep(i))
	}
	return errors.Join(errs...)
}

// recovered calls f and turns a panic into an error: what must all be undone
// does not end with the first that cannot be.
func recovered(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v", value)
		}
	}()
	return f()
}

// watch checks the hypothesis until ctx ends, and ends it itself if During
// fails.
func (r *running) watch(ctx context.Context, stop context.CancelCauseFunc) {
	for sleep(ctx, r.Every) {
		err := r.Hypothesis.Check(ctx)
		if ctx.Err() != nil {
			return // what is cut short says nothing
		}
		r.log.checked(err)
		if r.Hypothesis.During == nil {
			continue
		}
		if err := r.Hypothesis.During(ctx); err != nil && ctx.Err() == nil {
			stop(fmt.Errorf("%w during the faults: %s: %w", ErrUnsteady, r.Hypothesis.Name, err))
		}
	}
}

// settle waits until the steady state has held for Hold.
func (r *running) settle(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, r.Settle)
	defer cancel()
	var err error
	for {
		last := r.check(limit)
		if last == nil && r.log.steadyFor() >= r.Hold {
			return nil
		}
		if err == nil || limit.Err() == nil {
			err = last // what is cut short says nothing
		}
		if !sleep(limit, r.Every) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == nil {
				err = fmt.Errorf("it has held for %v, must be %v", r.log.steadyFor(), r.Hold)
			}
			return fmt.Errorf("%w %v after the last fault: %s: %w", ErrUnsteady, r.Settle, r.Hypothesis.Name, err)
		}
	}
}

// sleep waits for d and returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
