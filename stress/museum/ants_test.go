package museum

import (
	"io"
	"log"
	"sync"
	"testing"
	"time"

	"github.com/panjf2000/ants/v2"

	"tensile/stress/routertest"
)

func antsTasks(t *testing.T) {
	routertest.TestRouter(t, func(t testing.TB, cfg routertest.Config) routertest.Router {
		p, err := ants.NewPool(1, ants.WithExpiryDuration(time.Minute), ants.WithLogger(log.New(io.Discard, "", 0)))
		if err != nil {
			t.Fatal(err)
		}
		d := &dispatcher{pool: p, more: make(chan struct{}, 1), end: make(chan struct{})}
		d.ended.Go(d.run)
		return antsRouter{newRouter(cfg, nil, d.submit), d}
	})
}

// dispatcher hands tasks to the pool one after the other, so that a sender
// never waits for a worker.
type dispatcher struct {
	pool  *ants.Pool
	mu    sync.Mutex
	tasks []func()
	more  chan struct{}
	end   chan struct{}
	ended sync.WaitGroup
}

func (d *dispatcher) submit(task func()) {
	d.mu.Lock()
	d.tasks = append(d.tasks, task)
	d.mu.Unlock()
	select {
	case d.more <- struct{}{}:
	default:
	}
}

func (d *dispatcher) run() {
	for {
		d.mu.Lock()
		tasks := d.tasks
		d.tasks = nil
		d.mu.Unlock()
		for _, task := range tasks {
			_ = d.pool.Submit(task) // fails only once the pool is released
		}
		if len(tasks) > 0 {
			continue
		}
		select {
		case <-d.more:
		case <-d.end:
			return
		}
	}
}

// antsRouter releases the pool with its router.
type antsRouter struct {
	*router
	d *dispatcher
}

func (r antsRouter) Close() error {
	err := r.router.Close()
	close(r.d.end)
	r.d.ended.Wait()
	r.d.pool.Release()
	return err
}
