package registry

import "time"

// stuckAfter is how long all workers of a lane may stay inside handlers before more
// workers are started. It bounds what a handler that blocks costs the other names of its
// lane.
const stuckAfter = time.Millisecond

// watch makes sure that a goroutine checks the lanes while they work.
func (r *Registry[M]) watch() {
	if !r.watching.Load() && r.watching.CompareAndSwap(false, true) {
		r.goroutines.Go(r.relieve)
	}
}

// relieve looks at every lane once in stuckAfter until none has a worker.
func (r *Registry[M]) relieve() {
	clock := time.NewTicker(stuckAfter)
	defer clock.Stop()
	for {
		<-clock.C
		if r.relieveLanes() {
			continue
		}
		// A lane may have started since it was looked at: then either its
		// sender or this goroutine sets watching again.
		r.watching.Store(false)
		if !r.relieveLanes() || !r.watching.CompareAndSwap(false, true) {
			return
		}
	}
}

func (r *Registry[M]) relieveLanes() (working bool) {
	for i := range r.lanes {
		working = r.lanes[i].relieve(r) || working
	}
	return working
}

// relieve reports whether the lane has workers. If all of them have been stuck in handlers
// since the last check while messages wait, it adds as many again: doubling gets past
// thousands of blocked handlers in a dozen checks.
func (l *lane[M]) relieve(r *Registry[M]) (working bool) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if l.out.taken == l.out.seen && l.out.busy == l.out.workers && l.out.workers > 0 {
		more := min(l.out.workers, l.waiting())
		l.out.workers += more
		r.goroutines.Add(more)
		for range more {
			go l.work(r, nil)
		}
	}
	l.out.seen = l.out.taken
	return l.out.workers > 0
}

// waiting is the number of messages in line.
func (l *lane[M]) waiting() int {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	return len(l.out.line) - l.out.next + len(l.in.line)
}
