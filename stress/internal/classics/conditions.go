package classics

import (
	"sync"
	"sync/atomic"
)

// Whether to wait is decided before the lock is taken.
func lostWakeUp(sound bool) string {
	var mu sync.Mutex
	ready := sync.NewCond(&mu)
	is := false
	look := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return is
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if !sound {
			if !look() {
				mu.Lock()
				ready.Wait()
				mu.Unlock()
			}
			return
		}
		mu.Lock()
		for !is {
			ready.Wait()
		}
		mu.Unlock()
	})
	wg.Go(func() {
		mu.Lock()
		is = true
		mu.Unlock()
		ready.Signal()
	})
	wg.Wait()
	return ""
}

// The waiter does all right, but what it waits for changes without the lock: the
// signal may come between its look and its sleep.
func signalWithoutLock(sound bool) string {
	var mu sync.Mutex
	done := sync.NewCond(&mu)
	var left atomic.Int32
	left.Store(1)
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		for left.Load() > 0 {
			done.Wait()
		}
		mu.Unlock()
	})
	wg.Go(func() {
		if sound {
			mu.Lock()
			defer mu.Unlock()
		}
		left.Add(-1)
		done.Signal()
	})
	wg.Wait()
	return ""
}

// Who is woken takes for granted that what it waited for is still so.
func ifInsteadOfFor(sound bool) string {
	var mu sync.Mutex
	more := sync.NewCond(&mu)
	items, below := 0, false
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			if sound {
				for items == 0 {
					more.Wait()
				}
			} else if items == 0 {
				more.Wait()
			}
			items--
			below = below || items < 0
		})
	}
	for range 2 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			items++
			more.Broadcast()
		})
	}
	wg.Wait()
	return unless(!below, "more was taken than there was")
}

// Those who put and those who take wait on one condition: a signal may wake one
// who has no use for it.
func signalForMany(sound bool) string {
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	wake := changed.Signal
	if sound {
		wake = changed.Broadcast
	}
	full := false // there is one place
	move := func(from bool) {
		mu.Lock()
		for full != from {
			changed.Wait()
		}
		full = !full
		wake()
		mu.Unlock()
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { move(false) })
		wg.Go(func() { move(true) })
	}
	wg.Wait()
	return ""
}

// A barrier is used again before all have left it: who comes for the second
// time resets what those of the first still look at.
func brokenBarrier(sound bool) string {
	const parties = 2
	var mu sync.Mutex
	all := sync.NewCond(&mu)
	arrived, generation := 0, 0
	await := func() {
		mu.Lock()
		defer mu.Unlock()
		arrived++
		mine := generation
		if arrived == parties {
			generation++
			if sound {
				arrived = 0
			}
			all.Broadcast()
			return
		}
		if sound {
			for generation == mine {
				all.Wait()
			}
			return
		}
		for arrived < parties {
			all.Wait()
		}
		arrived = 0 // by the last who leaves, it is hoped
	}
	var wg sync.WaitGroup
	for range parties {
		wg.Go(func() {
			await()
			await()
		})
	}
	wg.Wait()
	return ""
}
