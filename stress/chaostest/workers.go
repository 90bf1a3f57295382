package chaostest

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
)

// Workers is a subject of the chaos scenario: a number of workers under supervision,
// each of which handles one operation after the other. Its methods are called
// concurrently. What they hold at most is judged, without what the kit does: see
// docs/criteria.md, "Memory of the subject".
type Workers interface {
	// Do passes an operation to a worker and waits for it. If it returns nil, the
	// operation was handled once. Otherwise the error is that of the handler, for
	// errors.As, or says why the operation was not handled, or only in part: the worker
	// died of it, hangs, or no longer serves. Operations of other workers must not fail
	// for that. No operation is handled twice. Once ctx has ended Do returns, even
	// while the operation is being handled.
	Do(ctx context.Context, worker int, op uint64) error
	// Close ends calls of Do that wait, and returns once nothing of the workers is left.
	// From then on Do returns errors, and no worker starts.
	Close() error
}

// Watched are Workers that replace one that does not return from an
// operation within WorkersConfig.Hung.
type Watched interface {
	Workers
	Watched()
}

// WorkersConfig describes the workers that the kit needs.
type WorkersConfig struct {
	Workers int // numbered from 0
	// The subject calls Start whenever a worker starts, also after its death, and
	// passes its operations to the function that Start returns. Both may panic: that
	// is how the kit kills a worker. The kit counts restarts there.
	Start func(worker int) (handle func(op uint64) error)
	// A worker is restarted up to Restarts times within Within. After that it is not
	// restarted, or not before that time has passed. Deaths that are longer ago do not
	// count.
	Restarts int
	Within   time.Duration
	Hung     time.Duration // how long an operation may take; 0 means no limit; only for Watched
}

// TestWorkers tests the workers that open returns in the workers' part of the chaos
// scenario.
func TestWorkers(t *testing.T, open func(testing.TB, WorkersConfig) Workers) {
	TestChaos(t, Subjects{Workers: open})
}

// The shape of the scenario.
const (
	workerCount  = 1000
	crewVictims  = workerCount / 10
	fewWorkers   = 8
	crewRestarts = 5
	crewWithin   = time.Minute
	crewHung     = 250 * time.Millisecond
)

// workersKit is the part of the chaos scenario with workers.
type workersKit struct {
	*scenario.Scenario
	open  func(testing.TB, WorkersConfig) Workers
	plain bool // the workers are the control
}

func (k *workersKit) phases() []phase {
	return []phase{
		{Name: "workers: a death", Body: k.death, Shows: "answers cascades", Within: scenario.Settle},
		{Name: "workers: a crash loop", Body: k.crashLoop, Shows: "intensity answers cascades hypothesis",
			Within: 2 * scenario.Settle},
		{Name: "workers: a hang", Body: k.hang, Shows: "hung answers cascades", Within: 2 * scenario.Settle},
		{Name: "workers: a tenth dies", Body: k.tenth, Sound: true,
			Shows: "lost answers cascades hypothesis serving recovery recovery_reach p99 slowness"},
	}
}

// supervised is the workers of the subject with what the kit saw of them.
type supervised struct {
	*workersKit
	Workers
	starts  []atomic.Int64  // starts of each worker
	broken  []atomic.Bool   // workers that can not start again
	handled []atomic.Uint32 // how often each work operation was
	release chan struct{}   // closed to let go of what hangs
}

// An operation is a kind and a number.
const (
	opWork  = iota << 56 // counted in handled
	opProbe              // does nothing
	opFail               // returns errHandler
	opDie                // panics
	opHang               // does not return before release
	opKinds = 0xff << 56
)

var errHandler = errors.New("the handler's own error")

// deadly is the value of the panics, which stands in a crash should a subject
// let one through.
const deadly = "tensile: deliberate panic of a worker, which its supervisor must survive"

