package explore

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// try explores, and skips the test where schedules cannot be controlled.
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
	assert.True(t, out.Failure.Fresh)
	assert.Equal(t, 1, out.Failure.Preemptions)
	assert.Equal(t, `
main                           adder                                         adder#2
                               Int64.Load explore_test.go:25
                               ~ preempted before Int64.Store explore_test.go:25
                                                                             Int64.Load explore_test.go:25
                                                                             Int64.Store explore_test.go:25
                               Int64.Store explore_test.go:25
Int64.Load explore_test.go:29
`, "\n"+out.Failure.Columns)
	assert.Contains(t, out.String(),
		"STRESS_SCHEDULE=plan:3410189454:2.2.3 go test -run '^TestFindsALostAddition$' "+ourPath)
	t.Setenv("STRESS_SCHEDULE", out.Failure.Schedule)
	again := Try(t, lostAddition(false))
	require.NotNil(t, again.Failure)
	assert.Equal(t, out.Failure.Sentence, again.Failure.Sentence)
}

func TestLeavesTheSoundTwinAlone(t *testing.T) {
	Test(t, lostAddition(true))
}

// What is left behind may go on for long, if it ends: its loops are served in turn,
// and time passes.
func TestWhatEndsInTheEndIsLeftAlone(t *testing.T) {
	spin := func(e *Run, ended func() bool) {
		e.Go("spinner", func() {
			for !ended() {
				runtime.Gosched()
			}
		})
	}
	for name, f := range map[string]func(*Run){
		"ended by a timer": func(e *Run) {
			var stop atomic.Bool
			spin(e, stop.Load)
			time.AfterFunc(time.Second, func() { stop.Store(true) })
		},
		"ended by another loop": func(e *Run) {
			var steps atomic.Int64
			spin(e, func() bool { return steps.Load() == 500 })
			spin(e, func() bool { return steps.Add(1) >= 500 })
		},
		"ended by its own clock": func(e *Run) {
			start := time.Now()
			e.Go("ticker", func() {
				for time.Since(start) < 5*time.Second {
					time.Sleep(time.Millisecond)
				}
			})
		},
		"ended by the context": func(e *Run) { spin(e, func() bool { return e.Context().Err() != nil }) },
	} {
		t.Run(name, func(t *testing.T) { Test(t, f, Schedules(200), Points(2_000)) })
	}
}

// Of several loops that wait for each other, each gets its turn.
func TestLoopsThatYieldGetTheirTurns(t *testing.T) {
	out := try(t, func(e *Run) {
		var turn atomic.Int64
		for i := range int64(3) {
			e.Go("player", func() {
				for round := range int64(3) {
					for turn.Load() != 3*round+i {
						runtime.Gosched()
					}
					turn.Add(1)
				}
			})
		}
		e.Wait()
	})
	assert.Nil(t, out.Failure)
	assert.Zero(t, out.Cut, "%v", out)
}

// A function that is not done at the limit has not failed.
func TestWhatIsNotDoneIsCutOff(t *testing.T) {
	out := try(t, func(e *Run) {
		var n atomic.Int64
		e.Go("counter", func() {
			for range 1000 {
				n.Add(1)
			}
		})
		e.Wait()
	}, Schedules(20), Points(500))
	assert.Nil(t, out.Failure)
	assert.Equal(t, 20, out.Cut)
	assert.Contains(t, out.String(), "20 schedules cut off at the limit of points")
}

func TestADrawIsShrunk(t *testing.T) {
	out := try(t, func(e *Run) {
		a, b, c := e.Draw(100), e.Draw(100), e.Draw(100)
		e.Check(b < 17, "a b of 17 or more: %d %d %d", a, b, c)
	})
	require.NotNil(t, out.Failure)
	assert.Equal(t, "a b of 17 or more: 0 17 0", out.Failure.Sentence)
}

