package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Step is one fault of a drill.
type Step struct {
	Fault, Target string
	At, For       time.Duration
}

// Draw draws a drill: faults on targets that begin within spread, or as soon as fewer than
// bound others are active. The same arguments give the same drill.
func Draw(seed uint64, faults, targets []string, steps int, spread, shortest, longest time.Duration, bound int) []Step {
	random := rand.New(rand.NewPCG(seed, 0))
	begins := make([]time.Duration, steps)
	for i := range begins {
		begins[i] = time.Duration(random.Int64N(int64(spread)))
	}
	slices.Sort(begins)
	free := make([]time.Duration, bound) // when each of bound places is free again
	drill := make([]Step, steps)
	for i := range drill {
		place := slices.Index(free, slices.Min(free))
		drill[i] = Step{
			Fault: faults[random.IntN(len(faults))], Target: targets[random.IntN(len(targets))],
			At: max(begins[i], free[place]), For: shortest + time.Duration(random.Int64N(int64(longest-shortest)+1)),
		}
		free[place] = drill[i].At + drill[i].For
	}
	return drill
}

// Describe returns what a drill would do.
func Describe(drill []Step) string {
	var text strings.Builder
	for _, s := range drill {
		fmt.Fprintf(&text, "%v: %s of %s for %v\n", s.At, s.Fault, s.Target, s.For)
	}
	return text.String()
}

// turn is the beginning or the end of a step.
type turn struct {
	at   time.Duration
	step int
	ends bool
}

// turns returns the turns of a drill in order. At the same instant, ends come first.
func turns(drill []Step) []turn {
	var all []turn
	for i, s := range drill {
		all = append(all, turn{s.At, i, false}, turn{s.At + s.For, i, true})
	}
	slices.SortStableFunc(all, func(a, b turn) int {
		if a.at == b.at && a.ends != b.ends {
			if a.ends {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
	return all
}

// Errors of Run.
var (
	ErrBound  = errors.New("chaos: the drill would hit too many targets at once")
	ErrSteady = errors.New("chaos: the steady state does not hold")
)

// patience is how long the steady state may take to return.
const patience = 5 * time.Second

// Run carries out a drill, unless it would hit more than bound targets at once, or the steady
// state does not hold. When it returns or panics, everything is undone.
func Run(ctx context.Context, bound int, drill []Step, inject func(fault, target string) (undo func() error, err error),
	steady func(context.Context) error) (err error) {
	if err := within(bound, drill); err != nil {
		return err
	}
	if err := steady(ctx); err != nil {
		return fmt.Errorf("%w before any fault: %w", ErrSteady, err)
	}
	undos := make(map[int]func() error)
	defer func() {
		for _, undo := range undos {
			err = errors.Join(err, undo())
		}
	}()
	began := time.Now()
	for _, t := range turns(drill) { // one after the other: nothing can overtake an undo
		if err := sleep(ctx, time.Until(began.Add(t.at))); err != nil {
			return err
		}
		s := drill[t.step]
		if t.ends {
			undo := undos[t.step]
			delete(undos, t.step)
			if err := undo(); err != nil {
				return fmt.Errorf("chaos: undoing %s of %s: %w", s.Fault, s.Target, err)
			}
			continue
		}
		if undos[t.step], err = inject(s.Fault, s.Target); err != nil {
			delete(undos, t.step)
			return fmt.Errorf("chaos: %s of %s: %w", s.Fault, s.Target, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		unsteady := steady(ctx)
		if unsteady == nil {
			return nil
		}
		if sleep(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("%w after the faults: %w", ErrSteady, unsteady)
		}
	}
}

// within reports whether a drill keeps to a bound.
func within(bound int, drill []Step) error {
	hit := make(map[string]int)
	for _, t := range turns(drill) {
		target := drill[t.step].Target
		if !t.ends {
			hit[target]++
		} else if hit[target]--; hit[target] == 0 {
			delete(hit, target)
		}
		if len(hit) > bound {
			return fmt.Errorf("%w: %d at %v, must be %d at most", ErrBound, len(hit), t.at, bound)
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
