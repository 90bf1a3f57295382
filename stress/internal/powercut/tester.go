package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
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
	idle   chan *child // that check states; nil for one that must be started
	counts Counts
}

// inMemory is where Linux keeps files in memory. Thousands of states are written, opened
// and removed, which would be slow on a disk.
const inMemory = "/dev/shm"

const defaultPatience = 10 * time.Second

// New makes a tester whose children are those of the site. It must be closed.
func New[P, F any](kit *Kit[P, F], site *proc.Site, o Options) (*Tester[P, F], error) {
	if o.Models == nil {
		o.Models = crashstates.Models()
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	dir, err := os.MkdirTemp(inMemory, "powercut-")
	if err != nil {
		if dir, err = os.MkdirTemp("", "powercut-"); err != nil {
			return nil, err
		}
	}
	t := &Tester[P, F]{kit: kit, site: site, o: o, dir: dir, idle: make(chan *child, 2*runtime.GOMAXPROCS(0))}
	for range cap(t.idle) {
		t.idle <- nil
	}
	return t, nil
}

// Close ends the children and removes their files.
func (t *Tester[P, F]) Close() error {
	for range cap(t.idle) {
		if c := <-t.idle; c != nil {
			c.end()
		}
	}
	return os.RemoveAll(t.dir)
}

// Counts are totals so far.
func (t *Tester[P, F]) Counts() Counts { return t.counts }

// Try runs one program through all its cuts. A nil Finding means that nothing is wrong
// with any of the states that were checked. An error means that nothing could be tried.
func (t *Tester[P, F]) Try(ctx context.Context, program P) (*Finding[P, F], error) {
	f, counts, err := t.try(ctx, program)
	t.counts.add(counts)
	return f, err
}

func (t *Tester[P, F]) try(ctx context.Context, program P) (*Finding[P, F], Counts, error) {
	text, err := json.Marshal(program)
	if err != nil {
		return nil, Counts{}, err
	}
	record, v, err := t.record(ctx, program, text, false)
	if v != nil && v.Kind == Hangs { // unless the machine is slow
		record, v, err = t.record(ctx, program, text, true)
	}
	if err != nil {
		return nil, Counts{}, err
	}
	if v != nil {
		return &Finding[P, F]{Program: program, Record: record, Why: *v, cut: len(record.Events), unstarted: true},
			Counts{Programs: 1}, nil
	}
	e := &exploration[P, F]{Tester: t, program: program, text: text, record: record}
	e.collect()
	f, err := e.look(ctx)
	counts := Counts{
		Programs: 1, Calls: len(record.Events), Cuts: len(record.Events) + 1, States: e.looked, Judged: e.judged,
	}
	for _, event := range record.Events {
		switch event.Kind {
		case crashstates.Note:
			counts.Notes = append(counts.Notes, event.Text)
		case crashstates.Mark:
			counts.Calls--
		}
	}
	return f, counts, err
}

// record lets a child run a program and records what it does. A violation means that the
// child could not run it.
func (t *Tester[P, F]) record(
	ctx context.Context, p P, program json.RawMessage, patient bool,
) (*crashstates.Record, *Violation, error) {
	dir, err := t.folder()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(dir)) }()
	c, err := t.start()
	if err != nil {
		return nil, nil, err
	}
	defer c.end()
	if t.kit.Prepare != nil {
		err := t.ask(ctx, c, request{Op: askPrepare, Dir: dir, Program: program, Patient: patient}, nil)
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if err != nil {
			return new(crashstates.Record), c.violation(err), nil
		}
	}
	var descriptor int
	if err := t.ask(ctx, c, request{Op: askEnter}, &descriptor); ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	} else if errors.Is(err, errLate) {
		return nil, nil, err
	} else if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	var o recorder.Options
	if t.kit.Concurrent(p) {
		o.Linger = t.o.Linger
	}
	r, err := recorder.Start(c.Pid(), descriptor, dir, o)
	if err != nil {
		return nil, nil, err
	}
	ran := t.ask(ctx, c, request{Op: askRun, Dir: dir, Program: program, Patient: patient}, nil)
	c.Kill() // it has done its work
	record, err := r.Wait()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err == nil && ran != nil {
		return record, c.violation(ran), nil
	}
	return record, nil, err
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
	return &Violation{Refused, err.Error()}
}

// exploration is one record and its states.
type exploration[P, F any] struct {
	*Tester[P, F]
	program P
	text    json.RawMessage
	record  *crashstates.Record
	ledgers []Ledger
	list    []*distinct

	mu     sync.Mutex
	looked int
	judged int
	best   *Finding[P, F]
	err    error
}

// distinct is a state that differs from all others, and when it may occur.
type distinct struct {
	state *crashstates.State
	ways  []way // one for each ledger
}

// way leads to a state.
type way struct {
	analysis *crashstates.Analysis
	cut      int
	vector   []int
	ledger   int
}

