package programs

import (
	"runtime"
	"sync/atomic"
)

// Lock guards what a world notes down. It is no point of a schedule, so that it
// neither orders what is to be found unordered nor costs anything. So nothing may be
// called while it is held that could be one.
type Lock struct{ held uint32 }

// Lock waits, under the stock scheduler, for other goroutines to unlock.
func (l *Lock) Lock() {
	for !atomic.CompareAndSwapUint32(&l.held, 0, 1) {
		runtime.Gosched()
	}
}

// Unlock lets the next one in.
func (l *Lock) Unlock() { atomic.StoreUint32(&l.held, 0) }
