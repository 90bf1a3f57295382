package chaostest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tensile/stress/internal/programs"
)

// What may come in between in a run.
const (
	abortEvent  = "the context ends"
	failedUndo  = "the undoing fails"
	brokenUndo  = "the undoing panics"
	slowUndo    = "the undoing takes long"
	failedFault = "the injection fails"
	brokenFault = "the injection panics"
)

// explorations are those of engines: plans that are anybody's, carried out in virtual
// time on targets that only count.
func (k *engineKit) explorations() []programs.Part {
	v := engineVocabulary(k.open)
	return []programs.Part{{Name: "engine", Body: v.Body, Short: 1200 * time.Millisecond, Full: 10 * time.Second,
		Least: 200, Coverage: v.Coverage}}
}

func engineVocabulary(open func(testing.TB) Engine) *programs.Vocabulary[*drill] {
	return &programs.Vocabulary[*drill]{
		New:    func(p *programs.Program, tb testing.TB) *drill { return newDrill(p, open(tb)) },
		Script: func(_ *programs.Program, d *drill) { d.run() },
	}
}

// drill is one run of a plan, with what was done to the targets.
type drill struct {
	*programs.Program
	engine Engine
	plan   []Step
	twist  string        // which of the events comes, if any
	at     int           // the step that it is of
	abort  time.Duration // when the context ends; 0 for never

	mu       programs.Lock
	began    time.Time // when the steady state was asked for first
	faults   []*struck
	returned bool
	late     time.Duration // that undoing took
}

// struck is a fault that was injected, or was to be.
type struck struct {
	fault, target string
	at, undone    time.Duration
	step          int // of the plan; -1 for none
	refused, over bool
}

// A program may run ahead of the clock by 50 ms, so plans go by tenths of a second.
const (
	tick      = 200 * time.Millisecond
	imprecise = 150 * time.Millisecond
	longUndo  = time.Second
)

// drillTargets have names of which some begin with others.
var drillTargets = [...]string{"node-1", "node-11", "node-2", "node-111"}

var errUndo = errors.New("the undoing fails, on purpose")

var twists = [...]string{"", abortEvent, abortEvent, failedUndo, brokenUndo, slowUndo, failedFault, brokenFault}

func newDrill(p *programs.Program, e Engine) *drill {
	d := &drill{Program: p, engine: e}
	n := 1 + p.Draw(4)
	for range n {
		d.plan = append(d.plan, Step{
			Fault: []string{Kill, Pause, Delay}[p.Draw(3)], Target: drillTargets[p.Draw(len(drillTargets))],
			At: time.Duration(p.Draw(6)) * tick, For: time.Duration(1+p.Draw(6)) * tick})
	}
	slices.SortStableFunc(d.plan, func(a, b Step) int { return cmp.Compare(a.At, b.At) }) // as a plan may have to be
	d.twist = twists[p.Draw(len(twists))]
	d.at = p.Draw(n)
	if d.twist == abortEvent {
		d.abort = time.Duration(1+p.Draw(24)) * tick / 2
	}
	var text []string
	for _, s := range d.plan {
		text = append(text, fmt.Sprintf("%s of %s at %v for %v", s.Fault, s.Target, s.At, s.For))
	}
	d.Step(strings.Join(text, ", "))
	switch d.twist {
	case "":
	case abortEvent:
		d.Step(fmt.Sprintf("the context ends after %v", d.abort))
	default:
		d.Step(fmt.Sprintf("%s: the %s of %s", d.twist, d.plan[d.at].Fault, d.plan[d.at].Target))
	}
	return d
}

func (d *drill) elapsed() time.Duration { return time.Since(d.began) }

// inject notes a fault. Of equal steps of a plan it is the first that was not injected.
func (d *drill) inject(fault, target string) (func() error, error) {
	d.mu.Lock()
	f := &struck{fault: fault, target: target, at: d.elapsed(), step: -1}
	for i, s := range d.plan {
		taken := false
		for _, o := range d.faults {
			taken = taken || o.step == i
		}
		if s.Fault != fault || s.Target != target || taken {
			continue
		}
		if f.step < 0 || s.At < d.plan[f.step].At {
			f.step = i
		}
	}
	returned := d.returned
	f.refused = f.step == d.at && (d.twist == failedFault || d.twist == brokenFault)
	d.faults = append(d.faults, f)
	d.mu.Unlock()
	switch {
	case returned:
		d.Violate("undone", "%s of %s was injected when Run had returned", fault, target)
	case f.step < 0:
		d.Violate("plan", "%s of %s was injected, which the plan does not contain, or not this often", fault, target)
	case d.abort > 0 && f.at > d.abort+imprecise:
		d.Violate("undone", "%s of %s was injected %v after the context had ended", fault, target, f.at-d.abort)
	case f.refused && d.twist == failedFault:
		return nil, errHandler
	case f.refused:
		panic(deadly)
	}
	return func() error { return d.undo(f) }, nil
}

