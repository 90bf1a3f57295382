package wait

import (
	"context"
	"sync"
	"time"
)

// All calls do for each number below n, all of them at the same time, and
// returns when all have returned.
func All(n int, do func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	all.Wait()
}

// AllWithin is All for calls that may hang. It returns false, and leaves
// them behind, if they have not returned a grace after ctx has ended.
func AllWithin(ctx context.Context, grace time.Duration, n int, do func(i int)) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		All(n, do)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}
