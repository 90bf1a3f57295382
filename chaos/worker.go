package chaos

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thejerf/suture/v4"
)

// call is an item on its way.
type call[T any] struct {
	item T
	done chan error // of one
}

// worker is the service that suture supervises. It has one life after the
// other.
type worker[T any] struct {
	all     *Workers[T]
	number  int
	mailbox chan *call[T]
	strikes chan *strike
	life    atomic.Pointer[life[T]]
	crashes []time.Time // the last Restarts, oldest first; only Serve uses it

	ending sync.Once
	gone   chan struct{} // closed once the worker handles nothing any more
	why    error         // set before
}

func newWorker[T any](all *Workers[T], number int) *worker[T] {
	return &worker[T]{all: all, number: number, mailbox: make(chan *call[T], all.cfg.Mailbox),
		strikes: make(chan *strike, 1), gone: make(chan struct{})}
}

// String is for suture, which would print all fields otherwise.
func (w *worker[T]) String() string { return fmt.Sprintf("worker %d", w.number) }

func (w *worker[T]) wrap(err error) error { return &workerError{w.number, err} }

func (w *worker[T]) end(why error) {
	w.ending.Do(func() {
		w.why = w.wrap(why)
		close(w.gone)
	})
}

// Serve lives one life. It has a goroutine of its own, so that one that hangs
// can be replaced.
func (w *worker[T]) Serve(ctx context.Context) error {
	life := &life[T]{worker: w, ended: make(chan error, 1)}
	w.life.Store(life)
	w.all.lives.Add(1)
	w.all.living.Add(1)
	go life.live(ctx)
	err := <-life.ended
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.tooOften(time.Now()) {
		err = fmt.Errorf("%w: %d within %v, the last because %v", ErrStopped, w.all.cfg.Restarts, w.all.cfg.Within, err)
		w.end(err)
		w.all.cfg.OnRestart(w.number, err)
		return suture.ErrDoNotRestart
	}
	w.all.cfg.OnRestart(w.number, err)
	return err
}

// tooOften tells whether one more restart would exceed the intensity.
func (w *worker[T]) tooOften(now time.Time) bool {
	cfg := w.all.cfg
	if len(w.crashes) < cfg.Restarts {
		w.crashes = append(w.crashes, now)
		return false
	}
	oldest := w.crashes[0]
	w.crashes = append(w.crashes[1:], now)
	return now.Sub(oldest) <= cfg.Within
}

// workerError is an error of a worker. It is put into words only if somebody
// reads it, which a crash does not wait for.
type workerError struct {
	worker int
	err    error
}

func (e *workerError) Error() string { return fmt.Sprintf("chaos: worker %d: %v", e.worker, e.err) }
func (e *workerError) Unwrap() error { return e.err }

// life is a worker from its start to its crash.
type life[T any] struct {
	worker *worker[T]
	ended  chan error // of one
	// seq grows with every beginning and every end of work, and is odd in
	// between: so whoever watches needs no clock to be read for each item.
	seq     atomic.Uint64
	current atomic.Pointer[call[T]] // that is being handled
}

const (
	busy      = 1
	abandoned = 1 << 63
)

func (l *life[T]) begin() { l.seq.Add(1) }

// finish returns false if the life was abandoned meanwhile: then nothing
// belongs to it any more.
func (l *life[T]) finish() bool { return l.seq.Add(1)&abandoned == 0 }

// abandon ends a life that is still as busy as it was at seq, in spite of its
// goroutine.
func (l *life[T]) abandon(seq uint64) {
	current := l.current.Load()
	if !l.seq.CompareAndSwap(seq, seq|abandoned) {
		return
	}
	err := l.worker.wrap(ErrHung)
	if current != nil {
		current.done <- err
	}
	l.ended <- err
}

// live is the goroutine of a life.
func (l *life[T]) live(ctx context.Context) {
	all := l.worker.all
	defer all.lives.Done()
	defer all.living.Add(-1)
	returned := false
	defer func() {
		if !returned {
			l.crash(recover()) // nil after runtime.Goexit
		}
	}()
	l.run(ctx)
	returned = true
}

// run handles items until ctx ends or the life is abandoned.
func (l *life[T]) run(ctx context.Context) {
	w := l.worker
	l.begin()
	handle := w.all.cfg.Start(w.number)
	if !l.finish() {
		return
	}
	for {
		select {
		case <-ctx.Done():
			l.ended <- ctx.Err()
			return
		case s := <-w.strikes:
			l.begin()
			s.hit(ctx)
			if !l.finish() {
				return
			}
		case c := <-w.mailbox:
			l.current.Store(c)
			l.begin()
			err := handle(ctx, c.item)
			if !l.finish() {
				return
			}
			l.current.Store(nil)
			c.done <- err
		}
	}
}

// crash ends a life by a panic.
func (l *life[T]) crash(value any) {
	if !l.finish() {
		return
	}
	err := l.worker.wrap(newCrash(value))
	if current := l.current.Load(); current != nil {
		current.done <- err
	}
	l.ended <- err
}

// strike is an injected fault on its way to a worker.
type strike struct {
	fault Fault
	once  sync.Once
	over  chan struct{} // closed when it is taken back
}

func (s *strike) hit(ctx context.Context) {
	select {
	case <-s.over:
		return
	default:
	}
	if s.fault == Panic {
		panic("chaos: injected panic")
	}
	select {
	case <-s.over:
	case <-ctx.Done():
	}
}

// strike hands a fault to the worker, after any that was before.
func (w *worker[T]) strike(ctx context.Context, fault Fault) (undo func() error, err error) {
	s := &strike{fault: fault, over: make(chan struct{})}
	select {
	case <-w.gone:
		return nil, w.why
	default:
	}
	select {
	case w.strikes <- s:
		return func() error { s.once.Do(func() { close(s.over) }); return nil }, nil
	case <-w.gone:
		return nil, w.why
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
