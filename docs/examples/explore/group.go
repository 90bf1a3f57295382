package explore

import (
	"sync"
	"sync/atomic"
)

// Group waits until everything that was begun is done. If Faulty, it counts without the
// lock, so the last may be done between a waiter's check and its sleep.
type Group struct {
	Faulty bool
	mu     sync.Mutex
	done   *sync.Cond
	left   atomic.Int64
}

// NewGroup begins n things.
func NewGroup(n int64, faulty bool) *Group {
	g := &Group{Faulty: faulty}
	g.done = sync.NewCond(&g.mu)
	g.left.Store(n)
	return g
}

// Done ends one of them.
func (g *Group) Done() {
	if !g.Faulty {
		g.mu.Lock()
		defer g.mu.Unlock()
	}
	if g.left.Add(-1) == 0 {
		g.done.Broadcast()
	}
}

// Wait returns when all are done.
func (g *Group) Wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.left.Load() > 0 {
		g.done.Wait()
	}
}
