// Package gate is what the tests of mutants make mutants of.
package gate

import "sync"

// Gate opens once.
type Gate struct {
	mu     sync.Mutex
	open   bool
	passed int
	signal chan struct{}
}

func New() *Gate { return &Gate{signal: make(chan struct{})} }

func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		g.open = true
		close(g.signal)
	}
}

// Pass tells how many have passed before.
func (g *Gate) Pass() int {
	<-g.signal
	g.mu.Lock()
	g.passed++
	n := g.passed
	g.mu.Unlock()
	return n - 1
}
