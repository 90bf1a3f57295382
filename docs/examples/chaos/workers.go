// Package chaos has workers that are restarted when they die, and drills that inject
// faults.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors of Do.
var (
	ErrDied   = errors.New("chaos: the worker died of the operation")
	ErrGone   = errors.New("chaos: the worker died too often")
	ErrClosed = errors.New("chaos: closed")
)

// Workers handle operations, each worker one at a time. They are safe for concurrent
// use.
type Workers struct {
	start    func(worker int) func(op uint64) error
	restarts int
	within   time.Duration

	all     []worker
	closed  chan struct{}
	running sync.WaitGroup
}

type worker struct {
	next chan job
	gone chan struct{} // closed when it will not be restarted
}

type job struct {
	op    uint64
	reply chan error // has room for the reply
}

// New starts n workers. Each calls start, and then calls the function that start returned
// for every operation. A worker that panics is restarted, but at most restarts times within
// a while.
func New(n, restarts int, within time.Duration, start func(worker int) func(op uint64) error) *Workers {
	w := &Workers{start: start, restarts: restarts, within: within, all: make([]worker, n), closed: make(chan struct{})}
	for i := range w.all {
		w.all[i] = worker{make(chan job), make(chan struct{})}
		w.running.Go(func() { w.supervise(i) })
	}
	return w
}

// supervise restarts a worker whenever it dies.
func (w *Workers) supervise(i int) {
	var deaths []time.Time
	for w.live(i) {
		now := time.Now()
		for len(deaths) > 0 && now.Sub(deaths[0]) > w.within {
			deaths = deaths[1:]
		}
		if deaths = append(deaths, now); len(deaths) > w.restarts {
			close(w.all[i].gone)
			return
		}
	}
}

// live runs one life of a worker, and reports whether it died.
func (w *Workers) live(i int) (died bool) {
	var current *job
	defer func() {
		if value := recover(); value != nil {
			died = true
			if current != nil {
				current.reply <- fmt.Errorf("%w: %v", ErrDied, value)
			}
		}
	}()
	handle := w.start(i)
	for {
		select {
		case j := <-w.all[i].next:
			current = &j
			err := handle(j.op)
			current = nil
			j.reply <- err
		case <-w.closed:
			return false
		}
	}
}

// Do passes an operation to a worker, and returns its result.
func (w *Workers) Do(ctx context.Context, i int, op uint64) error {
	j := job{op, make(chan error, 1)}
	select {
	case w.all[i].next <- j:
	case <-w.all[i].gone:
		return ErrGone
	case <-w.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all workers, and waits for the operations that they are handling.
func (w *Workers) Close() error {
	close(w.closed)
	w.running.Wait()
	return nil
}
