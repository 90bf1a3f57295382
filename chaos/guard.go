package chaos

import (
	"fmt"
	"sync"
)

// Guard bounds the blast radius: the number of targets that are hit at once. It counts the
// targets that are really hit, and knows nothing about plans, so that a mistake in one is
// not repeated in the other. Several experiments may share a Guard. It is safe for
// concurrent use.
type Guard struct {
	mu    sync.Mutex
	bound int
	hit   map[string]int // faults on each target that is hit
	peak  int
}

// NewGuard returns a guard that lets up to bound targets be hit at once. The
// error wraps ErrPlan.
func NewGuard(bound int) (*Guard, error) {
	if bound < 1 {
		return nil, fmt.Errorf("%w: the bound of a guard is %d, must be 1 or more", ErrPlan, bound)
	}
	return &Guard{bound: bound, hit: make(map[string]int)}, nil
}

// Hit counts a fault on a target, before it is injected, or refuses it with
// ErrBlastRadius. A target that is hit already can be hit again.
func (g *Guard) Hit(target string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hit[target] == 0 && len(g.hit) >= g.bound {
		return fmt.Errorf("%w: %q would be one more than the %d that may be hit at once", ErrBlastRadius, target, g.bound)
	}
	g.hit[target]++
	g.peak = max(g.peak, len(g.hit))
	return nil
}

// Healed removes a fault from the count, once it is undone. It panics if there was none.
func (g *Guard) Healed(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch n := g.hit[target]; n {
	case 0:
		panic(fmt.Sprintf("chaos: %q is healed and was not hit", target))
	case 1:
		delete(g.hit, target)
	default:
		g.hit[target] = n - 1
	}
}

// Now returns the number of targets that are hit.
func (g *Guard) Now() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.hit)
}

// Peak returns the largest number of targets that were ever hit at once.
func (g *Guard) Peak() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peak
}