func TestARaceWithATimeOutIsFound(t *testing.T) {
	f := func(e *Run) { // a token that comes as its waiter gives up is lost
		token, tokens := make(chan bool, 1), 0
		gone := false
		var mu sync.Mutex
		e.Go("waiter", func() {
			select {
			case <-token:
				tokens++
			case <-time.After(10 * time.Millisecond):
				mu.Lock()
				defer mu.Unlock()
				gone = true
			}
		})
		e.Go("giver", func() {
			mu.Lock()
			defer mu.Unlock()
			if !gone {
				token <- true
				return
			}
			tokens++
		})
		e.Wait()
		e.Check(tokens == 1, "the token is lost")
	}
	out := try(t, f)
	require.NotNil(t, out.Failure)
	assert.Contains(t, out.Failure.Columns, "~ 10ms have passed")
	Test(t, f, Time(0, 0)) // where time moves only when nothing can run, it is not found
}

func TestPlainMemory(t *testing.T) {
	f := func(e *Run) {
		n := 0
		for range 2 {
			e.Go("adder", func() { n++ })
		}
		e.Wait()
		e.Check(n == 2, "an addition is lost: %d", n)
	}
	if !builtWithRace {
		Test(t, f) // without points at memory an addition is one step
	}
	out := try(t, f, Memory())
	require.NotNil(t, out.Failure)
	if builtWithRace {
		assert.Equal(t, "data race", out.Failure.Kind)
		assert.Contains(t, out.String(), "WARNING: DATA RACE")
		return
	}
	assert.Equal(t, 1, out.Failure.Preemptions)
	assert.Contains(t, out.Failure.Columns, "~ preempted before write explore_test.go:")
}

// pair is several words long, and has a method of the value.
type pair struct{ a, b []int }

func (p pair) sum(n int) int { return len(p.a) + len(p.b) + n }

type summing interface{ sum(n int) int }

//go:noinline
func deep(n int, p summing) int {
	if n > 0 {
		return deep(n-1, p)
	}
	return p.sum(1)
}

//go:noinline
func dirty(n int) (sum int) {
	var small [16]int
	for i := range small {
		small[i] = 1
	}
	if n > 0 {
		sum = dirty(n - 1)
	}
	return sum + small[n%16]
}

// TestPlainMemoryOfACopy: where a method of a value is called by way of a pointer,
// the value is read before there is the copy, and the stack may grow just then.
func TestPlainMemoryOfACopy(t *testing.T) {
	Test(t, func(e *Run) {
		p := &pair{make([]int, 1), make([]int, 2)}
		for depth := range 40 {
			e.Go("dirty", func() { dirty(6) })
			e.Go("reader", func() { e.Check(deep(depth, p) == 4, "the sum is wrong") })
		}
		e.Wait()
	}, Memory(), Schedules(100))
}

func TestAProcessThatDiesIsReported(t *testing.T) {
	out := try(t, func(e *Run) {
		var n atomic.Int64
		e.Go("setter", func() { n.Store(1) })
		if n.Load() == 1 {
			os.Exit(7)
		}
		e.Wait()
	})
	require.NotNil(t, out.Failure)
	assert.Equal(t, "crash", out.Failure.Kind)
	assert.Contains(t, out.String(), "the process died: exit status 7")
	assert.NotEmpty(t, out.Failure.Schedule)
}

// What earlier runs left behind may be fatal to the runs that warm the process up.
func TestAProcessThatDiesAtOnceIsReported(t *testing.T) {
	var shared chan int
	out := try(t, func(e *Run) {
		if shared == nil {
			shared = make(chan int, 1)
		}
		shared <- 1
		<-shared
	})
	require.NotNil(t, out.Failure)
	assert.Equal(t, "crash", out.Failure.Kind)
	assert.Contains(t, out.String(), "synctest channel from outside bubble")
	assert.Equal(t, "plan:1:", out.Failure.Schedule)
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
				defer second.Unlock()
			}
			e.Go("ab", func() { lock(&a, &b) })
			e.Go("ba", func() { lock(&b, &a) })
			e.Wait()
		}},
		{"left over", "left over", "1 goroutine left over: waiter waits for chan receive at explore_test.go:", func(e *Run) {
			ch := make(chan int)
			e.Go("waiter", func() { <-ch })
		}},
		{"goes on", "left over", "2 goroutines left over that would go on for ever: spinner runs at explore_test.go:",
			func(e *Run) {
				var stop atomic.Bool
				e.Go("spinner", func() {
					for !stop.Load() {
						runtime.Gosched()
					}
				})
				e.Go("waiter", func() {
					for !stop.Load() {
						time.Sleep(time.Microsecond)
					}
				})
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
