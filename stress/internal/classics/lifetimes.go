package classics

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Two find the thing open, and both close it.
func closedTwice(sound bool) string {
	end := make(chan struct{})
	var closed atomic.Bool
	shut := func() {
		if sound {
			if closed.CompareAndSwap(false, true) {
				close(end)
			}
			return
		}
		if !closed.Load() {
			closed.Store(true)
			close(end)
		}
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(shut)
	}
	wg.Wait()
	return ""
}

// The channel is closed between a sender's look and its send.
func sentAfterClose(sound bool) string {
	items := make(chan int, 1)
	var mu sync.Mutex
	var closed atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		if sound {
			mu.Lock()
			defer mu.Unlock()
		}
		if !closed.Load() {
			items <- 1
		}
	})
	wg.Go(func() {
		if sound {
			mu.Lock()
			defer mu.Unlock()
		}
		closed.Store(true)
		close(items)
	})
	wg.Wait()
	return ""
}

// What was open at the look is closed while it is in use.
func usedAfterClose(sound bool) string {
	var mu sync.RWMutex
	open, used := true, false
	isOpen := func() bool {
		mu.RLock()
		defer mu.RUnlock()
		return open
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if !sound {
			if isOpen() {
				mu.RLock()
				used = !open
				mu.RUnlock()
			}
			return
		}
		mu.RLock()
		defer mu.RUnlock()
		if open {
			used = !open
		}
	})
	wg.Go(func() {
		mu.Lock()
		open = false
		mu.Unlock()
	})
	wg.Wait()
	return unless(!used, "used after it was closed")
}

// The consumer finds nothing, and then hears that nothing more will come: what
// came in between stays behind. The twin asks in the other order.
func leftBehind(sound bool) string {
	items := make(chan int, 1)
	var ended atomic.Bool
	found, over := false, false
	take := func() {
		select {
		case <-items:
			found = true
		default:
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if sound {
			over = ended.Load()
			take()
			return
		}
		take()
		over = ended.Load()
	})
	wg.Go(func() {
		items <- 1
		ended.Store(true)
	})
	wg.Wait()
	return unless(found || !over, "an item was left behind")
}

// Those who are waited for announce themselves, which may be too late.
func lateAdd(sound bool) string {
	var wg sync.WaitGroup
	var ran, early atomic.Int32
	ended := make(chan struct{}, 2)
	for range 2 {
		if sound {
			wg.Add(1)
		}
		go func() {
			defer func() { ended <- struct{}{} }()
			if !sound {
				wg.Add(1)
			}
			defer wg.Done()
			ran.Add(1)
		}()
	}
	wg.Wait()
	early.Store(2 - ran.Load())
	<-ended
	<-ended
	return unless(early.Load() == 0, "Wait returned before all had run")
}

// Who asked has left at its time-out: the answer has nowhere to go.
func abandonedAnswer(sound bool) string {
	answers := make(chan int)
	if sound {
		answers = make(chan int, 1)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		answers <- 42
	}()
	select {
	case <-answers:
	case <-time.After(10 * time.Millisecond):
	}
	return ""
}

// What was handed over in the instant in which the context ended is dropped.
func lostHandOff(sound bool) string {
	handOff, idle := make(chan int), make(chan int, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var used atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case c := <-handOff:
			if ctx.Err() == nil {
				used.Add(1)
			} else if sound {
				idle <- c
			}
		case <-ctx.Done():
		}
	})
	wg.Go(func() {
		select {
		case handOff <- 1:
		case <-ctx.Done():
			idle <- 1
		}
	})
	wg.Go(cancel)
	wg.Wait()
	return unless(int(used.Load())+len(idle) == 1, "the connection is lost")
}

// turnstile hands permits to those who wait, in order.
type turnstile struct {
	mu      sync.Mutex
	permits int
	waiters []chan struct{}
}

func (s *turnstile) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiters) == 0 {
		s.permits++
		return
	}
	s.waiters[0] <- struct{}{}
	s.waiters = s.waiters[1:]
}

func (s *turnstile) wait() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn := make(chan struct{}, 1)
	if s.permits > 0 {
		s.permits--
		turn <- struct{}{}
		return turn
	}
	s.waiters = append(s.waiters, turn)
	return turn
}

// leave tells whether the waiter was still in line.
func (s *turnstile) leave(turn chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiters {
		if w == turn {
			s.waiters = append(s.waiters[:i], s.waiters[i+1:]...)
			return true
		}
	}
	return false
}

// A waiter leaves at its time-out, without a look whether its turn has come.
func lostPermit(sound bool) string {
	var s turnstile
	var wg sync.WaitGroup
	wg.Go(func() {
		turn := s.wait()
		select {
		case <-turn:
			s.release()
		case <-time.After(10 * time.Millisecond):
			if !s.leave(turn) && sound {
				s.release()
			}
		}
	})
	wg.Go(func() {
		time.Sleep(10 * time.Millisecond)
		s.release()
	})
	wg.Wait()
	return unless(s.permits == 1, "the permit is lost")
}

// The same at a cancelled context, while another waits behind.
func lostBaton(sound bool) string {
	var s turnstile
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	turns := []chan struct{}{s.wait(), s.wait()}
	wg.Go(func() {
		select {
		case <-turns[0]:
			s.release()
		case <-ctx.Done():
			if !s.leave(turns[0]) && sound {
				s.release()
			}
		}
	})
	wg.Go(func() {
		<-turns[1]
		s.release()
	})
	wg.Go(cancel)
	wg.Go(s.release)
	wg.Wait()
	return ""
}

// Stop comes too late, says so, and is not heard: what the timer closes is used.
func lateTimer(sound bool) string {
	var closed atomic.Bool
	fired := make(chan struct{})
	idle := time.AfterFunc(10*time.Millisecond, func() {
		closed.Store(true)
		close(fired)
	})
	time.Sleep(10 * time.Millisecond)
	stopped := idle.Stop()
	usable := stopped || !sound
	inUse := usable && closed.Load()
	if !stopped {
		<-fired
	}
	return unless(!inUse, "closed by a timer while in use")
}
