package classics

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Each takes the fork on the left, and then waits for the one on the right.
func dining(sound bool) string {
	const philosophers = 3
	var forks [philosophers]sync.Mutex
	var meals atomic.Int32
	var wg sync.WaitGroup
	for i := range philosophers {
		wg.Go(func() {
			first, second := i, (i+1)%philosophers
			if sound && first > second {
				first, second = second, first
			}
			forks[first].Lock()
			forks[second].Lock()
			meals.Add(1)
			forks[second].Unlock()
			forks[first].Unlock()
		})
	}
	wg.Wait()
	return unless(meals.Load() == philosophers, "someone did not eat")
}

// A writer waits for all readers while it is one of them.
func upgrade(sound bool) string {
	var mu sync.RWMutex
	n := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			mu.RLock()
			old := n
			if sound {
				mu.RUnlock()
			}
			if old < 2 {
				mu.Lock()
				n++
				mu.Unlock()
			}
			if !sound {
				mu.RUnlock()
			}
		})
	}
	wg.Wait()
	return ""
}

// A reader calls another that takes the read lock again: a writer that came in
// between goes first, and waits for the first lock.
func readTwice(sound bool) string {
	var mu sync.RWMutex
	n := 0
	size := func() int {
		mu.RLock()
		defer mu.RUnlock()
		return n
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if sound {
			size()
			return
		}
		mu.RLock()
		defer mu.RUnlock()
		size()
	})
	wg.Go(func() {
		mu.Lock()
		n++
		mu.Unlock()
	})
	wg.Wait()
	return ""
}

// One way out of a function, taken only in some orders, leaves the lock held.
func keptLock(sound bool) string {
	var mu sync.Mutex
	closed := false
	put := func() error {
		mu.Lock()
		if closed {
			if sound {
				mu.Unlock()
			}
			return errors.New("closed")
		}
		mu.Unlock()
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if put() != nil {
			_ = put()
		}
	})
	wg.Go(func() {
		mu.Lock()
		closed = true
		mu.Unlock()
	})
	wg.Wait()
	return ""
}
