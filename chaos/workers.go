package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thejerf/suture/v4"
)

// Errors of workers, to be tested with errors.Is. Those of Do carry the worker
// they are about.
var (
	// ErrCrashed says that the worker panicked over the item. It is not tried
	// again: it may be what kills workers.
	ErrCrashed = errors.New("worker crashed")
	// ErrHung says that the worker took longer than Hung over the item and was
	// replaced.
	ErrHung = errors.New("worker hung")
	// ErrStopped says that the worker was stopped because it had crashed more
	// often than Restarts within Within.
	ErrStopped = errors.New("worker stopped after too many restarts")
	// ErrClosed says that the workers were closed.
	ErrClosed = errors.New("workers closed")
	// ErrLeft says that Close did not wait for handlers that do not return.
	ErrLeft = errors.New("handlers did not return")
	// ErrWorkers is wrapped by every error about a WorkersConfig or the number
	// of a worker.
	ErrWorkers = errors.New("bad workers")
)

// Handler handles one item. Its context ends when the workers are closed.
type Handler[T any] func(ctx context.Context, item T) error

// Defaults of a WorkersConfig.
const (
	DefaultMailbox  = 64
	DefaultRestarts = 5
	DefaultWithin   = 10 * time.Second
	DefaultPatience = 10 * time.Second
)

// WorkersConfig configures workers.
type WorkersConfig[T any] struct {
	Workers int
	// Start is called on the goroutine of a worker whenever it starts, also after a
	// crash, and returns its handler. The state of a worker lives as long as its
	// handler.
	Start func(worker int) Handler[T]
	// Mailbox is the number of items that wait for a worker before Do blocks;
	// 0 means DefaultMailbox. They outlive a crash.
	Mailbox int
	// Restarts is the restart intensity: a worker that would be restarted more
	// often than that within Within is stopped instead. 0 means the default, of each.
	Restarts int
	Within   time.Duration
	// Hung is how long a worker may take over one item before it counts as hung
	// and is replaced, noticed within half as long again; 0 forever. Its
	// goroutine cannot be ended and is left behind until its handler returns.
	Hung time.Duration
	// Patience is how long Close waits for handlers to return; 0 means
	// DefaultPatience.
	Patience time.Duration
	// OnRestart is called with the reason whenever a worker is restarted, or with an
	// error that wraps ErrStopped if it is not. It may be nil. It must not block.
	OnRestart func(worker int, why error)
}

func (c *WorkersConfig[T]) validate() error {
	bad := func(name string, value any, accepted string) error {
		return fmt.Errorf("chaos: %w: %s is %v, must be %s", ErrWorkers, name, value, accepted)
	}
	switch {
	case c.Workers < 1:
		return bad("Workers", c.Workers, "1 or more")
	case c.Start == nil:
		return bad("Start", "nil", "a function")
	case c.Mailbox < 0:
		return bad("Mailbox", c.Mailbox, fmt.Sprintf("0 for %d, or more", DefaultMailbox))
	case c.Restarts < 0:
		return bad("Restarts", c.Restarts, fmt.Sprintf("0 for %d, or more", DefaultRestarts))
	case c.Within < 0:
		return bad("Within", c.Within, fmt.Sprintf("0 for %v, or more", DefaultWithin))
	case c.Hung < 0:
		return bad("Hung", c.Hung, "0 for ever, or more")
	case c.Patience < 0:
		return bad("Patience", c.Patience, fmt.Sprintf("0 for %v, or more", DefaultPatience))
	}
	c.Mailbox = orDefault(c.Mailbox, DefaultMailbox)
	c.Restarts = orDefault(c.Restarts, DefaultRestarts)
	c.Within = orDefault(c.Within, DefaultWithin)
	c.Patience = orDefault(c.Patience, DefaultPatience)
	if c.OnRestart == nil {
		c.OnRestart = func(int, error) {}
	}
	return nil
}

func orDefault[V comparable](value, zero V) V {
	var none V
	if value == none {
		return zero
	}
	return value
}

// Workers is a number of workers under supervision. Each handles its items one
// after the other, in the order in which they came. Safe for concurrent use.
type Workers[T any] struct {
	cfg     WorkersConfig[T]
	workers []*worker[T]
	calls   sync.Pool
	lives   sync.WaitGroup
	living  atomic.Int64
	closing sync.Once
	cancel  context.CancelFunc
	ended   chan struct{} // when the supervisor and the watchdog are gone
	left    error
}

