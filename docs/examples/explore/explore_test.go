package explore_test

import (
	"maps"
	"os"
	"testing"
	"time"

	yours "example.com/yours/explore"

	"tensile/stress/explore"
	"tensile/stress/modeltest"
)

func limiter(faulty bool) func(*explore.Run) {
	return func(e *explore.Run) {
		l := &yours.Limiter{Faulty: faulty, Room: 1}
		for _, name := range []string{"a", "b"} {
			e.Go(name, func() {
				if l.Enter() {
					e.Check(l.Inside() <= 1, "%d are inside, there is room for 1", l.Inside())
					l.Leave()
				}
			})
		}
		e.Wait()
		e.Check(l.Inside() == 0, "%d are inside at the end", l.Inside())
	}
}

func group(faulty bool) func(*explore.Run) {
	return func(e *explore.Run) {
		g := yours.NewGroup(2, faulty)
		e.Go("a", g.Done)
		e.Go("b", g.Done)
		g.Wait() // a deadlock needs no check: no goroutine can run
	}
}

func feed(faulty bool) func(*explore.Run) {
	return func(e *explore.Run) {
		f := yours.NewFeed(1, faulty)
		e.Go("sender", func() { _ = f.Send(1) })
		e.Go("closer", f.Close)
		for range f.Values() { // nor does a panic
		}
	}
}

func ask(faulty bool) func(*explore.Run) {
	return func(e *explore.Run) {
		delay := time.Duration(e.Draw(3)) * time.Second // virtual: it takes no time
		_, _ = yours.Ask(e.Context(), time.Second, faulty, func() int {
			time.Sleep(delay)
			return 42
		}) // nor a goroutine that is left over
	}
}

// cache is a specification: what can be done, and what a sequential model returns.
func cache(faulty bool) modeltest.Spec[*yours.Cache] {
	type addition struct {
		name string
		n    int
	}
	name := modeltest.Of("x", "y")
	return modeltest.Spec[*yours.Cache]{
		New:  func(testing.TB) *yours.Cache { return &yours.Cache{Faulty: faulty} },
		Init: map[string]int(nil),
		Ops: []modeltest.Op[*yours.Cache]{
			modeltest.Returns("Add",
				func(s *modeltest.Source) addition { return addition{name(s), 1 + s.IntN(2)} },
				func(c *yours.Cache, a addition) int { return c.Add(a.name, a.n) },
				func(sums map[string]int, a addition) (map[string]int, int) {
					next := map[string]int{}
					maps.Copy(next, sums)
					next[a.name] += a.n
					return next, next[a.name]
				}),
			modeltest.Returns("Sum", name, (*yours.Cache).Sum,
				func(sums map[string]int, name string) (map[string]int, int) { return sums, sums[name] }),
		},
	}
}

// explored is how an exhibit is tried.
type explored func(t *testing.T, faulty bool) explore.Outcome

func by(f func(faulty bool) func(*explore.Run)) explored {
	return func(t *testing.T, faulty bool) explore.Outcome { return explore.Try(t, f(faulty)) }
}

// Your own test needs only explore.Test(t, f) or modeltest.TestModel(t, spec). Here the
// mistakes must be found, and the fixed versions must pass.
func TestExhibits(t *testing.T) {
	for name, try := range map[string]explored{
		"limiter": by(limiter),
		"group":   by(group),
		"feed":    by(feed),
		"ask":     by(ask),
		"cache":   func(t *testing.T, faulty bool) explore.Outcome { return modeltest.Try(t, cache(faulty)) },
	} {
		t.Run(name, func(t *testing.T) {
			mended := try(t, false)
			if mended.Failure != nil {
				t.Fatalf("the mended version: %v", mended)
			}
			if !mended.Controlled {
				t.Skip(mended.Reason) // the stock scheduler finds few, and dies of a deadlock
			}
			out := try(t, true)
			switch {
			case out.Failure == nil:
				t.Fatalf("the mistake was not found: %v", out)
			case os.Getenv("MISTAKES") != "":
				t.Fatal(out)
			}
			t.Log(out)
		})
	}
}
