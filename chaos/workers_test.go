package chaos

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func start[T any](t testing.TB, cfg WorkersConfig[T]) *Workers[T] {
	t.Helper()
	w, err := NewWorkers(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// poison is the item that kills a worker.
const poison = -1

var errOdd = errors.New("odd")

// counts is how often each worker was started.
type counts []atomic.Int64

func (c counts) handler(worker int) Handler[int] {
	c[worker].Add(1)
	return func(_ context.Context, item int) error {
		switch {
		case item == poison:
			panic("poison")
		case item%2 == 1:
			return errOdd
		}
		return nil
	}
}

func TestWorkersHandle(t *testing.T) {
	starts := make(counts, 3)
	w := start(t, WorkersConfig[int]{Workers: 3, Start: starts.handler})
	for worker := range 3 {
		assert.NoError(t, w.Do(t.Context(), worker, 2))
		assert.Equal(t, errOdd, w.Do(t.Context(), worker, 3))
	}
	for _, worker := range []int{-1, 3} {
		err := w.Do(t.Context(), worker, 2)
		assert.ErrorIs(t, err, ErrWorkers)
		assert.ErrorContains(t, err, "must be 0 to 2")
	}
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	assert.ErrorIs(t, w.Do(t.Context(), 1, 2), ErrClosed)
	for i := range starts {
		assert.Equal(t, int64(1), starts[i].Load())
	}
}

func TestWorkersKeepOrder(t *testing.T) {
	const n = 200
	var got []int
	hold := make(chan struct{})
	synctest.Test(t, func(t *testing.T) {
		w := start(t, WorkersConfig[int]{Workers: 1, Mailbox: n, Start: func(int) Handler[int] {
			return func(_ context.Context, item int) error {
				if item == 0 {
					<-hold
				}
				got = append(got, item)
				return nil
			}
		}})
		hold = make(chan struct{})
		for i := range n {
			go func() { assert.NoError(t, w.Do(t.Context(), 0, i)) }()
			synctest.Wait()
		}
		close(hold)
		synctest.Wait()
		assert.NoError(t, w.Close())
	})
	for i, item := range got {
		require.Equal(t, i, item)
	}
	assert.Len(t, got, n)
}

// TestCrashHarmsNobodyElse has what waits in the mailbox of a worker that
// crashes handled by its next life, and only the item that killed it lost.
func TestCrashHarmsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		starts := make(counts, 3)
		var why []error
		w := start(t, WorkersConfig[int]{Workers: 3, OnRestart: func(_ int, err error) { why = append(why, err) },
			Start: func(worker int) Handler[int] {
				handle := starts.handler(worker)
				return func(ctx context.Context, item int) error {
					if item == poison {
						<-hold
					}
					return handle(ctx, item)
				}
			}})
		killed := make(chan error, 1)
		go func() { killed <- w.Do(t.Context(), 1, poison) }()
		synctest.Wait()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() { assert.NoError(t, w.Do(t.Context(), 1, 2*i)) })
		}
		synctest.Wait()
		close(hold)
		all.Wait()
		err := <-killed
		assert.ErrorIs(t, err, ErrCrashed)
		assert.ErrorContains(t, err, "worker 1: worker crashed: poison")
		var crash *Crash
		require.ErrorAs(t, err, &crash)
		assert.Contains(t, crash.Stack(), "counts.handler")
		synctest.Wait()
		assert.Equal(t, []error{err}, why)
		for worker, n := range []int64{1, 2, 1} {
			assert.Equal(t, n, starts[worker].Load(), "starts of worker %d", worker)
		}
	})
}

func TestGoexitIsACrash(t *testing.T) {
	w := start(t, WorkersConfig[int]{Workers: 1, Start: func(int) Handler[int] {
		return func(_ context.Context, item int) error {
			if item == poison {
				runtime.Goexit()
			}
			return nil
		}
	}})
	assert.ErrorIs(t, w.Do(t.Context(), 0, poison), ErrCrashed)
	assert.NoError(t, w.Do(t.Context(), 0, 0))
}

