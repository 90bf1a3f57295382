package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/thejerf/suture/v4"
	"golang.org/x/sync/errgroup"

	"tensile/chaos"
)

// The shape of the chaos scenario.
const (
	workerCount = 1000
	victims     = workerCount / 10
)

// item is what a worker handles; one that is deadly has it panic.
type item struct {
	deadly bool
	done   chan<- error
}

func (i item) handle() error {
	if i.deadly {
		panic("an item of the comparison, on purpose")
	}
	return nil
}

// crewPeer is a number of workers.
type crewPeer struct {
	name  string
	bound bool
	lacks string
	// restarts says whether workers come back after a panic.
	restarts bool
	open     func() (do func(worker int, deadly bool) error, end func() error, err error)
}

func working() []comparison {
	back := comparison{scenario: "chaos", unit: "ms", lower: true, n: victims,
		work: fmt.Sprintf("%d of %d workers panic at once, until all work again", victims, workerCount)}
	rate := comparison{scenario: "chaos", unit: "items/s", n: 200_000,
		work: fmt.Sprintf("items to %d workers from %d callers who wait for each", workerCount, callers),
		why: "A profile shows that tensile/chaos spends more than half of its time in selects, and suture alone a quarter: " +
			"the workers of chaos " +
			"also wait for injected faults, and a caller also waits for the end of its worker. Suture alone makes a channel " +
			"for each item instead."}
	for _, p := range crews {
		rate.contestants = append(rate.contestants, contestant{name: p.name, bound: p.bound, lacks: p.lacks, sample: p.rate})
		if p.restarts {
			back.contestants = append(back.contestants, contestant{name: p.name, bound: p.bound, lacks: p.lacks,
				sample: func(int) (float64, error) { return p.recover() }})
		}
	}
	return []comparison{back, rate}
}

func (p crewPeer) rate(n int) (float64, error) {
	do, end, err := p.open()
	if err != nil {
		return 0, err
	}
	x, err := perSecond(n, func() error {
		return together(callers, n, func(caller, n int) error {
			return repeat(n, func(i int) error { return do((caller+i*callers)%workerCount, false) })
		})
	})
	return x, errors.Join(err, end())
}

func (p crewPeer) recover() (ms float64, err error) {
	do, end, err := p.open()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = together(victims, victims, func(i, _ int) error {
		if do(i*10, true) == nil {
			return errors.New("a deadly item was handled")
		}
		return nil
	})
	err = errors.Join(err, together(workerCount, workerCount, func(worker, _ int) error { return do(worker, false) }))
	return float64(time.Since(began)) / 1e6, errors.Join(err, end())
}

var errDied = errors.New("the worker died of it")

var crews = []crewPeer{
	{name: "tensile/chaos", restarts: true, open: func() (func(int, bool) error, func() error, error) {
		w, err := chaos.NewWorkers(chaos.WorkersConfig[item]{Workers: workerCount, Start: func(int) chaos.Handler[item] {
			return func(_ context.Context, i item) error { return i.handle() }
		}})
		if err != nil {
			return nil, nil, err
		}
		return func(worker int, deadly bool) error {
			return w.Do(context.Background(), worker, item{deadly: deadly})
		}, w.Close, nil
	}},
	{name: "suture alone, with a channel each", restarts: true, lacks: "mailboxes that outlive a crash, hung workers",
		open: func() (func(int, bool) error, func() error, error) {
			s := suture.New("workers", suture.Spec{EventHook: func(suture.Event) {},
				FailureThreshold: workerCount * workerCount})
			boxes := make([]chan item, workerCount)
			for i := range boxes {
				boxes[i] = make(chan item, 16)
				s.Add(channelWorker(boxes[i]))
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := s.ServeBackground(ctx)
			return send(boxes), func() error { cancel(); <-ended; return nil }, nil
		}},
	{name: "errgroup, with a channel each", lacks: "restarts: the first panic ends the process",
		open: func() (func(int, bool) error, func() error, error) {
			var g errgroup.Group
			boxes := make([]chan item, workerCount)
			ctx, cancel := context.WithCancel(context.Background())
			for i := range boxes {
				boxes[i] = make(chan item, 16)
				g.Go(func() error { return channelWorker(boxes[i]).Serve(ctx) })
			}
			return send(boxes), func() error {
				cancel()
				if err := g.Wait(); !errors.Is(err, context.Canceled) {
					return err
				}
				return nil
			}, nil
		}},
	{name: "a new goroutine for each item", bound: true, restarts: true, lacks: "workers: no state, no order, no bound",
		open: func() (func(int, bool) error, func() error, error) {
			var all sync.WaitGroup
			return func(_ int, deadly bool) error {
				done := make(chan error, 1)
				all.Go(func() { _ = attempt(item{deadly, done}) })
				return <-done
			}, func() error { all.Wait(); return nil }, nil
		}},
}

// channelWorker handles what comes through a channel.
type channelWorker chan item

// Serve works until ctx ends. A panic goes through, once whoever waits for the
// item was told.
func (w channelWorker) Serve(ctx context.Context) error {
	for {
		select {
		case i := <-w:
			func() {
				outcome := errDied
				defer func() { i.done <- outcome }()
				outcome = i.handle()
			}()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attempt handles an item and swallows its panic.
func attempt(i item) (err error) {
	err = errDied
	defer func() {
		_ = recover()
		i.done <- err
	}()
	err = i.handle()
	return err
}

// send has the channel of a worker take an item, and waits for the outcome.
func send(boxes []chan item) func(worker int, deadly bool) error {
	return func(worker int, deadly bool) error {
		done := make(chan error, 1)
		boxes[worker] <- item{deadly, done}
		return <-done
	}
}
