package classics

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stop waits for the tasks that have begun, and one begins when it has looked.
func begunAfterStop(sound bool) string {
	var mu sync.Mutex
	ended := sync.NewCond(&mu)
	running, stopping := 0, false
	var stopped, late atomic.Bool
	task := func() {
		late.Store(stopped.Load())
		mu.Lock()
		defer mu.Unlock()
		running--
		ended.Broadcast()
	}
	wait := func() {
		mu.Lock()
		defer mu.Unlock()
		stopping = true
		for running > 0 {
			ended.Wait()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		if sound && stopping {
			return
		}
		running++
		go task()
	})
	wg.Go(func() {
		wait()
		stopped.Store(true)
	})
	wg.Wait()
	wait()
	return unless(!late.Load(), "a task runs after Stop has returned")
}

// What is called back after Close finds nil where it expects the balancer.
func goneAtClose(sound bool) string {
	type balancer struct{ updates int }
	var mu sync.Mutex
	current := &balancer{}
	var wg sync.WaitGroup
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		if sound && current == nil {
			return
		}
		current.updates++
	})
	wg.Go(func() {
		mu.Lock()
		defer mu.Unlock()
		current = nil
	})
	wg.Wait()
	return ""
}

// Stop closes a channel and forgets it. Who looks for it after that waits for none.
func closedAndForgotten(sound bool) string {
	var mu sync.Mutex
	done := make(chan struct{})
	get := func() chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
	mine := done
	go func() {
		if !sound {
			mine = get()
		}
		<-mine
	}()
	mu.Lock()
	defer mu.Unlock()
	close(done)
	done = nil
	return ""
}

// Events come until somebody says stop, and one more comes before that is heard.
func doneTooOften(sound bool) string {
	const events = 2
	var pending, wg sync.WaitGroup
	pending.Add(events)
	stop := make(chan struct{})
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if !sound || n < events {
				pending.Done()
			}
			time.Sleep(time.Millisecond)
		}
	})
	pending.Wait()
	close(stop)
	wg.Wait()
	return ""
}

// The receiver closes the channel once it has had enough, while there is more to send.
func closedByReceiver(sound bool) string {
	updates, enough := make(chan int, 1), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-updates
		if sound {
			close(enough)
		} else {
			close(updates)
		}
	})
	wg.Go(func() {
		for i := range 2 {
			select {
			case <-enough:
				return
			case updates <- i:
			}
		}
	})
	wg.Wait()
	return ""
}

// What a test has started logs after the test has ended.
func loggedAfterEnd(sound bool) string {
	var mu sync.Mutex
	over := false
	log := func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			panic("logged after the end of the test")
		}
	}
	probed := make(chan struct{})
	go func() {
		log()
		close(probed)
	}()
	if sound {
		<-probed
	}
	mu.Lock()
	over = true
	mu.Unlock()
	<-probed
	return ""
}

// At the time-out the caller takes what there is of the output, which is still being
// written.
func takenAtTimeOut(sound bool) string {
	var output, taken struct{ head, body int }
	done := make(chan struct{})
	go func() {
		time.Sleep(10 * time.Millisecond)
		output.head = 1
		output.body = 1
		close(done)
	}()
	select {
	case <-done:
		taken = output
	case <-time.After(10 * time.Millisecond):
		if !sound {
			taken = output
		}
	}
	<-done
	return unless(taken.head == taken.body, "half of the output is taken for all of it")
}
