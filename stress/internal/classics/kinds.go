package classics

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Goroutines read a variable of the loop that makes them, which goes on meanwhile.
func sharedVariable(sound bool) string {
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]bool{}
	shared := 0
	for i := range 2 {
		shared = i
		read := func() int { return shared }
		if sound {
			read = func() int { return i }
		}
		wg.Go(func() {
			mine := read()
			mu.Lock()
			defer mu.Unlock()
			seen[mine] = true
		})
	}
	wg.Wait()
	return unless(len(seen) == 2, "an element is worked on twice")
}

// Two write to one error, and the one that went well is the last.
func overwrittenError(sound bool) string {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failure error
	for _, err := range []error{nil, errors.New("failed")} {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			if sound && err == nil {
				return
			}
			failure = err
		})
	}
	wg.Wait()
	return unless(failure != nil, "a failure is lost")
}

// A timer is set again while its last tick still waits to be read.
func staleTick(sound bool) string {
	old := make(chan time.Time, 1) // as a timer's was, before Go 1.23
	var mu sync.Mutex
	late := time.AfterFunc(time.Millisecond, func() {
		mu.Lock()
		defer mu.Unlock()
		select {
		case old <- time.Now():
		default:
		}
	})
	time.Sleep(time.Millisecond)
	mu.Lock()
	stopped := late.Stop()
	if sound && !stopped {
		mu.Unlock()
		<-old
		mu.Lock()
	}
	mu.Unlock()
	set := time.Now()
	late.Reset(time.Second)
	<-old
	return unless(time.Since(set) >= time.Second, "the second tick came at once")
}

// Where both are ready, select takes the work, though the context has ended.
func workAfterCancel(sound bool) string {
	ctx, cancel := context.WithCancel(context.Background())
	work := make(chan int, 1)
	var cancelled atomic.Bool
	broken := false
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-work:
			if sound && ctx.Err() != nil {
				return
			}
			broken = cancelled.Load()
		}
	})
	wg.Go(func() {
		cancel()
		cancelled.Store(true)
		work <- 1
	})
	wg.Wait()
	return unless(!broken, "work is done after the end")
}

// Each leaves, and then looks whether it was the last.
func nobodyLast(sound bool) string {
	var left, last atomic.Int32
	left.Store(2)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			n := left.Add(-1)
			if !sound {
				n = left.Load()
			}
			if n == 0 {
				last.Add(1)
			}
		})
	}
	wg.Wait()
	return unless(last.Load() == 1, "not one was the last")
}

// A number is read under the lock and written back under it, which was let go
// between the two.
func writtenBack(sound bool) string {
	var mu sync.Mutex
	n := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			mu.Lock()
			seen := n
			if !sound {
				mu.Unlock()
				mu.Lock()
			}
			n = seen + 1
			mu.Unlock()
		})
	}
	wg.Wait()
	return unless(n == 2, "an addition is lost")
}

// The sender uses its buffer again while the receiver reads it.
func reusedBuffer(sound bool) string {
	messages := make(chan []int, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		buffer := make([]int, 1)
		for i := range 2 {
			buffer[0] = i
			if sound {
				messages <- slices.Clone(buffer)
			} else {
				messages <- buffer
			}
		}
	})
	inOrder := true
	wg.Go(func() {
		for i := range 2 {
			m := <-messages
			inOrder = inOrder && m[0] == i
		}
	})
	wg.Wait()
	return unless(inOrder, "a message has the content of the next")
}

// A list is emptied between a reader's look at its length and the read.
func shrinks(sound bool) string {
	var list atomic.Pointer[[]int]
	list.Store(&[]int{1})
	var wg sync.WaitGroup
	wg.Go(func() {
		now := list.Load()
		if len(*now) > 0 {
			if !sound {
				now = list.Load()
			}
			_ = (*now)[0]
		}
	})
	wg.Go(func() { list.Store(&[]int{}) })
	wg.Wait()
	return ""
}

// What was there at the check is nil at the use.
func checkedThenLoaded(sound bool) string {
	type session struct{ uses int }
	var current atomic.Pointer[session]
	current.Store(&session{})
	var wg sync.WaitGroup
	wg.Go(func() {
		s := current.Load()
		if s == nil {
			return
		}
		if !sound {
			s = current.Load()
		}
		s.uses++
	})
	wg.Go(func() { current.Store(nil) })
	wg.Wait()
	return ""
}

// A handler looks whether the event has happened, and then registers.
func registeredTooLate(sound bool) string {
	var mu sync.Mutex
	happened, called := false, false
	var handler func()
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		already := happened
		if !sound {
			mu.Unlock()
			mu.Lock()
		}
		if already {
			called = true
		} else {
			handler = func() { called = true }
		}
		mu.Unlock()
	})
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		happened = true
		if handler != nil {
			handler()
		}
	})
	wg.Wait()
	return unless(called, "the event is missed")
}

// A handler is called from a copy of the list that it has been taken off.
func calledAfterwards(sound bool) string {
	var mu sync.Mutex
	gone, late := false, false
	handlers := []func(){func() { late = late || gone }}
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		now := handlers
		if !sound {
			mu.Unlock()
		}
		for _, call := range now {
			call()
		}
		if sound {
			mu.Unlock()
		}
	})
	wg.Go(func() {
		mu.Lock()
		handlers = nil
		mu.Unlock()
		gone = true
	})
	wg.Wait()
	return unless(!late, "a handler is called after it was taken off")
}

// One starts between the look at who is to be stopped and the end.
func startedTooLate(sound bool) string {
	var mu sync.Mutex
	closed := false
	var stops []chan struct{}
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		if sound && closed {
			return
		}
		stop := make(chan struct{})
		stops = append(stops, stop)
		go func() { <-stop }()
	})
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		closed = true
		for _, stop := range stops {
			close(stop)
		}
	})
	wg.Wait()
	return ""
}

// A number is drawn under the lock, and what bears it is sent without.
func numberedThenSent(sound bool) string {
	var mu sync.Mutex
	next := 0
	line := make(chan int, 2)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			mu.Lock()
			next++
			number := next
			if sound {
				line <- number
			}
			mu.Unlock()
			if !sound {
				line <- number
			}
		})
	}
	wg.Wait()
	return unless(<-line == 1, "the second came first")
}

// Two see one element in a channel, and both wait for it.
func lengthThenReceive(sound bool) string {
	line := make(chan int, 1)
	line <- 1
	var turn atomic.Int32
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if sound {
				select {
				case <-line:
				default:
				}
				return
			}
			turn.Add(1)
			if len(line) > 0 {
				turn.Add(1)
				<-line
			}
		})
	}
	wg.Wait()
	return ""
}

// What is written under a lock for reading may be written by two.
func writtenWhileReading(sound bool) string {
	var mu sync.RWMutex
	hits := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if sound {
				mu.Lock()
				defer mu.Unlock()
			} else {
				mu.RLock()
				defer mu.RUnlock()
			}
			hits++
		})
	}
	wg.Wait()
	return unless(hits == 2, "a hit is lost")
}

// The answer to an older question comes last, and replaces the newer one.
func staleAnswer(sound bool) string {
	var mu sync.Mutex
	shown, newest := 0, 0
	var wg sync.WaitGroup
	for question := range 2 {
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			if sound && question < newest {
				return
			}
			shown, newest = question, max(question, newest)
		})
	}
	wg.Wait()
	return unless(shown == 1, "an older answer is shown")
}