// collect builds the states.
func (e *exploration[P, F]) collect() {
	var at []int
	e.ledgers, at = ledgers(e.record, len(e.kit.Operations(e.program)))
	at = append([]int{0}, at...)
	seen := make(map[crashstates.Hash]*distinct)
	cuts := len(e.record.Events) + 1
	each := max(e.o.States/(cuts*len(e.o.Models)), leastPerCut)
	heavy := e.kit.Heavy != nil && e.kit.Heavy(e.program)
	if heavy {
		each = 2
	}
	for _, m := range e.o.Models {
		a := e.record.Under(m)
		for cut := range cuts {
			if heavy && cut < cuts-1 || e.o.AfterOpen && at[cut] == 0 {
				continue
			}
			space := a.At(cut)
			space.Vectors(each, e.o.Seed, func(vector []int) bool {
				state := space.State(vector)
				d := seen[state.Hash]
				if d == nil {
					d = &distinct{state: state}
					seen[state.Hash] = d
					e.list = append(e.list, d)
				}
				for _, w := range d.ways {
					if w.ledger == at[cut] {
						return true
					}
				}
				d.ways = append(d.ways, way{a, cut, append([]int(nil), vector...), at[cut]})
				return true
			})
		}
	}
}

// leastPerCut is how many vectors are tried at each cut at least.
const leastPerCut = 16

// look checks and judges all states. It returns the finding that comes first in the
// program.
func (e *exploration[P, F]) look(ctx context.Context) (*Finding[P, F], error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan *distinct)
	var all sync.WaitGroup
	for range cap(e.idle) {
		all.Go(func() {
			c := <-e.idle
			defer func() { e.idle <- c }()
			for d := range work {
				var err error
				if c, err = e.lookAt(ctx, c, d); err != nil {
					e.mu.Lock()
					e.err = errors.Join(e.err, err)
					e.mu.Unlock()
					cancel()
				}
			}
		})
	}
	for _, d := range e.list {
		e.mu.Lock()
		stop := e.best != nil || e.err != nil
		e.mu.Unlock()
		if stop || ctx.Err() != nil {
			break
		}
		work <- d
	}
	close(work)
	all.Wait()
	if e.best == nil && e.err == nil {
		e.err = context.Cause(ctx)
	}
	return e.best, e.err
}

// mostLooks is how many states one process checks.
const mostLooks = 1000

// lookAt checks one state and judges it by each of its ledgers. It returns the child that
// checks the next.
func (e *exploration[P, F]) lookAt(ctx context.Context, c *child, d *distinct) (*child, error) {
	c, f, v, err := e.open(ctx, c, d.state, false)
	if err != nil {
		return c, err
	}
	e.mu.Lock()
	e.looked++
	e.judged += len(d.ways)
	e.mu.Unlock()
	for _, w := range d.ways {
		wrong := e.judge(w, f, v)
		if wrong == nil {
			continue
		}
		// Once more, in a process that has seen nothing else.
		if c != nil {
			c.end()
			c = nil
		}
		if c, f, v, err = e.open(ctx, nil, d.state, true); err != nil {
			return c, err
		}
		if wrong = e.judge(w, f, v); wrong == nil {
			continue
		}
		e.keep(&Finding[P, F]{Program: e.program, Record: e.record, Ledger: e.ledgers[w.ledger], Found: f, Why: *wrong,
			analysis: w.analysis, cut: w.cut, vector: w.vector, State: d.state})
		break
	}
	return c, nil
}

func (e *exploration[P, F]) judge(w way, f F, v *Violation) *Violation {
	if v != nil {
		return v
	}
	return e.kit.Judge(e.program, e.ledgers[w.ledger], f)
}

// keep keeps the finding that comes first.
func (e *exploration[P, F]) keep(f *Finding[P, F]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.best == nil || f.cut < e.best.cut {
		e.best = f
	}
}

// open lets a child check a state: c, or a fresh child if c is nil or has checked enough.
// It returns a nil child if that child did not survive.
func (e *exploration[P, F]) open(
	ctx context.Context, c *child, s *crashstates.State, patient bool,
) (*child, F, *Violation, error) {
	var f F
	if c != nil && c.looked >= mostLooks {
		c.end()
		c = nil
	}
	if c == nil {
		var err error
		// There is a child for each processor. If each used all processors, they would
		// only wait for each other.
		if c, err = e.start("GOMAXPROCS=1"); err != nil {
			return nil, f, nil, err
		}
		if err := e.ask(ctx, c, request{Op: askCareless}, nil); err != nil {
			c.end()
			return nil, f, nil, err
		}
	}
	c.looked++
	dir, err := e.folder()
	if err != nil {
		return c, f, nil, err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(dir)) }()
	if err := s.Write(dir); err != nil {
		return c, f, nil, err
	}
	var got found
	if err := e.ask(ctx, c, request{Op: askLook, Dir: dir, Program: e.text, Patient: patient}, &got); err != nil {
		if ctx.Err() != nil {
			c.end()
			return nil, f, nil, context.Cause(ctx)
		}
		v := c.violation(err)
		c.end()
		return nil, f, v, nil
	}
	if got.Refused != "" {
		return c, f, &Violation{Refused, got.Refused}, nil
	}
	return c, f, nil, json.Unmarshal(got.Found, &f)
}
