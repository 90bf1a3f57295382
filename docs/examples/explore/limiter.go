package explore

import "sync/atomic"

// Limiter admits a number of callers at once. If Faulty, it checks and then counts, so two
// callers may check at the same time.
type Limiter struct {
	Faulty bool
	Room   int64
	inside atomic.Int64
}

// Enter reports whether there was room.
func (l *Limiter) Enter() bool {
	if l.Faulty {
		if l.inside.Load() >= l.Room {
			return false
		}
		l.inside.Add(1)
		return true
	}
	for {
		n := l.inside.Load()
		if n >= l.Room {
			return false
		}
		if l.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Leave makes room again.
func (l *Limiter) Leave() { l.inside.Add(-1) }

// Inside returns how many callers are inside.
func (l *Limiter) Inside() int64 { return l.inside.Load() }
