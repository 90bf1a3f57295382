package chaostest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tensile/stress/chaostest"
)

// supervisor has a number of workers, each a goroutine that is started again when it panics.
type supervisor struct {
	cfg     chaostest.WorkersConfig
	workers []worker
	closed  chan struct{}
	running sync.WaitGroup
}

type worker struct {
	jobs chan job
	gone chan struct{} // closed when it is not started again
}

type job struct {
	op    uint64
	reply chan error // has room for the reply
}

var errDied, errGone, errClosed = errors.New("the worker died"), errors.New("it died too often"), errors.New("closed")

// supervise starts the i-th worker again and again, up to its bound of restarts.
func (c *supervisor) supervise(i int) {
	var starts []time.Time
	for {
		starts = append(starts, time.Now())
		if !c.live(i) {
			return
		}
		for len(starts) > 0 && time.Since(starts[0]) > c.cfg.Within {
			starts = starts[1:]
		}
		if len(starts) > c.cfg.Restarts {
			close(c.workers[i].gone)
			return
		}
	}
}

// live is one life of a worker, and tells whether it died.
func (c *supervisor) live(i int) (died bool) {
	var current *job
	defer func() {
		if value := recover(); value != nil {
			died = true
			if current != nil {
				current.reply <- fmt.Errorf("%w: %v", errDied, value)
			}
		}
	}()
	handle := c.cfg.Start(i)
	for {
		select {
		case j := <-c.workers[i].jobs:
			current = &j
			err := handle(j.op)
			current = nil
			j.reply <- err
		case <-c.closed:
			return false
		}
	}
}

func (c *supervisor) Do(ctx context.Context, i int, op uint64) error {
	j := job{op, make(chan error, 1)}
	select {
	case c.workers[i].jobs <- j:
	case <-c.workers[i].gone:
		return errGone
	case <-c.closed:
		return errClosed
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

func (c *supervisor) Close() error {
	close(c.closed)
	c.running.Wait()
	return nil
}

func openWorkers(_ testing.TB, cfg chaostest.WorkersConfig) chaostest.Workers {
	c := &supervisor{cfg: cfg, workers: make([]worker, cfg.Workers), closed: make(chan struct{})}
	for i := range c.workers {
		c.workers[i] = worker{make(chan job), make(chan struct{})}
		c.running.Go(func() { c.supervise(i) })
	}
	return c
}

// In a file of tests, this is the function TestStressChaos.
func testStressChaos(t *testing.T) {
	chaostest.TestChaos(t, chaostest.Subjects{Workers: openWorkers})
}

// Workers that are started again, and the test that takes them through their part of
// the scenario. The kit kills a worker as here: by a panic of the function that handles its operations.
func Example() {
	_ = testStressChaos
	handle := func(op uint64) error {
		if op == 13 {
			panic("unlucky")
		}
		return nil
	}
	start := func(int) func(uint64) error { return handle }
	w := openWorkers(nil, chaostest.WorkersConfig{Workers: 2, Restarts: 3, Within: time.Minute, Start: start})
	for _, op := range []uint64{12, 13, 14} {
		fmt.Println(op, w.Do(context.Background(), 1, op))
	}
	fmt.Println("closed:", w.Close())
	// Output:
	// 12 <nil>
	// 13 the worker died: unlucky
	// 14 <nil>
	// closed: <nil>
}
