package scenario

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestPiledUpGoroutinesAreNotKept: a subject starts a goroutine each time, and in
// one round all of them wait for the processor at once. The descriptors that the
// runtime keeps then are none of its memory.
func TestPiledUpGoroutinesAreNotKept(t *testing.T) {
	const n = 20_000
	s := &Scenario{violations: make(map[string]int)}
	assert.True(t, s.Forgets(context.Background(), Work{"goroutine", n, 16, func(round int) bool {
		if round == 0 {
			return true
		}
		var all sync.WaitGroup
		start := make(chan struct{})
		for range n {
			all.Go(func() { <-start })
		}
		close(start)
		all.Wait()
		return true
	}}))
	assert.Empty(t, s.violations)
}

// TestARoundWaitsForGoroutines that the one before has started and that have not had a
// processor yet: so there are never more than were rehearsed.
func TestARoundWaitsForGoroutines(t *testing.T) {
	const n = 20_000
	s := &Scenario{violations: make(map[string]int)}
	assert.True(t, s.Forgets(context.Background(), Work{"goroutine", n, 16, func(round int) bool {
		if round == 0 {
			return true
		}
		late := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(late) })
		for range n {
			go func() { <-late }()
		}
		return true
	}}))
	assert.Empty(t, s.violations)
}
