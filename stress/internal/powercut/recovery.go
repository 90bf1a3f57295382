package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/recorder"
)

// recovering is a child that opens what is left, and is recorded meanwhile.
type recovering struct {
	*child
	recorder *recorder.Recorder
}

// end kills the child, and returns what it has done so far.
func (r *recovering) end() (*crashstates.Record, error) {
	r.child.end()
	return r.recorder.Wait()
}

func (w *worker) endRecovery() {
	if w.recovery != nil {
		_, _ = w.recovery.end() // nobody wants the record
		w.recovery = nil
	}
}

// toRecover are the states that are recovered: one of so many, drawn from the seed.
func (e *exploration[P, F]) toRecover(each int) (list []*distinct[F]) {
	if e.heavy() || e.kit.Recover == nil {
		return nil
	}
	random := rand.New(rand.NewPCG(e.o.Seed, uint64(len(e.list))))
	for from := 0; from < len(e.list); from += each {
		list = append(list, e.list[from+random.IntN(min(each, len(e.list)-from))])
	}
	return list
}

// perRecoveryCut is how many vectors are tried at each cut of a recovery.
const perRecoveryCut = 6

// recover opens a state, with the power cut again meanwhile, and looks at what is left then.
func (e *exploration[P, F]) recover(ctx context.Context, by *worker, d *distinct[F]) error {
	r, err := e.recoverOnce(ctx, by, d)
	if err != nil || r == nil {
		return err
	}
	for _, again := range e.whileRecovering(d, *r) {
		if err := e.lookAt(ctx, by, again); err != nil {
			return err
		}
	}
	return nil
}

// recoverOnce opens a state. It returns nil if that is a finding by itself.
func (e *exploration[P, F]) recoverOnce(ctx context.Context, by *worker, d *distinct[F]) (*recorded[F], error) {
	f := e.recoveryFault()
	r, w, wrong, err := e.recovered(ctx, by, d, f, false)
	if err == nil && wrong != nil { // once more, in a process that has seen nothing else
		by.endRecovery()
		r, w, wrong, err = e.recovered(ctx, by, d, f, true)
	}
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.counts.Recoveries++
	e.counts.count(r.record)
	if r.struck {
		e.counts.Faults++
	}
	e.mu.Unlock()
	if wrong == nil {
		return &r, nil
	}
	var read F
	if r.read != nil {
		read = *r.read
	}
	whole := stage{record: r.record, cut: len(r.record.Events)}
	e.keep(way[F]{stages: append(w.stages[:1:1], whole), ledger: w.ledger, fault: f}, nil, read, *wrong)
	return nil, nil
}

// whileRecovering are the states that a second cut may leave.
func (e *exploration[P, F]) whileRecovering(d *distinct[F], r recorded[F]) (list []*distinct[F]) {
	model := d.ways[0].stages[0].analysis.Model()
	a := r.record.Under(model)
	seen := make(map[crashstates.Hash]*distinct[F])
	var same *F // what was read, from then on
	for cut := range len(r.record.Events) + 1 {
		if cut > 0 && r.record.Events[cut-1].Kind == crashstates.Mark {
			same = r.read
		}
		space := a.At(cut)
		space.Vectors(perRecoveryCut, e.o.Seed, func(vector []int) bool {
			state := space.State(vector)
			must := same
			if must == nil && state.Hash == d.state.Hash {
				must = &d.found
			}
			again := seen[state.Hash]
			if again == nil {
				again = &distinct[F]{state: state}
				seen[state.Hash] = again
				list = append(list, again)
			} else if must == nil || again.ways[0].same != nil {
				return true
			}
			again.ways = nil
			s := stage{r.record, a, cut, append([]int(nil), vector...)}
			for _, w := range d.ways {
				if w.stages[0].analysis.Model() == model {
					again.ways = append(again.ways, way[F]{stages: append(w.stages[:1:1], s), ledger: w.ledger, same: must,
						fault: r.fault})
				}
			}
			return true
		})
	}
	return list
}

// recovered lets a child open a state. What it reads must be right, even if a call fails:
// then it may also say that it can not be read. w is the way by which something is wrong.
func (e *exploration[P, F]) recovered(
	ctx context.Context, by *worker, d *distinct[F], f Fault, patient bool,
) (r recorded[F], w way[F], wrong *Violation, err error) {
	r.fault, w = f, d.ways[0]
	dir, err := e.folder()
	if err != nil {
		return r, w, nil, err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(dir)) }()
	if err := d.state.Write(dir); err != nil {
		return r, w, nil, err
	}
	j := injector{f: f}
	if err := e.beginRecovery(ctx, by, dir, recorder.Options{Fault: j.fault}); err != nil {
		return r, w, nil, err
	}
	var got found
	asked := e.ask(ctx, by.recovery.child, request{Op: askRecover, Dir: dir, Program: e.text, Patient: patient}, &got)
	if asked == nil {
		r.record, err = by.recovery.recorder.Stop()
	} else {
		wrong = by.recovery.violation(asked)
		r.record, err = by.recovery.end()
		by.recovery = nil
	}
	if ctx.Err() != nil {
		return r, w, nil, context.Cause(ctx)
	}
	e.mu.Lock()
	e.couldHit = j.seen
	e.mu.Unlock()
	if r.struck = j.struck; r.struck && wrong != nil && wrong.Kind != Hangs {
		wrong = nil
	}
	if err == nil && got.Found != nil {
		r.read = new(F)
		err = json.Unmarshal(got.Found, r.read)
	}
	switch {
	case err != nil || wrong != nil:
	case got.Refused != "" && !r.struck:
		wrong = &Violation{Refused, got.Refused}
	case r.read != nil:
		for _, w = range d.ways {
			if wrong = e.judge(w, *r.read, nil); wrong != nil {
				break
			}
		}
	}
	return r, w, wrong, err
}

// recoveryFault is another for each recovery, once it is known how many calls one has.
func (e *exploration[P, F]) recoveryFault() Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.conditions.Recovery
	if e.couldHit > 0 {
		f.Nth = (f.Nth + e.counts.Recoveries) % e.couldHit
	}
	return f
}

// beginRecovery has a child whose calls on a folder are recorded.
func (e *exploration[P, F]) beginRecovery(ctx context.Context, by *worker, dir string, o recorder.Options) (err error) {
	if c := by.recovery; c != nil {
		if c.looked < mostLooks && c.back == e.conditions.ClockBack {
			c.looked++
			return c.recorder.Again(dir, o)
		}
		by.endRecovery()
	}
	c, err := e.start(true)
	if err != nil {
		return err
	}
	var r *recorder.Recorder
	if err = e.putBack(ctx, c); err == nil {
		r, err = e.enter(ctx, c, dir, o)
	}
	if err != nil {
		c.end()
		return errors.Join(err, context.Cause(ctx))
	}
	by.recovery = &recovering{c, r}
	return nil
}
