package chaostest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// control is the workers beside which the subject is judged: a goroutine each, which takes
// one operation after the other, and is started again when it dies.
type control struct {
	cfg    WorkersConfig
	all    []controlWorker
	closed chan struct{}
	over   sync.WaitGroup
}

type controlWorker struct {
	tasks chan controlTask
	gone  chan struct{} // closed once it is not started again
}

type controlTask struct {
	op    uint64
	reply chan error // has room for the reply
}

var (
	errControlDied   = errors.New("control: the worker died")
	errControlGone   = errors.New("control: the worker died too often")
	errControlClosed = errors.New("control: closed")
)

func openControl(_ testing.TB, cfg WorkersConfig) Workers {
	c := &control{cfg: cfg, all: make([]controlWorker, cfg.Workers), closed: make(chan struct{})}
	for i := range c.all {
		c.all[i] = controlWorker{make(chan controlTask), make(chan struct{})}
		c.over.Go(func() { c.supervise(i) })
	}
	return c
}

// supervise starts a worker whenever it dies, but not more often than it may.
func (c *control) supervise(worker int) {
	defer close(c.all[worker].gone)
	var deaths []time.Time
	for c.live(worker) {
		deaths = append(deaths, time.Now())
		if first := len(deaths) - 1 - c.cfg.Restarts; first >= 0 && time.Since(deaths[first]) <= c.cfg.Within {
			return
		}
	}
}

// live is one life of a worker. It returns true if it died.
func (c *control) live(worker int) (died bool) {
	var task controlTask // that it is at work on; none if there is no reply
	defer func() {
		value := recover()
		if died = value != nil; died && task.reply != nil {
			task.reply <- fmt.Errorf("%w: %v", errControlDied, value)
		}
	}()
	handle := c.cfg.Start(worker)
	for {
		task = controlTask{}
		select {
		case task = <-c.all[worker].tasks:
			task.reply <- handle(task.op)
		case <-c.closed:
			return false
		}
	}
}

func (c *control) Do(ctx context.Context, worker int, op uint64) error {
	w, task := &c.all[worker], controlTask{op, make(chan error, 1)}
	select {
	case w.tasks <- task:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.gone:
		return errControlGone
	case <-c.closed:
		return errControlClosed
	}
	select {
	case err := <-task.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *control) Close() error {
	close(c.closed)
	c.over.Wait()
	return nil
}
