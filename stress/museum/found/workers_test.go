package found

import (
	"context"
	"errors"
	"io"
	"log"
	"sync/atomic"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/gammazero/workerpool"
	"github.com/panjf2000/ants/v2"
	"github.com/remeh/sizedwaitgroup"
	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/pool"
	"golang.org/x/sync/errgroup"

	"tensile/stress/explore"
)

var workers = []program{
	{module: "github.com/panjf2000/ants/v2", name: "a panic beside Submit", run: antsPanic, memory: true, left: true,
		finds: "Submit does not return"},
	{module: "github.com/panjf2000/ants/v2", name: "Tune beside Submit", run: antsTune, memory: true, left: true,
		finds: "Submit does not return"},
	{module: "github.com/panjf2000/ants/v2", name: "Release beside Submit", run: antsRelease, left: true},
	{module: "github.com/alitto/pond/v2", name: "Go beside Resize", run: pondResize},
	{module: "github.com/alitto/pond/v2", name: "a subpool of a pool with a full queue", run: pondFull, left: true,
		finds: "the tasks do not end"},
	{module: "github.com/alitto/pond/v2", name: "a subpool of a full pool that does not block", run: pondRefused,
		finds: "a task that was accepted did not run"},
	{module: "github.com/gammazero/workerpool", name: "Do beside StopWait", run: workerpoolStop},
	{module: "github.com/gammazero/workerpool", name: "Pause beside Do and Stop", run: workerpoolPause},
	{module: "github.com/sourcegraph/conc", name: "a failing task cancels the pool", run: concPool},
	{module: "github.com/sourcegraph/conc", name: "a panic in a WaitGroup", run: concPanic},
	{module: "golang.org/x/sync", name: "errgroup: a limit, TryGo and a failure", run: groupLimit},
	{module: "github.com/remeh/sizedwaitgroup", name: "the limit, under a context", run: sizedLimit},
}

var silent = ants.WithLogger(log.New(io.Discard, "", 0))

// submitted has each task submitted by a goroutine of its own, and fails if Submit
// does not return.
func submitted(e *explore.Run, p *ants.Pool, more func(), tasks ...func()) {
	within(e, "Submit does not return", func() {
		done := make(chan struct{})
		for _, task := range tasks {
			e.Go("caller", func() {
				_ = p.Submit(task)
				done <- struct{}{}
			})
		}
		more()
		for range tasks {
			<-done
		}
	})
}

// A worker that dies of a panic makes room for who waits for one.
func antsPanic(e *explore.Run) {
	p, err := ants.NewPool(1, ants.WithDisablePurge(true), silent)
	e.Check(err == nil, "NewPool: %v", err)
	submitted(e, p, func() {}, func() { panic("a task") }, func() {})
	p.Release()
}

// There is room for both once the pool is larger.
func antsTune(e *explore.Run) {
	p, err := ants.NewPool(1, ants.WithDisablePurge(true), silent)
	e.Check(err == nil, "NewPool: %v", err)
	forEver := make(chan struct{})
	submitted(e, p, func() { p.Tune(2) }, func() { <-forEver }, func() { <-forEver })
	close(forEver)
	p.Release()
}

// Submit returns, whatever it returns, and what it accepts runs.
func antsRelease(e *explore.Run) {
	p, err := ants.NewPool(1, ants.WithDisablePurge(true), silent)
	e.Check(err == nil, "NewPool: %v", err)
	var accepted, ran atomic.Int32
	submit := func() {
		if p.Submit(func() { ran.Add(1) }) == nil {
			accepted.Add(1)
		}
	}
	within(e, "Submit or Release does not return", func() { each3(e, submit, submit, p.Release) })
	time.Sleep(time.Second)
	e.Check(accepted.Load() == ran.Load(), "%d tasks were accepted, %d ran", accepted.Load(), ran.Load())
}

// each3 is each for functions that are part of another goroutine's work.
func each3(e *explore.Run, functions ...func()) {
	done := make(chan struct{})
	for i, f := range functions {
		e.Go(string(rune('a'+i)), func() {
			f()
			done <- struct{}{}
		})
	}
	for range functions {
		<-done
	}
}

// Each task that is accepted runs. The pool is not stopped: Stop hands its work to a
// pool of the whole process, which no schedule may leave as it likes.
func pondResize(e *explore.Run) {
	p := pond.NewPool(2, pond.WithQueueSize(1), pond.WithContext(e.Context()))
	var accepted, ran atomic.Int32
	submit := func() {
		if p.Go(func() { ran.Add(1) }) == nil {
			accepted.Add(1)
		}
	}
	within(e, "Go does not return", func() {
		each3(e, submit, submit, submit, submit, func() {
			p.Resize(1)
			p.Resize(2)
		})
	})
	time.Sleep(time.Second)
	e.Check(accepted.Load() == ran.Load(), "%d tasks were accepted, %d ran", accepted.Load(), ran.Load())
}

