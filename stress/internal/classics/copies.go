package classics

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A buffer is emptied, key by key, while somebody reads it.
func readWhileEmptied(sound bool) string {
	var mu sync.Mutex
	lock := func() func() {
		if !sound {
			return func() {}
		}
		mu.Lock()
		return mu.Unlock
	}
	keys := [2]string{"a", "b"}
	buffer := &struct{ entries map[string]int }{map[string]int{"a": 1, "b": 1}}
	found := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		defer lock()()
		for _, k := range keys {
			delete(buffer.entries, k)
		}
	})
	wg.Go(func() {
		defer lock()()
		for _, k := range keys {
			found += buffer.entries[k]
		}
	})
	wg.Wait()
	return unless(found != 1, "one of two entries is there that come and go together")
}

// Statistics are counted by functions of sync/atomic, and copied without.
func copiedPlainly(sound bool) string {
	var mu sync.Mutex
	var reads, hits, seenReads, seenHits int64
	lock := func() func() {
		if !sound {
			return func() {}
		}
		mu.Lock()
		return mu.Unlock
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer lock()()
		atomic.AddInt64(&reads, 1)
		atomic.AddInt64(&hits, 1)
	})
	wg.Go(func() {
		defer lock()()
		seenReads = reads
		seenHits = hits
	})
	wg.Wait()
	return unless(seenHits <= seenReads, "there are more hits than reads")
}

// What all may read is changed in place while somebody copies it. The twin puts a
// changed copy in its place.
func changedInPlace(sound bool) string {
	var current atomic.Pointer[[]int]
	current.Store(&[]int{1, 1})
	var first, second int
	var wg sync.WaitGroup
	wg.Go(func() {
		now := *current.Load()
		if sound {
			now = slices.Clone(now)
		}
		for i := range now {
			now[i] = 2
		}
		current.Store(&now)
	})
	wg.Go(func() {
		now := *current.Load()
		first = now[0]
		second = now[1]
	})
	wg.Wait()
	return unless(first == second, "a copy is of two moments")
}

// A list is filled under the lock and walked without, while the next round fills it.
func filledAgain(sound bool) string {
	var mu sync.Mutex
	list := make([]int, 0, 2)
	var own [2]bool
	var wg sync.WaitGroup
	for i := range own {
		wg.Go(func() {
			mu.Lock()
			list = append(list[:0], i, i)
			mine := list
			if sound {
				mine = slices.Clone(list)
			}
			mu.Unlock()
			own[i] = true
			for _, v := range mine {
				own[i] = own[i] && v == i
			}
		})
	}
	wg.Wait()
	return unless(own == [2]bool{true, true}, "a round walks the list of another")
}

// An item is moved from one queue to another under the lock, and looked for without.
func lookedWithoutLock(sound bool) string {
	var mu sync.Mutex
	waiting, active, seen := 1, 0, 0
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		waiting--
		active++
	})
	wg.Go(func() {
		if sound {
			mu.Lock()
			defer mu.Unlock()
		}
		seen = waiting
		seen += active
	})
	wg.Wait()
	return unless(seen == 1, "an item is in no queue, or in two")
}

// Whether there is an item is asked before the lock is taken.
func lengthWithoutLock(sound bool) string {
	var mu sync.Mutex
	items := []int{1}
	length := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(items)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if !sound && length() == 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if sound && len(items) == 0 {
				return
			}
			items = items[:len(items)-1]
		})
	}
	wg.Wait()
	return ""
}

// An entry is changed after it was put where others read it under the lock.
func changedAfterwards(sound bool) string {
	type entry struct{ since int }
	var mu sync.Mutex
	var list []*entry
	changed := false
	var wg sync.WaitGroup
	wg.Go(func() {
		e := &entry{since: 1}
		if sound {
			e.since = 2
		}
		mu.Lock()
		list = append(list, e)
		mu.Unlock()
		if !sound {
			e.since = 2
		}
	})
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range list {
			before := e.since
			changed = e.since != before
		}
	})
	wg.Wait()
	return unless(!changed, "an entry changes under the lock")
}

// Items are queued before they are counted, so the last of them is not seen to be it.
func countedTooLate(sound bool) string {
	items := make(chan int, 2)
	var pending, last atomic.Int32
	if sound {
		pending.Add(2)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		items <- 1
		items <- 2
		if !sound {
			pending.Add(2)
		}
		close(items)
	})
	wg.Go(func() {
		for range items {
			if pending.Add(-1) == 0 {
				last.Add(1)
			}
		}
	})
	wg.Wait()
	return unless(last.Load() == 1, "not one item was the last")
}
