package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"tensile/stress/internal/crashstates"
)

// exploration is one record and its states.
type exploration[P, F any] struct {
	*Tester[P, F]
	program    P
	text       json.RawMessage
	conditions Conditions
	scope      Scope
	record     *crashstates.Record
	ledgers    []Ledger
	list       []*distinct[F]

	mu       sync.Mutex
	counts   Counts
	couldHit int // calls of the last recovery that could have had the fault
	best     *Finding[P, F]
	err      error
}

// distinct is a state that differs from all others, and when it may occur.
type distinct[F any] struct {
	state *crashstates.State
	ways  []way[F] // one for each ledger
	found F        // once it was looked at
}

// way leads to a state.
type way[F any] struct {
	stages []stage
	ledger int
	same   *F    // what must be found again, if something must
	fault  Fault // of the recovery
}

// stage is a cut in a record: that of the program, and then perhaps that of a recovery.
type stage struct {
	record   *crashstates.Record
	analysis *crashstates.Analysis
	cut      int
	vector   []int
}

func (w way[F]) last() stage { return w.stages[len(w.stages)-1] }

// cut is where the power goes first.
func (w way[F]) cut() int { return w.stages[0].cut }

// collect builds the states.
func (e *exploration[P, F]) collect() {
	var at []int
	e.ledgers, at = ledgers(e.record, len(e.kit.Operations(e.program)))
	at = append([]int{0}, at...)
	seen := make(map[crashstates.Hash]*distinct[F])
	cuts := len(e.record.Events) + 1
	models := e.scope.Models
	if models == nil {
		models = crashstates.Models()
	}
	each, least := e.o.States/(cuts*len(models)), leastPerCut
	if e.conditions != (Conditions{}) { // more programs find more, with the fault in other places
		each, least = each/fewer, least/fewer
	}
	each = max(each, least)
	heavy := e.heavy()
	if heavy {
		each = 2
	}
	for _, m := range models {
		a := e.record.Under(m)
		for cut := range cuts {
			if heavy && cut < cuts-1 || e.scope.AfterOpen && at[cut] == 0 {
				continue
			}
			space := a.At(cut)
			space.Vectors(each, e.o.Seed, func(vector []int) bool {
				state := space.State(vector)
				d := seen[state.Hash]
				if d == nil {
					d = &distinct[F]{state: state}
					seen[state.Hash] = d
					e.list = append(e.list, d)
				}
				for _, w := range d.ways {
					if w.ledger == at[cut] {
						return true
					}
				}
				s := stage{e.record, a, cut, append([]int(nil), vector...)}
				d.ways = append(d.ways, way[F]{stages: []stage{s}, ledger: at[cut]})
				return true
			})
		}
	}
}

// leastPerCut is how many vectors are tried at each cut at least.
const leastPerCut = 16

// fewer is by how much fewer vectors are tried where something else goes wrong too.
const fewer = 4

func (e *exploration[P, F]) heavy() bool { return e.kit.Heavy != nil && e.kit.Heavy(e.program) }

// each has the workers go through states, until one has a finding.
func (e *exploration[P, F]) each(
	ctx context.Context, list []*distinct[F], do func(context.Context, *worker, *distinct[F]) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan *distinct[F])
	var all sync.WaitGroup
	for range cap(e.idle) {
		all.Go(func() {
			w := <-e.idle
			defer func() { e.idle <- w }()
			for d := range work {
				if err := do(ctx, w, d); err != nil {
					e.mu.Lock()
					e.err = errors.Join(e.err, err)
					e.mu.Unlock()
					cancel()
				}
			}
		})
	}
	for _, d := range list {
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
	if e.best != nil {
		return nil
	}
	return e.err
}

// mostLooks is how many states one process checks.
const mostLooks = 1000

// lookAt checks one state and judges it by each of its ledgers.
func (e *exploration[P, F]) lookAt(ctx context.Context, by *worker, d *distinct[F]) error {
	f, v, err := e.open(ctx, by, d.state, false)
	if err != nil {
		return err
	}
	d.found = f
	e.mu.Lock()
	if !e.seen[d.state.Hash] {
		e.seen[d.state.Hash] = true
		e.counts.States++
	}
	e.mu.Unlock()
	for _, w := range d.ways {
		wrong := e.judge(w, f, v)
		if wrong == nil {
			continue
		}
		// Once more, in a process that has seen nothing else.
		by.endLook()
		if f, v, err = e.open(ctx, by, d.state, true); err != nil {
			return err
		}
		if wrong = e.judge(w, f, v); wrong == nil {
			continue
		}
		e.keep(w, d.state, f, *wrong)
		break
	}
	return nil
}

func (e *exploration[P, F]) judge(w way[F], f F, v *Violation) *Violation {
	if v == nil {
		v = e.kit.Judge(e.program, e.ledgers[w.ledger], f)
	}
	if v == nil && w.same != nil {
		if text := e.kit.Same(e.program, e.ledgers[w.ledger], *w.same, f); text != "" {
			v = &Violation{Unstable, text}
		}
	}
	return v
}

// keep keeps the finding that comes first. state is nil for one that needed no
// second cut.
func (e *exploration[P, F]) keep(w way[F], state *crashstates.State, f F, why Violation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.best == nil || w.cut() < e.best.way.cut() {
		conditions := e.conditions
		conditions.Recovery = w.fault
		e.best = &Finding[P, F]{Program: e.program, Ledger: e.ledgers[w.ledger], Found: f, Why: why, State: state,
			way: w, conditions: conditions, scope: e.scope}
	}
}

// worker has the processes of a goroutine that works on states; nil for one that
// must be started.
type worker struct {
	look     *child
	recovery *recovering
}

func (w *worker) endLook() {
	if w.look != nil {
		w.look.end()
		w.look = nil
	}
}

// open lets a child check a state.
func (e *exploration[P, F]) open(
	ctx context.Context, by *worker, s *crashstates.State, patient bool,
) (f F, v *Violation, err error) {
	if c := by.look; c != nil && (c.looked >= mostLooks || c.back != e.conditions.ClockBack) {
		by.endLook()
	}
	if by.look == nil {
		if by.look, err = e.start(true); err != nil {
			return f, nil, err
		}
		if err = e.ask(ctx, by.look, request{Op: askCareless}, nil); err == nil {
			err = e.putBack(ctx, by.look)
		}
		if err != nil {
			by.endLook()
			return f, nil, err
		}
	}
	by.look.looked++
	dir, err := e.folder()
	if err != nil {
		return f, nil, err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(dir)) }()
	if err := s.Write(dir); err != nil {
		return f, nil, err
	}
	var got found
	if err := e.ask(ctx, by.look, request{Op: askLook, Dir: dir, Program: e.text, Patient: patient}, &got); err != nil {
		defer by.endLook()
		if ctx.Err() != nil {
			return f, nil, context.Cause(ctx)
		}
		return f, by.look.violation(err), nil
	}
	if got.Refused != "" {
		return f, &Violation{Refused, got.Refused}, nil
	}
	return f, nil, json.Unmarshal(got.Found, &f)
}

// putBack puts the clock of a child back, if that is one of the conditions and the system
// offers it.
func (e *exploration[P, F]) putBack(ctx context.Context, c *child) error {
	if !e.conditions.ClockBack {
		return nil
	}
	c.back = true
	var unsupported string
	err := e.ask(ctx, c, request{Op: askClock}, &unsupported)
	if unsupported != "" {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.counts.note("a clock that goes back (" + unsupported + ")")
	}
	return err
}