// start opens n workers for that many work operations.
func (k *workersKit) start(t testing.TB, n, operations, restarts int, hung time.Duration) *supervised {
	c := &supervised{workersKit: k, starts: make([]atomic.Int64, n), broken: make([]atomic.Bool, n),
		handled: make([]atomic.Uint32, operations), release: make(chan struct{})}
	c.Workers = k.open(t, WorkersConfig{Workers: n, Start: c.begin, Restarts: restarts, Within: crewWithin, Hung: hung})
	if !k.plain {
		k.Subject(c.Workers)
	}
	return c
}

// begin is the Start of all workers.
func (c *supervised) begin(worker int) func(op uint64) error {
	c.starts[worker].Add(1)
	if c.broken[worker].Load() {
		panic(deadly)
	}
	return func(op uint64) error {
		switch op & opKinds {
		case opWork:
			c.handled[op].Add(1)
		case opFail:
			return errHandler
		case opDie:
			panic(deadly)
		case opHang:
			<-c.release
		}
		return nil
	}
}

// close ends the workers.
func (c *supervised) close() {
	if err := c.Close(); err != nil {
		c.Fault("Close of the workers returned %v", err)
	}
}

// serves waits until a worker serves, trying again while it returns errors. It
// returns false if ctx ended first.
func (c *supervised) serves(ctx context.Context, worker int) bool {
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		if c.Do(ctx, worker, opProbe) == nil {
			return true
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return false
		}
	}
}

// allServe asks every worker at once, and returns those that do not serve.
func (c *supervised) allServe(ctx context.Context) (silent []int) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range c.starts {
		all.Go(func() {
			defer c.Recovered("probing")
			if !c.serves(ctx, worker) {
				mu.Lock()
				defer mu.Unlock()
				silent = append(silent, worker)
			}
		})
	}
	all.Wait()
	return silent
}

// untouched checks that none but the workers that were hit was restarted, and
// those once for each time.
func (c *supervised) untouched(when string, hits map[int]int) {
	for worker := range c.starts {
		switch more := int(c.starts[worker].Load()) - 1 - hits[worker]; {
		case more > 0 && hits[worker] == 0:
			c.Violate("cascades", "%s: worker %d was restarted %d times, and nothing was done to it", when, worker, more)
		case more > 0:
			c.Violate("cascades", "%s: worker %d died %d times and was restarted %d times",
				when, worker, hits[worker], more+hits[worker])
		}
	}
}

// BenchmarkWorkers measures operations on 1,000 workers, and the time until
// all serve again of which a tenth was killed at once.
func BenchmarkWorkers(b *testing.B, open func(testing.TB, WorkersConfig) Workers) {
	start := func(b *testing.B) Workers {
		return open(b, WorkersConfig{Workers: workerCount, Restarts: math.MaxInt32, Within: crewWithin,
			Start: func(int) func(uint64) error {
				return func(op uint64) error {
					if op&opKinds == opDie {
						panic(deadly)
					}
					return nil
				}
			}})
	}
	b.Run("operations", func(b *testing.B) {
		w := start(b)
		b.ReportAllocs()
		b.SetParallelism(crewClosed / 2)
		var caller atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := int(caller.Add(1)) * 31; pb.Next(); i++ {
				if err := w.Do(context.Background(), i%workerCount, opWork); err != nil {
					panic(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		closeWorkers(b, w)
	})
	b.Run("recovery", func(b *testing.B) {
		w := start(b)
		for b.Loop() {
			var all sync.WaitGroup
			for i := range crewVictims {
				all.Go(func() {
					worker := i * workerCount / crewVictims
					_ = w.Do(context.Background(), worker, opDie) // it dies of it
					for w.Do(context.Background(), worker, opProbe) != nil {
						runtime.Gosched()
					}
				})
			}
			all.Wait()
		}
		closeWorkers(b, w)
	})
}

func closeWorkers(b *testing.B, w Workers) {
	b.StopTimer()
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}
