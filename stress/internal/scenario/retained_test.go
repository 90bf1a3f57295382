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

// TestWhatIsKeptIsFound: what each round leaves, and not what one does.
func TestWhatIsKeptIsFound(t *testing.T) {
	const n, size = 20_000, 32
	for _, c := range []struct {
		name  string
		keeps func(round int) bool
		found bool
	}{
		{"each round", func(int) bool { return true }, true},
		{"one round", func(round int) bool { return round == 2 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var kept []*[size]byte
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			each, ok := Work{"thing", n, 16, func(round int) bool {
				for range n {
					if c.keeps(round) {
						kept = append(kept, new([size]byte))
					}
				}
				return true
			}}.leaves(ctx)
			assert.True(t, ok)
			if c.found {
				assert.GreaterOrEqual(t, each, float64(size))
			} else {
				assert.Less(t, each, 16.0)
			}
			assert.NotNil(t, kept)
		})
	}
}
