package classics

import (
	"sync"
	"sync/atomic"
	"time"
)

// A goroutine makes the channel by which it is stopped. Who stops it before that sends
// to no channel, forever.
func madeTooLate(sound bool) string {
	var stop chan struct{}
	if sound {
		stop = make(chan struct{})
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if !sound {
			stop = make(chan struct{})
		}
		<-stop
	})
	wg.Go(func() { stop <- struct{}{} })
	wg.Wait()
	return ""
}

// A builder has what it builds called in a goroutine, before its caller has stored it.
func calledTooSoon(sound bool) string {
	var mu sync.Mutex
	var resolve func()
	var wg sync.WaitGroup
	build := func() func() {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			resolve()
		})
		return func() {}
	}
	if sound {
		mu.Lock()
	}
	resolve = build()
	if sound {
		mu.Unlock()
	}
	wg.Wait()
	return ""
}

// Two find that there is none yet, and each makes one.
func madeTwice(sound bool) string {
	var mu sync.Mutex
	var only *int
	get := func() *int {
		if sound {
			mu.Lock()
			defer mu.Unlock()
		}
		if only == nil {
			only = new(int)
		}
		return only
	}
	var got [2]*int
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = get() })
	}
	wg.Wait()
	return unless(got[0] == got[1], "there are two of what there must be one")
}

// Each puts its hook before the one that it has found, and one hook is lost.
func lostHook(sound bool) string {
	var mu sync.Mutex
	var closed [2]bool
	rotate := func() {}
	var wg sync.WaitGroup
	for i := range closed {
		wg.Go(func() {
			if sound {
				mu.Lock()
				defer mu.Unlock()
			}
			next := rotate
			rotate = func() {
				closed[i] = true
				next()
			}
		})
	}
	wg.Wait()
	rotate()
	return unless(closed == [2]bool{true, true}, "a connection outlives the rotation")
}

// What a handler notes is looked at when its request has been sent, not when it has
// been served.
func lookedTooSoon(sound bool) string {
	requests := make(chan chan struct{}, 1)
	var called atomic.Bool
	seen := false
	var wg sync.WaitGroup
	wg.Go(func() {
		served := <-requests
		called.Store(true)
		close(served)
	})
	wg.Go(func() {
		served := make(chan struct{})
		requests <- served
		if sound {
			<-served
		}
		seen = called.Load()
	})
	wg.Wait()
	return unless(seen, "the handler was not called")
}

// An entry expires, and in the same instant somebody counts what has expired.
func countedTooSoon(sound bool) string {
	var evicted, counted atomic.Int32
	const lives = 10 * time.Millisecond
	done := make(chan struct{})
	time.AfterFunc(lives, func() {
		evicted.Add(1)
		close(done)
	})
	time.Sleep(lives)
	if sound {
		<-done
	}
	counted.Store(evicted.Load())
	<-done
	return unless(counted.Load() == 1, "the entry is not evicted")
}
