package modeltest

import (
	"sync"
	"testing"
	"time"

	"tensile/stress/explore"
	"tensile/stress/internal/programtb"
)

// TestModel makes programs of the operations, short ones first, runs each under a
// schedule of its own, and fails the test with the smallest that it finds to break
// the promise. The options are those of [explore.Test], for each of the sizes of
// programs: so many schedules, points at plain memory, and so on. Operations run
// in a bubble of virtual time; a deadlock, a panic and a goroutine that is left over
// fail the program as well.
func TestModel[T any](t *testing.T, s Spec[T], options ...explore.Option) {
	t.Helper()
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	for _, bound := range sizes {
		out := s.try(t, bound, options)
		if out.Failure != nil {
			t.Fatal(out)
		}
		t.Logf("%v: %v", bound, out)
	}
}

// Try is TestModel for those who judge the outcome themselves: it returns that of
// the size that failed, or of the longest programs.
func Try[T any](t *testing.T, s Spec[T], options ...explore.Option) (out explore.Outcome) {
	t.Helper()
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	for _, bound := range sizes {
		if out = s.try(t, bound, options); out.Failure != nil {
			break
		}
	}
	return out
}

func (s *Spec[T]) try(t *testing.T, bound size, options []explore.Option) explore.Outcome {
	return explore.Try(t, func(e *explore.Run) { s.run(t, e, bound) }, s.options(options)...)
}

func (s *Spec[T]) options(given []explore.Option) []explore.Option {
	if s.waiting() { // an operation that waits in the end is judged by the model
		given = append([]explore.Option{explore.AllowLeft()}, given...)
	}
	return given
}

// patience is how long, in virtual time, operations may take that may wait: it
// passes only when nothing can run.
const patience = time.Hour

// run is one program under one schedule.
func (s *Spec[T]) run(t *testing.T, e *explore.Run, bound size) {
	p := generate(s.Ops, bound, e.Draw)
	tb := programtb.New(t, e, new(sync.Mutex))
	subject := s.New(tb)
	h := newHistory[T](len(p.goroutines))
	s.end(e, "first", func() { h.do(subject, h.first(), p.first) })
	bodies := make([]func(), len(p.goroutines))
	for i, acts := range p.goroutines {
		bodies[i] = func() { h.do(subject, i, acts) }
	}
	s.beside(e, goroutineName, bodies...)
	s.end(e, "last", func() { h.do(subject, h.last(), p.last) })
	if s.waiting() {
		time.Sleep(patience) // what came last may have ended a wait
	}
	wrong := s.judge(h)
	e.Check(wrong == "", "%s\n%s", lazy(func() string { return wrong }), lazy(h.columns))
	if s.Close != nil {
		s.Close(subject)
	}
	tb.End()
}

// lazy is text that is made only where it is printed.
type lazy func() string

func (l lazy) String() string { return l() }

// end does what comes before or after all goroutines.
func (s *Spec[T]) end(e *explore.Run, name string, body func()) {
	if s.waiting() {
		s.beside(e, func(int) string { return name }, body)
		return
	}
	body()
}

// beside has each body done by a goroutine, and waits for all, or until those that
// are left wait for good.
func (s *Spec[T]) beside(e *explore.Run, name func(i int) string, bodies ...func()) {
	var left sync.WaitGroup
	left.Add(len(bodies))
	for i, body := range bodies {
		e.Go(name(i), func() {
			defer left.Done()
			body()
		})
	}
	if !s.waiting() {
		left.Wait()
		return
	}
	over := make(chan struct{})
	go func() {
		left.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(patience):
	}
}
