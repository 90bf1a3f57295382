package classics

import (
	"sync"
	"sync/atomic"
)

// Two read the same number and both write its successor.
func lostUpdate(sound bool) string {
	n := 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if sound {
				mu.Lock()
				defer mu.Unlock()
			}
			n++
		})
	}
	wg.Wait()
	return unless(n == 2, "an addition is lost")
}

// Two append at the same place.
func lostAppend(sound bool) string {
	var list []int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if sound {
				mu.Lock()
				defer mu.Unlock()
			}
			list = append(list, i)
		})
	}
	wg.Wait()
	return unless(len(list) == 3, "an element is lost")
}

// A sum kept in two numbers is read between the change of one and of the other.
func tornPair(sound bool) string {
	var a, b atomic.Int64
	a.Store(10)
	var mu sync.Mutex
	lock := func() func() {
		if !sound {
			return func() {}
		}
		mu.Lock()
		return mu.Unlock
	}
	var sum int64
	var wg sync.WaitGroup
	wg.Go(func() {
		defer lock()()
		a.Add(-3)
		b.Add(3)
	})
	wg.Go(func() {
		defer lock()()
		sum = a.Load() + b.Load()
	})
	wg.Wait()
	return unless(sum == 10, "what was moved was not to be seen")
}

// What was not there is made, without another look once the lock is held.
func checkThenAct(sound bool) string {
	var mu sync.RWMutex
	made, entries := 0, map[string]int{}
	get := func(name string) {
		mu.RLock()
		_, known := entries[name]
		mu.RUnlock()
		if known {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if _, known := entries[name]; known && sound {
			return
		}
		made++
		entries[name] = made
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { get("a") })
	}
	wg.Wait()
	return unless(made == 1, "the entry was made twice")
}

// Whether there is room is looked up, and then the room is taken.
func limit(sound bool) string {
	const room = 2
	var inside atomic.Int32
	var over atomic.Bool
	enter := func() bool {
		if sound {
			for {
				n := inside.Load()
				if n >= room {
					return false
				}
				if inside.CompareAndSwap(n, n+1) {
					return true
				}
			}
		}
		if inside.Load() >= room {
			return false
		}
		inside.Add(1)
		return true
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if enter() && inside.Load() > room {
				over.Store(true)
			}
		})
	}
	wg.Wait()
	return unless(!over.Load(), "there are more inside than there is room for")
}

// The same by the functions of sync/atomic, on a plain number.
func bareLimit(sound bool) string {
	const room = 2
	var inside int32
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				n := atomic.LoadInt32(&inside)
				if n >= room {
					return
				}
				if !sound {
					atomic.AddInt32(&inside, 1)
					return
				}
				if atomic.CompareAndSwapInt32(&inside, n, n+1) {
					return
				}
			}
		})
	}
	wg.Wait()
	return unless(inside <= room, "there are more inside than there is room for")
}

// The flag that says that a value is made is set before the value, and read
// without the lock.
func doubleChecked(sound bool) string {
	var mu sync.Mutex
	made := false
	var value *int
	get := func() *int {
		if !sound && made {
			return value
		}
		mu.Lock()
		defer mu.Unlock()
		if !made {
			made = true
			value = new(int)
		}
		return value
	}
	var early atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if get() == nil {
				early.Store(true)
			}
		})
	}
	wg.Wait()
	return unless(!early.Load(), "used before it was made")
}

// A pointer is handed out before what it points to is filled in.
func earlyPublication(sound bool) string {
	type config struct{ limit int }
	var current atomic.Pointer[config]
	early := false
	var wg sync.WaitGroup
	wg.Go(func() {
		c := new(config)
		if sound {
			c.limit = 5
		}
		current.Store(c)
		if !sound {
			c.limit = 5
		}
	})
	wg.Go(func() {
		if c := current.Load(); c != nil {
			early = c.limit == 0
		}
	})
	wg.Wait()
	return unless(!early, "the limit is not there yet")
}

// Each looks whether the other is inside before it says that it is itself. The
// twin says so first.
func twoFlags(sound bool) string {
	var flags [2]bool
	var mu sync.Mutex // only the twin's: it orders the plain flags
	set := func(i int, to bool) {
		mu.Lock()
		flags[i] = to
		mu.Unlock()
	}
	get := func(i int) bool {
		mu.Lock()
		defer mu.Unlock()
		return flags[i]
	}
	if !sound {
		set = func(i int, to bool) { flags[i] = to }
		get = func(i int) bool { return flags[i] }
	}
	var inside, both atomic.Int32
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			if sound {
				set(i, true)
				defer set(i, false)
			}
			if get(1 - i) {
				return
			}
			if !sound {
				set(i, true)
				defer set(i, false)
			}
			if inside.Add(1) > 1 {
				both.Store(1)
			}
			inside.Add(-1)
		})
	}
	wg.Wait()
	return unless(both.Load() == 0, "two are inside")
}

func unless(holds bool, broken string) string {
	if holds {
		return ""
	}
	return broken
}
