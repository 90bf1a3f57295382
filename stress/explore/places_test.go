package explore

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAmong(t *testing.T) {
	packages := []string{"example.com/a", "example.com/b/..."}
	for path, is := range map[string]bool{
		"example.com/a": true, "example.com/a_test": true, "example.com/a/b": false, "example.com/ab": false,
		"example.com/b": true, "example.com/b/c": true, "example.com/bc": false, "sync": false,
	} {
		assert.Equal(t, is, among(path, packages), path)
	}
}

// What is of the package alone has points at memory, though what it is tested with is
// compiled with it.
func TestMemoryOfOtherPackages(t *testing.T) {
	f := func(e *Run) {
		n := 0
		for range 2 {
			e.Go("adder", func() { n++ })
		}
		e.Wait()
		e.Check(n == 2, "an addition is lost: %d", n)
	}
	if builtWithRace {
		t.Skip("the race detector has no points at memory")
	}
	assert.Nil(t, try(t, f, Memory("tensile/stress/internal/schedule")).Failure)
	require.NotNil(t, try(t, f, Memory("tensile/stress/explore/...")).Failure)
}

// A place counts however often its goroutine was at that word before, and so does a word
// within what is read at once.
func TestEveryPlaceThatSharesCounts(t *testing.T) {
	if builtWithRace {
		t.Skip("the race detector has no points at memory")
	}
	for name, f := range map[string]func(e *Run){
		"read twice": func(e *Run) {
			var mu sync.Mutex
			var shared *struct{ n int }
			e.Go("writer", func() {
				mine := &struct{ n int }{1}
				mu.Lock()
				shared = mine
				mu.Unlock()
				mine.n = 2
			})
			e.Go("reader", func() {
				mu.Lock()
				defer mu.Unlock()
				if shared != nil {
					before := shared.n
					e.Check(before == shared.n, "it has changed")
				}
			})
			e.Wait()
		},
		"read at once": func(e *Run) {
			var shared, mine struct{ a, b int }
			e.Go("writer", func() {
				shared.a = 1
				shared.b = 1
			})
			e.Go("reader", func() { mine = shared })
			e.Wait()
			e.Check(mine.a == mine.b, "it is half written")
		},
	} {
		t.Run(name, func(t *testing.T) { require.NotNil(t, try(t, f, Memory(), Strategies(POS)).Failure) })
	}
}