// The only worker of the pool, done with a task of the subpool, hands in its next one
// where there is no room, and is the one who would make room.
func pondFull(e *explore.Run) {
	parent := pond.NewPool(1, pond.WithQueueSize(1), pond.WithContext(e.Context()))
	sub := parent.NewSubpool(1)
	within(e, "the tasks do not end", func() {
		var tasks []pond.Task
		started, release := make(chan struct{}), make(chan struct{})
		tasks = append(tasks, sub.Submit(func() {
			close(started)
			<-release
		}))
		<-started
		tasks = append(tasks, sub.Submit(func() {}), parent.Submit(func() {}))
		close(release)
		for _, task := range tasks {
			_ = task.Wait()
		}
	})
}

// What a subpool accepts while its parent has no room runs, or is refused.
func pondRefused(e *explore.Run) {
	parent := pond.NewPool(1, pond.WithQueueSize(1), pond.WithNonBlocking(true), pond.WithContext(e.Context()))
	sub := parent.NewSubpool(1)
	var accepted, ran atomic.Int32
	release := make(chan struct{})
	for range 2 {
		_ = parent.Go(func() { <-release })
	}
	each(e, func() {
		if sub.Go(func() { ran.Add(1) }) == nil {
			accepted.Add(1)
		}
	}, func() { close(release) })
	time.Sleep(time.Second)
	e.Check(accepted.Load() == ran.Load(), "a task that was accepted did not run")
}

func workerpoolStop(e *explore.Run) {
	p := workerpool.New(1)
	var accepted, ran atomic.Int32
	do := func() {
		if p.Do(func() { ran.Add(1) }) == nil {
			accepted.Add(1)
		}
	}
	each(e, do, do, func() {
		if p.DoWait(func() { ran.Add(1) }) == nil {
			accepted.Add(1)
		}
	}, p.StopWait, p.StopWait)
	e.Check(accepted.Load() == ran.Load(), "%d tasks were accepted, %d ran", accepted.Load(), ran.Load())
}

func workerpoolPause(e *explore.Run) {
	p := workerpool.New(2)
	ctx, cancel := context.WithCancel(e.Context())
	each(e, func() { p.Pause(ctx) }, cancel, func() { _ = p.Do(func() {}) }, func() { _ = p.DoWait(func() {}) }, p.Stop)
}

var errTask = errors.New("a task")

func concPool(e *explore.Run) {
	p := pool.New().WithMaxGoroutines(2).WithContext(e.Context()).WithCancelOnError().WithFirstError()
	var inside atomic.Int32
	for i := range 4 {
		p.Go(func(ctx context.Context) error {
			e.Check(inside.Add(1) <= 2, "more than 2 are inside")
			defer inside.Add(-1)
			if i == 1 {
				return errTask
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
				return nil
			}
		})
	}
	err := p.Wait()
	e.Check(errors.Is(err, errTask), "the first error is %v", err)
}

func concPanic(e *explore.Run) {
	var wg conc.WaitGroup
	for range 2 {
		wg.Go(func() { panic(errTask) })
	}
	wg.Go(func() {})
	r := wg.WaitAndRecover()
	e.Check(r != nil && errors.Is(r.AsError(), errTask), "the panic is %v", r)
}

func groupLimit(e *explore.Run) {
	g, ctx := errgroup.WithContext(e.Context())
	g.SetLimit(2)
	var inside, ran, accepted atomic.Int32
	task := func(err error) func() error {
		return func() error {
			e.Check(inside.Add(1) <= 2, "more than 2 are inside")
			defer inside.Add(-1)
			ran.Add(1)
			return err
		}
	}
	for i := range 3 {
		if g.TryGo(task(nil)) {
			accepted.Add(1)
		}
		if i == 1 {
			g.Go(task(errTask))
			accepted.Add(1)
		}
	}
	e.Check(g.Wait() == errTask, "the failure is lost")
	e.Check(ctx.Err() != nil, "the context is not cancelled")
	e.Check(ran.Load() == accepted.Load(), "%d tasks were accepted, %d ran", accepted.Load(), ran.Load())
}

func sizedLimit(e *explore.Run) {
	wg := sizedwaitgroup.New(1)
	var inside atomic.Int32
	ctx, cancel := context.WithCancel(e.Context())
	e.Go("canceller", cancel)
	for range 3 {
		if wg.AddWithContext(ctx) != nil {
			continue
		}
		e.Go("task", func() {
			defer wg.Done()
			e.Check(inside.Add(1) == 1, "more than 1 is inside")
			inside.Add(-1)
		})
	}
	wg.Wait()
	e.Wait()
}
