package wait

import (
	"runtime/debug"
	"sync"
)

// Rehearse runs n goroutines at once. The runtime keeps the descriptor of a
// goroutine that has ended, for the next one, and never gives it back: a heap that
// is to return to its baseline must have them in the baseline.
func Rehearse(n int) {
	var all sync.WaitGroup
	end := make(chan struct{})
	for range n {
		all.Go(func() { <-end })
	}
	close(end)
	all.Wait()
	debug.FreeOSMemory()
}
