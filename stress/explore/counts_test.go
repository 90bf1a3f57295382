package explore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What schedules have met is counted once in each, and a failing one says what it
// did; both by either scheduler.
func TestCountsAndDescribes(t *testing.T) {
	f := func(e *Run) {
		n := e.Draw(8)
		e.Describe(func() string { return fmt.Sprintf("drew %d", n) })
		for range n {
			e.Count("more than none")
		}
		e.Check(n != 5, "five")
	}
	outcomes := map[string]func(given ...Option) Outcome{
		"controlled": func(given ...Option) Outcome { return try(t, f, given...) },
		"stock": func(given ...Option) Outcome {
			o, err := newOptions(given)
			require.NoError(t, err)
			return stock(t, f, o, "because")
		},
	}
	for name, explored := range outcomes {
		out := explored()
		require.NotNil(t, out.Failure, name)
		assert.Equal(t, "drew 5", out.Failure.Program, name)
		assert.Contains(t, out.String(), "explore: five\ndrew 5\n", name)
		n := out.Counts["more than none"]
		assert.True(t, n > 0 && n <= out.Schedules, "%s: %d of %d schedules", name, n, out.Schedules)
	}
}

// Within ends an exploration of any number of schedules.
func TestWithin(t *testing.T) {
	const within = 50 * time.Millisecond
	out := try(t, lostAddition(true), Schedules(1<<30), Within(within, 0))
	require.Nil(t, out.Failure)
	assert.Greater(t, out.Schedules, 10)
	stopped := stock(t, lostAddition(true), options{Schedules: 1 << 30, Within: time.Nanosecond}, "because")
	assert.Equal(t, 1, stopped.Schedules)
	_, err := newOptions([]Option{Within(-1, 0)})
	assert.ErrorContains(t, err, "must not be negative")
}

// Who prepared what is built finds it there.
func TestPrepare(t *testing.T) {
	<-Prepare()
	o, err := newOptions(nil)
	require.NoError(t, err)
	built.mu.Lock()
	defer built.mu.Unlock()
	_, there := built.binaries[fmt.Sprint(o.Race, o.Memory)]
	assert.True(t, there || Serving())
}
