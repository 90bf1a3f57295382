package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tensile/stress/internal/crashstates"
	"tensile/stress/internal/powercut"
	"tensile/stress/internal/proc"
)

// Outcome is the result of a test.
type Outcome struct {
	// Kind says what is wrong: "lost", "in part", "reordered", "twice", "came back",
	// "invented", "unstable", "refused", "died" or "hangs". It is "" if nothing is.
	Kind string
	// Report is the finding as a table.
	Report string
	// FileSystem is the model that allows the state; "" if there was no cut.
	FileSystem FileSystem
	// Saved is the folder in which the finding was saved.
	Saved string
	// NotOffered says why nothing could be tried.
	NotOffered string
	// Programs is the number of programs that ran, Calls that of their calls on files,
	// and States that of the different states checked.
	Programs, Calls, States int
	// Recoveries is how often the power was cut again while the subject opened what was left, and
	// Faults is in how many programs and recoveries a call was made to fail.
	Recoveries, Faults int
	// Notes say what was not seen.
	Notes []string
	Took  time.Duration
	Seed  uint64
}

func (o Outcome) String() string {
	if o.NotOffered != "" {
		return "not offered: " + o.NotOffered
	}
	text := fmt.Sprintf("%d states after power cuts in %d programs and %d recoveries with %d calls, %d of these with a "+
		"call that fails, in %v, seed %d",
		o.States, o.Programs, o.Recoveries, o.Calls, o.Faults, o.Took.Round(time.Millisecond), o.Seed)
	if len(o.Notes) > 0 {
		text += "; not seen: " + strings.Join(o.Notes, "; ")
	}
	return text
}

func test(t *testing.T, op *opener, o Options) {
	t.Helper()
	out := try(t, op, o)
	switch {
	case out.NotOffered != "":
		t.Skip(out)
	case out.Kind == "":
		t.Log(out)
	default:
		t.Errorf("%s%v\nto look at it again: STRESS_CUT=%s go test -count=1 -run '^%s$' .\nto search again: %s",
			out.Report, out, out.Saved, t.Name(), replay(t, out.Seed))
	}
}

func try(t *testing.T, op *opener, o Options) (out Outcome) {
	t.Helper()
	kit := op.kit()
	site := proc.At(t, powercut.Role)
	if site.Child() {
		site.Serve(kit.Serve)
		return Outcome{NotOffered: "this is a child"}
	}
	o, models, folder := o.filled(t)
	out.Seed = o.Seed
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), o.Within)
	defer cancel()
	tester := newTester(t, kit, site, o)
	if from := os.Getenv("STRESS_CUT"); from != "" {
		f, err := tester.Replay(context.Background(), from)
		if err != nil {
			t.Fatalf("storagetest: STRESS_CUT: %v", err)
		}
		if f != nil {
			out.Kind, out.Report, out.FileSystem, out.Saved = f.Why.Kind, f.String(), FileSystem(f.Model()), from
		}
		return out
	}
	found, err := search(ctx, tester, op, o, models)
	if errors.Is(err, powercut.ErrUnsupported) {
		out.NotOffered = err.Error()
		return out
	}
	if err != nil {
		t.Fatalf("storagetest: %v", err)
	}
	c := tester.Counts()
	out.Programs, out.Calls, out.States, out.Notes = c.Programs, c.Calls, c.States, c.Notes
	out.Recoveries, out.Faults = c.Recoveries, c.Faults
	out.Took = time.Since(began)
	if found != nil {
		out.Kind, out.Report, out.FileSystem = found.Why.Kind, found.String(), FileSystem(found.Model())
		out.Saved = filepath.Join(folder, "powercut", strings.ReplaceAll(t.Name(), "/", "-"))
		if err := errors.Join(os.RemoveAll(out.Saved), found.Save(out.Saved)); err != nil {
			t.Errorf("storagetest: the finding is not saved: %v", err)
		}
	}
	return out
}

type (
	tester  = powercut.Tester[program, looked]
	finding = powercut.Finding[program, looked]
)

// newTester returns a tester that is closed at the end of the test.
func newTester(t *testing.T, kit *powercut.Kit[program, looked], site *proc.Site, o Options) *tester {
	made, err := powercut.New(kit, site, powercut.Options{States: o.States / 8, Seed: o.Seed, Patience: o.Patience,
		Linger: linger})
	if err != nil {
		t.Fatalf("storagetest: %v", err)
	}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Errorf("storagetest: %v", err)
		}
	})
	return made
}

// search tries programs until it has a finding, or enough states, or no more time.
func search(ctx context.Context, by *tester, op *opener, o Options, models []crashstates.Model) (*finding, error) {
	journaled := slices.DeleteFunc(slices.Clone(models), func(m crashstates.Model) bool { return !m.Journal })
	random := rand.New(rand.NewPCG(o.Seed, 21))
	for n := 0; by.Counts().States < o.States; n++ {
		p := draw(random, n, o.Goroutines, op.verbs)
		if o.PowerOnly {
			p.Conditions = powercut.Conditions{}
		}
		p.Fresh = p.Fresh && (o.FromNothing || len(journaled) > 0)
		scope := powercut.Scope{Models: models}
		if p.Fresh && !o.FromNothing {
			scope = powercut.Scope{Models: journaled, AfterOpen: true}
		}
		found, err := by.Try(ctx, p, scope)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
			return nil, nil
		case err != nil:
			return nil, err
		case found != nil:
			return by.Shrink(context.Background(), found)
		}
	}
	return nil, nil
}

// linger is how long a sync takes at most where others go on meanwhile.
const linger = time.Millisecond
