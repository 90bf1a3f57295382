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
	// Notes say what was not seen.
	Notes []string
	Took  time.Duration
	Seed  uint64
}

func (o Outcome) String() string {
	if o.NotOffered != "" {
		return "not offered: " + o.NotOffered
	}
	text := fmt.Sprintf("%d states after power cuts in %d programs with %d calls, in %v, seed %d",
		o.States, o.Programs, o.Calls, o.Took.Round(time.Millisecond), o.Seed)
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
	settled := newTester(t, kit, site, o, models, false)
	if from := os.Getenv("STRESS_CUT"); from != "" {
		f, err := settled.Replay(context.Background(), from)
		if err != nil {
			t.Fatalf("storagetest: STRESS_CUT: %v", err)
		}
		if f != nil {
			out.Kind, out.Report, out.FileSystem, out.Saved = f.Why.Kind, f.String(), FileSystem(f.Model()), from
		}
		return out
	}
	journaled := slices.DeleteFunc(slices.Clone(models), func(m crashstates.Model) bool { return !m.Journal })
	fresh := settled
	if !o.FromNothing {
		fresh = newTester(t, kit, site, o, journaled, true)
	}
	counts := func() powercut.Counts {
		if fresh == settled {
			return settled.Counts()
		}
		return settled.Counts().And(fresh.Counts())
	}
	random := rand.New(rand.NewPCG(o.Seed, 21))
	var found *finding
	for n := 0; found == nil; n++ {
		p := draw(random, n, o.Goroutines, op.verbs)
		p.Fresh = p.Fresh && (o.FromNothing || len(journaled) > 0)
		tester := settled
		if p.Fresh {
			tester = fresh
		}
		var err error
		found, err = tester.Try(ctx, p)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			break
		}
		if errors.Is(err, powercut.ErrUnsupported) {
			out.NotOffered = err.Error()
			return out
		}
		if err != nil {
			t.Fatalf("storagetest: %v", err)
		}
		if found != nil {
			if found, err = tester.Shrink(context.Background(), found); err != nil {
				t.Fatalf("storagetest: %v", err)
			}
		}
		if counts().States >= o.States {
			break
		}
	}
	c := counts()
	out.Programs, out.Calls, out.States, out.Notes = c.Programs, c.Calls, c.States, c.Notes
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
func newTester(t *testing.T, kit *powercut.Kit[program, looked], site *proc.Site, o Options,
	models []crashstates.Model, afterOpen bool,
) *tester {
	made, err := powercut.New(kit, site, powercut.Options{Models: models, States: o.States / 8, Seed: o.Seed,
		Patience: o.Patience, Linger: linger, AfterOpen: afterOpen})
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

// linger is how long a sync takes at most where others go on meanwhile.
const linger = time.Millisecond