func TestIntensity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := make(counts, 2)
		var why []error
		w := start(t, WorkersConfig[int]{Workers: 2, Start: starts.handler, Restarts: 3, Within: time.Minute,
			OnRestart: func(_ int, err error) { why = append(why, err) }})
		crash := func(worker int) error { return w.Do(t.Context(), worker, poison) }
		for range 3 {
			assert.ErrorIs(t, crash(0), ErrCrashed)
		}
		time.Sleep(time.Minute + time.Second)
		for range 3 {
			assert.ErrorIs(t, crash(0), ErrCrashed, "the first three are long past")
		}
		assert.ErrorIs(t, crash(0), ErrCrashed)
		synctest.Wait()
		err := crash(0)
		assert.ErrorIs(t, err, ErrStopped)
		assert.NotErrorIs(t, err, ErrCrashed)
		assert.Equal(t, int64(7), starts[0].Load())
		require.Len(t, why, 7)
		assert.ErrorIs(t, why[6], ErrStopped)
		assert.NoError(t, w.Do(t.Context(), 1, 2), "the other is not concerned")
		_, err = w.Injectors()[Panic](t.Context(), "0")
		assert.ErrorIs(t, err, ErrStopped)
	})
}

// TestCrashLoop has a worker that cannot even start.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		w := start(t, WorkersConfig[int]{Workers: 2, Restarts: 4, Start: func(worker int) Handler[int] {
			if worker == 1 {
				starts.Add(1)
				panic("can not start")
			}
			return func(context.Context, int) error { return nil }
		}})
		err := w.Do(t.Context(), 1, 0)
		assert.ErrorIs(t, err, ErrStopped)
		assert.ErrorContains(t, err, "4 within 10s, the last because")
		time.Sleep(time.Hour)
		assert.Equal(t, int64(5), starts.Load())
		assert.NoError(t, w.Do(t.Context(), 0, 0))
	})
}

func TestHungWorkerIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hung = time.Second
		hold := make(chan struct{})
		var starts atomic.Int64
		w := start(t, WorkersConfig[int]{Workers: 2, Hung: hung, Patience: 5 * time.Second, Start: func(int) Handler[int] {
			starts.Add(1)
			return func(_ context.Context, item int) error {
				if item == poison {
					<-hold
				}
				return nil
			}
		}})
		began := time.Now()
		err := w.Do(t.Context(), 0, poison)
		assert.ErrorIs(t, err, ErrHung)
		assert.NotErrorIs(t, err, ErrCrashed)
		took := time.Since(began)
		assert.GreaterOrEqual(t, took, hung)
		assert.LessOrEqual(t, took, hung*3/2)
		assert.NoError(t, w.Do(t.Context(), 0, 0), "its replacement serves")
		assert.Equal(t, int64(3), starts.Load())

		err = w.Close()
		assert.ErrorIs(t, err, ErrLeft)
		assert.ErrorContains(t, err, "1 after 5s")
		close(hold)
		synctest.Wait()
	})
}

// TestStoppedWorkerThatHangs is given up once, however long it hangs, and the watchdog
// goes on to look after the others.
func TestStoppedWorkerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		w := start(t, WorkersConfig[int]{Workers: 2, Restarts: 1, Within: time.Hour, Hung: time.Second,
			Start: func(int) Handler[int] {
				return func(_ context.Context, item int) error {
					if item == poison {
						<-hold
					}
					return nil
				}
			}})
		for range 2 {
			assert.ErrorIs(t, w.Do(t.Context(), 0, poison), ErrHung)
		}
		time.Sleep(time.Minute)
		soon, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, w.Do(soon, 1, poison), ErrHung)
		close(hold)
		synctest.Wait()
		assert.NoError(t, w.Close())
	})
}

// TestSlowIsNotHung works all the time, on items that each end in time.
func TestSlowIsNotHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, WorkersConfig[int]{Workers: 1, Hung: time.Second, Start: func(int) Handler[int] {
			return func(context.Context, int) error { time.Sleep(900 * time.Millisecond); return nil }
		}})
		for range 50 {
			require.NoError(t, w.Do(t.Context(), 0, 0))
		}
	})
}

