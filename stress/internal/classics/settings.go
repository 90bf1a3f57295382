package classics

import (
	"sync"
	"sync/atomic"
)

// A test shortens an interval beside the server that reads it when it begins.
func changedBesideStart(sound bool) string {
	var interval, used atomic.Int64
	interval.Store(10)
	shorten := func() { interval.Store(1) }
	if sound {
		shorten()
	}
	var wg sync.WaitGroup
	wg.Go(func() { used.Store(interval.Load()) })
	if !sound {
		wg.Go(shorten)
	}
	wg.Wait()
	return unless(used.Load() == 1, "the server began with the old interval")
}

// A test puts a setting back when its call has returned, though what the call has
// started may not have read it yet.
func restoredTooEarly(sound bool) string {
	var patience, used atomic.Int64
	patience.Store(10)
	var wg sync.WaitGroup
	dial := func() (connected chan struct{}) {
		connected = make(chan struct{})
		wg.Go(func() {
			used.Store(patience.Load())
			close(connected)
		})
		return connected
	}
	old := patience.Swap(1)
	connected := dial()
	if sound {
		<-connected
	}
	patience.Store(old)
	wg.Wait()
	return unless(used.Load() == 1, "a dial has the patience of the next test")
}

// A list is cut to a limit that was lower when it was compared with the length.
func limitReadTwice(sound bool) string {
	var most atomic.Int64
	most.Store(1)
	list := []int{1, 2, 3}
	var wg sync.WaitGroup
	wg.Go(func() {
		limit := most.Load()
		if int64(len(list)) > limit {
			if !sound {
				limit = most.Load()
			}
			list = list[:limit]
		}
	})
	wg.Go(func() { most.Store(10) })
	wg.Wait()
	return ""
}

// Workers compute in the same space, each over what another has left there.
func sharedScratch(sound bool) string {
	shared := new([2]int)
	var sums [2]int
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() {
			space := shared
			if sound {
				space = new([2]int)
			}
			space[0], space[1] = i, i
			sums[i] = space[0] + space[1]
		})
	}
	wg.Wait()
	return unless(sums == [2]int{0, 2}, "a sum has a part of another")
}