// NewWorkers starts workers. The error wraps ErrWorkers.
func NewWorkers[T any](cfg WorkersConfig[T]) (*Workers[T], error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	w := &Workers[T]{cfg: cfg, ended: make(chan struct{})}
	w.calls.New = func() any { return &call[T]{done: make(chan error, 1)} }
	supervisor := suture.New("workers", suture.Spec{
		// Intensity is a matter of each worker here: that of the supervisor
		// would hold up all of them when some crash.
		FailureThreshold: math.Inf(1),
		Timeout:          cfg.Patience,
		EventHook:        func(suture.Event) {}, // what matters goes to OnRestart
	})
	for i := range cfg.Workers {
		worker := newWorker(w, i)
		w.workers = append(w.workers, worker)
		supervisor.Add(worker)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	supervised := supervisor.ServeBackground(ctx)
	go func() {
		defer close(w.ended)
		w.watch(ctx)
		<-supervised
	}()
	return w, nil
}

// Do passes an item to a worker, and waits until it was handled. The error is that of the
// handler or of the context, or ErrCrashed, ErrHung, ErrStopped or ErrClosed. After an error
// of the context, the item may still be handled.
func (w *Workers[T]) Do(ctx context.Context, worker int, item T) error {
	if err := w.exists(worker); err != nil {
		return err
	}
	to := w.workers[worker]
	c := w.calls.Get().(*call[T])
	c.item = item
	select {
	case to.mailbox <- c: // it has room, mostly: one channel takes less than three
	default:
		select {
		case to.mailbox <- c:
		case <-to.gone:
			return to.why
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case err := <-c.done:
		return w.finished(c, err)
	case <-ctx.Done():
		return ctx.Err() // the worker still has the call: it is not used again
	case <-to.gone:
	}
	select {
	case err := <-c.done:
		return w.finished(c, err)
	default:
		return to.why
	}
}

// finished returns a call to the pool, unless a hung worker still holds it.
func (w *Workers[T]) finished(c *call[T], err error) error {
	if !errors.Is(err, ErrHung) {
		var none T
		c.item = none
		w.calls.Put(c)
	}
	return err
}

func (w *Workers[T]) exists(worker int) error {
	if worker < 0 || worker >= len(w.workers) {
		return fmt.Errorf("chaos: %w: there is no worker %d, must be 0 to %d", ErrWorkers, worker, len(w.workers)-1)
	}
	return nil
}

// Close ends the workers once each has finished its current item. Items that wait get
// ErrClosed. Close waits up to Patience, and returns ErrLeft if handlers have not returned by
// then. It may be called more than once.
func (w *Workers[T]) Close() error {
	w.closing.Do(func() {
		patience := time.NewTimer(w.cfg.Patience)
		defer patience.Stop()
		w.cancel()
		<-w.ended // suture itself waits for as long
		idle := make(chan struct{})
		go func() {
			w.lives.Wait() // those of hung workers are unknown to suture
			close(idle)
		}()
		select {
		case <-idle:
		case <-patience.C:
		}
		if n := w.living.Load(); n > 0 {
			w.left = fmt.Errorf("chaos: %w: %d after %v", ErrLeft, n, w.cfg.Patience)
		}
		for _, worker := range w.workers {
			worker.end(ErrClosed)
		}
	})
	return w.left
}

// watch looks for hung workers until ctx ends.
func (w *Workers[T]) watch(ctx context.Context) {
	if w.cfg.Hung == 0 {
		<-ctx.Done()
		return
	}
	d := newWatchdog(w)
	for sleep(ctx, d.period) {
		d.look()
	}
}

// watchdog finds hung workers by looking at them again and again. It counts its
// looks and reads no clock: a process that was stopped, or did not come to its turn,
// has given its workers no time either.
type watchdog[T any] struct {
	workers []*worker[T]
	period  time.Duration // between two looks, at least
	most    int           // looks in a row that find a worker at the same item
	seen    []sighting[T] // of each worker
}

type sighting[T any] struct {
	life  *life[T]
	seq   uint64
	looks int
}

func newWatchdog[T any](w *Workers[T]) *watchdog[T] {
	d := &watchdog[T]{
		workers: w.workers, period: max(w.cfg.Hung/4, time.Millisecond), seen: make([]sighting[T], len(w.workers)),
	}
	d.most = int((w.cfg.Hung + d.period - 1) / d.period)
	return d
}

// look looks once, and abandons those that hang.
func (d *watchdog[T]) look() {
	for i, worker := range d.workers {
		life := worker.life.Load()
		if life == nil {
			continue
		}
		switch seen, seq := &d.seen[i], life.seq.Load(); {
		case life != seen.life || seq != seen.seq:
			*seen = sighting[T]{life, seq, 0}
		case seq&abandoned != 0: // by an earlier look: it has no successor if the worker was stopped
		case seq&busy != 0:
			if seen.looks++; seen.looks >= d.most {
				life.abandon(seq)
			}
		}
	}
}

// Injectors returns the injectors of Panic and Hang. A target is the number of a worker, such
// as "17". A fault hits a worker between two items. Undoing withdraws a fault that has not
// hit yet, and ends a hang.
func (w *Workers[T]) Injectors() map[Fault]Injector {
	inject := func(fault Fault) Injector {
		return func(ctx context.Context, target string) (func() error, error) {
			i, err := strconv.Atoi(target)
			if err != nil {
				return nil, fmt.Errorf("chaos: %w: target is %q, must be the number of a worker", ErrWorkers, target)
			}
			if err := w.exists(i); err != nil {
				return nil, err
			}
			return w.workers[i].strike(ctx, fault)
		}
	}
	return map[Fault]Injector{Panic: inject(Panic), Hang: inject(Hang)}
}