// TestTimeThatTheProcessDidNotHave counts for nobody: between two looks of the
// watchdog any time may pass, as when the process is stopped.
func TestTimeThatTheProcessDidNotHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		w := start(t, WorkersConfig[int]{Workers: 1, Hung: time.Hour, Start: func(int) Handler[int] {
			return func(context.Context, int) error { <-hold; return nil }
		}})
		done := make(chan error, 1)
		go func() { done <- w.Do(t.Context(), 0, 0) }()
		synctest.Wait()
		d := newWatchdog(w)
		d.look() // it is seen at work, and from then on at the same item
		for range d.most - 1 {
			d.look()
		}
		synctest.Wait()
		assert.Empty(t, done, "%d looks, of which each is a quarter of Hung", d.most)
		d.look()
		assert.ErrorIs(t, <-done, ErrHung)
		close(hold)
	})
}

func TestCloseWaitsForTheItemInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		w := start(t, WorkersConfig[int]{Workers: 1, Start: func(int) Handler[int] {
			return func(context.Context, int) error { <-hold; return nil }
		}})
		inHand, waits := make(chan error, 1), make(chan error, 1)
		go func() { inHand <- w.Do(t.Context(), 0, 0) }()
		synctest.Wait()
		go func() { waits <- w.Do(t.Context(), 0, 0) }()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- w.Close() }()
		synctest.Wait()
		assert.Empty(t, closed)
		close(hold)
		assert.NoError(t, <-closed)
		assert.NoError(t, <-inHand)
		if err := <-waits; err != nil { // it may have been taken before the end was seen
			assert.ErrorIs(t, err, ErrClosed)
		}
	})
}

func TestDoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		w := start(t, WorkersConfig[int]{Workers: 1, Mailbox: 1, Start: func(int) Handler[int] {
			return func(context.Context, int) error { <-hold; return nil }
		}})
		for range 3 { // in hand, in the mailbox, before the mailbox
			go func() { _ = w.Do(t.Context(), 0, 0) }()
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, w.Do(ctx, 0, 0), context.DeadlineExceeded)
		close(hold)
		assert.NoError(t, w.Do(t.Context(), 0, 0))
	})
}

func TestWorkersConfigErrors(t *testing.T) {
	good := WorkersConfig[int]{Workers: 1, Start: func(int) Handler[int] { return nil }}
	for want, change := range map[string]func(*WorkersConfig[int]){
		"Workers is 0":      func(c *WorkersConfig[int]) { c.Workers = 0 },
		"Start is nil":      func(c *WorkersConfig[int]) { c.Start = nil },
		"Mailbox is -1":     func(c *WorkersConfig[int]) { c.Mailbox = -1 },
		"Restarts is -1":    func(c *WorkersConfig[int]) { c.Restarts = -1 },
		"Within is -1ns":    func(c *WorkersConfig[int]) { c.Within = -1 },
		"Hung is -1ns":      func(c *WorkersConfig[int]) { c.Hung = -1 },
		"Patience is -1ns,": func(c *WorkersConfig[int]) { c.Patience = -1 },
	} {
		cfg := good
		change(&cfg)
		_, err := NewWorkers(cfg)
		assert.ErrorIs(t, err, ErrWorkers)
		assert.ErrorContains(t, err, want)
	}
}

func TestInjectedPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := make(counts, 2)
		w := start(t, WorkersConfig[int]{Workers: 2, Start: starts.handler})
		inject := w.Injectors()
		undo, err := inject[Panic](t.Context(), "1")
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, int64(2), starts[1].Load())
		assert.NoError(t, undo())
		assert.NoError(t, undo())
		assert.NoError(t, w.Do(t.Context(), 1, 0))
		for _, target := range []string{"", "x", "-1", "2"} {
			_, err := inject[Panic](t.Context(), target)
			assert.ErrorIs(t, err, ErrWorkers, target)
		}
	})
}

func TestInjectedHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		starts := make(counts, 1)
		w := start(t, WorkersConfig[int]{Workers: 1, Start: starts.handler, Hung: time.Second})
		undo, err := w.Injectors()[Hang](t.Context(), "0")
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, undo())
		synctest.Wait()
		assert.NoError(t, w.Do(t.Context(), 0, 0))
		assert.Equal(t, int64(1), starts[0].Load(), "it was let go in time")

		undo, err = w.Injectors()[Hang](t.Context(), "0")
		require.NoError(t, err)
		began := time.Now()
		assert.NoError(t, w.Do(t.Context(), 0, 0), "its replacement serves")
		assert.GreaterOrEqual(t, time.Since(began), time.Second)
		assert.Equal(t, int64(2), starts[0].Load())
		require.NoError(t, undo())
	})
}

// TestFaultTakenBack has a fault undone before the worker came to it.
func TestFaultTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var starts atomic.Int64
		w := start(t, WorkersConfig[int]{Workers: 1, Start: func(int) Handler[int] {
			starts.Add(1)
			return func(context.Context, int) error { <-hold; return nil }
		}})
		done := make(chan error, 1)
		go func() { done <- w.Do(t.Context(), 0, 0) }()
		synctest.Wait()
		undo, err := w.Injectors()[Panic](t.Context(), "0")
		require.NoError(t, err)
		require.NoError(t, undo())
		close(hold)
		assert.NoError(t, <-done)
		synctest.Wait()
		assert.Equal(t, int64(1), starts.Load())
	})
}

// TestThousandWorkers kills a tenth of them at once, by a plan, under load.
func TestThousandWorkers(t *testing.T) {
	const n = 1000
	starts := make(counts, n)
	w := start(t, WorkersConfig[int]{Workers: n, Start: starts.handler})
	targets := make([]string, n)
	for i := range targets {
		targets[i] = strconv.Itoa(i)
	}
	plan, err := Draw(11, Spec{Targets: map[Fault][]string{Panic: targets}, Steps: n / 10,
		Min: 500 * time.Millisecond, Max: 500 * time.Millisecond, Bound: n / 10})
	require.NoError(t, err)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for g := range 4 {
		load.Go(func() {
			for i := g; ; i = (i + 4) % n {
				select {
				case <-stop:
					return
				default:
				}
				if !assert.NoError(t, w.Do(t.Context(), i, 0)) {
					return
				}
			}
		})
	}
	report, err := Experiment{
		Plan: plan, Injectors: w.Injectors(),
		Hypothesis: Hypothesis{Name: "all serve", Check: func(ctx context.Context) error {
			for i := range n {
				if err := w.Do(ctx, i, 0); err != nil {
					return fmt.Errorf("worker %d: %w", i, err)
				}
			}
			return nil
		}},
	}.Run(t.Context())
	close(stop)
	load.Wait()
	require.NoError(t, err, report)
	assert.Equal(t, n/10, report.Peak)
	hit := make(map[string]bool)
	for _, s := range plan.Steps {
		hit[s.Target] = true
	}
	for i := range starts {
		want := int64(1)
		if hit[targets[i]] {
			want = 2
		}
		assert.Equal(t, want, starts[i].Load(), "starts of worker %d", i)
	}
	assert.NoError(t, w.Close())
}

func BenchmarkDo(b *testing.B) {
	w := start(b, WorkersConfig[int]{Workers: 1000, Hung: time.Second, Start: func(int) Handler[int] {
		return func(context.Context, int) error { return nil }
	}})
	b.ReportAllocs()
	b.SetParallelism(32)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(next.Add(97)); pb.Next(); i++ {
			if err := w.Do(context.Background(), i%1000, i); err != nil {
				panic(err)
			}
		}
	})
}

func BenchmarkRestart(b *testing.B) {
	starts := make(counts, 1)
	w := start(b, WorkersConfig[int]{Workers: 1, Restarts: 1 << 30, Start: starts.handler})
	for b.Loop() {
		if err := w.Do(context.Background(), 0, poison); !errors.Is(err, ErrCrashed) {
			b.Fatal(err)
		}
		if err := w.Do(context.Background(), 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}
