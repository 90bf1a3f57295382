package explore

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lostAddition is a program with a known bug, and its sound twin.
func lostAddition(sound bool) func(*Run) {
	return func(e *Run) {
		var n atomic.Int64
		for range 2 {
			e.Go("adder", func() {
				if sound {
					n.Add(1)
					return
				}
				n.Store(n.Load() + 1)
			})
		}
		e.Wait()
		e.Check(n.Load() == 2, "an addition is lost: %d", n.Load())
	}
}

// try explores, and skips the test where schedules can not be controlled.
func try(t *testing.T, f func(*Run), given ...Option) Outcome {
	out := Try(t, f, given...)
	if !out.Controlled {
		t.Skip(out.Reason)
	}
	return out
}

func TestFindsALostAddition(t *testing.T) {
	out := try(t, lostAddition(false))
	require.NotNil(t, out.Failure)
	assert.Equal(t, "check", out.Failure.Kind)
	assert.Equal(t, "an addition is lost: 1", out.Failure.Sentence)
	assert.Equal(t, replays, out.Failure.Replays)
	t.Setenv("STRESS_SCHEDULE", out.Failure.Schedule)
	again := Try(t, lostAddition(false))
	require.NotNil(t, again.Failure)
	assert.Equal(t, out.Failure.Sentence, again.Failure.Sentence)
}

func TestLeavesTheSoundTwinAlone(t *testing.T) {
	Test(t, lostAddition(true))
}

func TestWaysToFail(t *testing.T) {
	for _, c := range []struct {
		name, kind, says string
		f                func(*Run)
	}{
		{"deadlock", "deadlock", "waits for sync.Mutex.Lock at explore_test.go:", func(e *Run) {
			var a, b sync.Mutex
			lock := func(first, second *sync.Mutex) {
				first.Lock()
				defer first.Unlock()
				second.Lock()
				second.Unlock()
			}
			e.Go("ab", func() { lock(&a, &b) })
			e.Go("ba", func() { lock(&b, &a) })
			e.Wait()
		}},
		{"left over", "left over", "1 goroutine left over: waiter waits for chan receive at explore_test.go:", func(e *Run) {
			ch := make(chan int)
			e.Go("waiter", func() { <-ch })
		}},
		{"panic", "panic", "panic: send on closed channel, at explore.", func(e *Run) {
			ch := make(chan int, 1)
			e.Go("sender", func() { ch <- 1 })
			close(ch)
			e.Wait()
		}},
		{"fatal error", "fatal error", "sync: unlock of unlocked mutex", func(e *Run) {
			var mu sync.Mutex
			e.Go("unlocker", func() { mu.Unlock() })
			e.Wait()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := try(t, c.f)
			require.NotNil(t, out.Failure)
			assert.Equal(t, c.kind, out.Failure.Kind)
			assert.Contains(t, out.Failure.Sentence, c.says)
			assert.Equal(t, replays, out.Failure.Replays)
		})
	}
}
