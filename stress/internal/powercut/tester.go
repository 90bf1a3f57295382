package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/recorder"
)

// ErrUnsupported says that the system lacks a feature that power cuts need.
var ErrUnsupported = recorder.ErrUnsupported

var errLate = errors.New("it did not return in time")

// Tester runs programs of a kit through power cuts. Its methods must not be called
// concurrently.
type Tester[P, F any] struct {
	kit    *Kit[P, F]
	site   *proc.Site
	o      Options
	dir    string
	idle   chan *worker
	seen   map[crashstates.Hash]bool // states of all programs
	counts Counts
}

// inMemory is where Linux keeps files in memory. Thousands of states are written, opened
// and removed, which would be slow on a disk.
const inMemory = "/dev/shm"

const defaultPatience = 10 * time.Second

// New makes a tester whose children are those of the site. It must be closed.
func New[P, F any](kit *Kit[P, F], site *proc.Site, o Options) (*Tester[P, F], error) {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	dir, err := os.MkdirTemp(inMemory, "powercut-")
	if err != nil {
		if dir, err = os.MkdirTemp("", "powercut-"); err != nil {
			return nil, err
		}
	}
	t := &Tester[P, F]{kit: kit, site: site, o: o, dir: dir, seen: make(map[crashstates.Hash]bool),
		idle: make(chan *worker, 2*runtime.GOMAXPROCS(0))}
	for range cap(t.idle) {
		t.idle <- new(worker)
	}
	return t, nil
}

// Close ends the children and removes their files.
func (t *Tester[P, F]) Close() error {
	for range cap(t.idle) {
		w := <-t.idle
		w.endLook()
		w.endRecovery()
	}
	return os.RemoveAll(t.dir)
}

// Counts are totals so far.
func (t *Tester[P, F]) Counts() Counts { return t.counts }

// Try runs one program through all its cuts. A nil Finding means that nothing is wrong
// with any of the states that were checked. An error means that nothing could be tried.
func (t *Tester[P, F]) Try(ctx context.Context, program P, scope Scope) (*Finding[P, F], error) {
	f, counts, err := t.try(ctx, program, scope, eachRecovered)
	t.counts.add(counts)
	return f, err
}

// eachRecovered is of how many states one is recovered under further cuts; and where calls
// fail meanwhile, or it is a finding of this kind that is shrunk.
const eachRecovered, eachRecoveredAgain = 32, 4

func (t *Tester[P, F]) try(ctx context.Context, program P, scope Scope, recovered int) (*Finding[P, F], Counts, error) {
	text, err := json.Marshal(program)
	if err != nil {
		return nil, Counts{}, err
	}
	conditions := t.kit.Conditions(program)
	r, seen, err := t.record(ctx, program, text, conditions.Run, false)
	if err == nil && !r.struck && seen > 0 {
		conditions.Run.Nth %= seen
		r, _, err = t.record(ctx, program, text, conditions.Run, false)
	}
	if err == nil && r.wrong != nil && r.wrong.Kind == Hangs { // unless the machine is slow
		r, _, err = t.record(ctx, program, text, conditions.Run, true)
	}
	if err != nil {
		return nil, Counts{}, err
	}
	if r.wrong != nil {
		return &Finding[P, F]{Program: program, Why: *r.wrong, conditions: conditions, scope: scope}, Counts{Programs: 1}, nil
	}
	e := &exploration[P, F]{Tester: t, program: program, text: text, conditions: conditions, scope: scope,
		record: r.record}
	e.collect()
	if conditions.Recovery.Kind != "" {
		recovered = min(recovered, eachRecoveredAgain)
	}
	if err = e.each(ctx, e.list, e.lookAt); err == nil && e.best == nil {
		err = e.each(ctx, e.toRecover(recovered), e.recover)
	}
	counts := e.counts
	counts.Programs++
	counts.count(r.record)
	if r.struck {
		counts.Faults++
	}
	return e.best, counts, err
}

// recorded is what a child has done to files.
type recorded[F any] struct {
	record *crashstates.Record
	struck bool       // a call of it was made to fail
	wrong  *Violation // the child could not do what it was asked to, and no call had failed
	read   *F         // what it found, if it was asked for that and has read it
	fault  Fault
}

// record lets a child run a program and records what it does. seen is the number of calls
// that could have had the fault.
func (t *Tester[P, F]) record(
	ctx context.Context, p P, program json.RawMessage, f Fault, patient bool,
) (r recorded[F], seen int, err error) {
	dir, err := t.folder()
	if err != nil {
		return r, 0, err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(dir)) }()
	c, err := t.start(false)
	if err != nil {
		return r, 0, err
	}
	defer c.end()
	if t.kit.Prepare != nil {
		err := t.ask(ctx, c, request{Op: askPrepare, Dir: dir, Program: program, Patient: patient}, nil)
		if ctx.Err() != nil {
			return r, 0, context.Cause(ctx)
		}
		if err != nil {
			r.wrong = c.violation(err)
			return r, 0, nil
		}
	}
	j := injector{f: f}
	o := recorder.Options{Fault: j.fault}
	if t.kit.Concurrent(p) {
		o.Linger = t.o.Linger
	}
	rec, err := t.enter(ctx, c, dir, o)
	if err != nil {
		return r, 0, err
	}
	ran := t.ask(ctx, c, request{Op: askRun, Dir: dir, Program: program, Patient: patient}, nil)
	c.Kill() // it has done its work
	r.record, err = rec.Wait()
	if ctx.Err() != nil {
		return r, 0, context.Cause(ctx)
	}
	r.struck = j.struck
	if err == nil && ran != nil {
		r.wrong = c.unless(r.struck, ran)
	}
	return r, j.seen, err
}

// enter takes over the calls of a child.
func (t *Tester[P, F]) enter(
	ctx context.Context, c *child, dir string, o recorder.Options,
) (*recorder.Recorder, error) {
	var descriptor int
	if err := t.ask(ctx, c, request{Op: askEnter}, &descriptor); ctx.Err() != nil {
		return nil, context.Cause(ctx)
	} else if errors.Is(err, errLate) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return recorder.Start(c.Pid(), descriptor, dir, o)
}

// unless is the violation of a child that could not do what it was asked to do. One of
// which a call was made to fail may end, or say so, but not hang.
func (c *child) unless(struck bool, err error) *Violation {
	v := c.violation(err)
	if struck && v.Kind != Hangs {
		return nil
	}
	return v
}

// violation is the violation of a child that could not do what it was asked to do.
func (c *child) violation(err error) *Violation {
	switch {
	case errors.Is(err, errLate):
		return &Violation{Hangs, errLate.Error()}
	case errors.Is(err, proc.ErrEnded):
		c.Kill()
		return &Violation{Died, fmt.Sprintf("the process ended: %s", c.said())}
	}
	// Which child said so is not what is wrong.
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		err = all.Unwrap()[len(all.Unwrap())-1]
	}
	return &Violation{Refused, err.Error()}
}