func (d *drill) undo(f *struck) error {
	d.mu.Lock()
	over := f.over
	first := d.twist != ""
	twist := ""
	if f.step == d.at && first {
		twist = d.twist
	}
	if twist == failedUndo || twist == brokenUndo {
		d.twist = "" // the next time it goes well
	}
	d.mu.Unlock()
	if over {
		d.Violate("undone", "%s of %s was undone more than once", f.fault, f.target)
	}
	switch twist {
	case slowUndo:
		time.Sleep(longUndo)
	case failedUndo:
		return errUndo
	case brokenUndo:
		panic(deadly)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if twist == slowUndo {
		d.late = longUndo
	}
	f.over, f.undone = true, d.elapsed()
	return nil
}

// run carries the plan out, and judges what came of it.
func (d *drill) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d.began = time.Now()
	if d.abort > 0 {
		d.Go("abort", func() { time.Sleep(d.abort); cancel() })
	}
	twist := d.twist
	var err error
	panicked, done := false, false
	d.Go("Run", func() {
		defer func() {
			if recover() != nil {
				panicked = true
			}
			d.mu.Lock()
			d.returned, done = true, true
			d.mu.Unlock()
		}()
		err = d.engine.Run(ctx, len(drillTargets), d.plan, World{Inject: d.inject, Steady: func(context.Context) error {
			return nil
		}})
	})
	for range 60 {
		time.Sleep(time.Second)
		d.mu.Lock()
		over := done
		d.mu.Unlock()
		if over {
			break
		}
	}
	if !done {
		d.Violate("undone", "Run has not returned a minute after the plan was over")
	}
	d.judge(twist, err, panicked)
	time.Sleep(6 * time.Second) // more than is left of any plan
}

// judge compares what was done with the plan, once Run has returned.
func (d *drill) judge(twist string, err error, panicked bool) {
	d.mu.Lock()
	faults, late := d.faults, d.late
	d.mu.Unlock()
	d.Tried("undone")
	for _, f := range faults {
		if !f.over && !f.refused && !((twist == failedUndo || twist == brokenUndo) && f.step == d.at &&
			(err != nil || panicked)) {
			d.Violate("undone", "%s of %s is still injected after Run has returned", f.fault, f.target)
		}
	}
	// Of what did not go by the plan: a run need not go on.
	if twist == failedUndo || twist == brokenUndo || twist == failedFault || twist == brokenFault {
		if err == nil && !panicked && (twist == failedFault || twist == brokenFault) {
			d.Violate("undone", "%s, and Run returned no error", twist)
		}
		return
	}
	aborted := twist == abortEvent && (err != nil || panicked)
	if !aborted && (err != nil || panicked) {
		d.Violate("plan", "Run of a plan within its bound returned %v, and nothing was wrong", err)
	}
	if !aborted && len(faults) < len(d.plan) {
		d.Violate("plan", "of a plan of %d faults %d were injected", len(d.plan), len(faults))
	}
	d.Tried("plan")
	for _, f := range faults {
		s := d.plan[f.step]
		switch ends := s.At + s.For; {
		case f.at < s.At-imprecise || f.at > s.At+imprecise+late:
			d.Violate("plan", "%s of %s was injected at %v, the plan has it at %v", f.fault, f.target, f.at, s.At)
		case !(aborted && f.undone > d.abort-imprecise) && f.undone < min(ends, s.For+f.at)-imprecise:
			d.Violate("plan", "%s of %s was undone at %v, the plan has it on until %v", f.fault, f.target, f.undone, ends)
		case f.undone > ends+imprecise+late:
			d.Violate("plan", "%s of %s was undone at %v, the plan has it on until %v", f.fault, f.target, f.undone, ends)
		}
	}
}

// Rest and Finish have nothing to do: a drill is one run.
func (d *drill) Rest()   {}
func (d *drill) Finish() {}
