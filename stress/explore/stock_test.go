package explore

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStockScheduler is what is left where schedules cannot be controlled.
func TestStockScheduler(t *testing.T) {
	o, err := newOptions([]Option{Schedules(200)})
	require.NoError(t, err)
	for _, c := range []struct {
		name, kind, says string
		f                func(*Run)
	}{
		{"order", "check", "the second came first", func(e *Run) {
			ch := make(chan int, 2)
			e.Go("first", func() { ch <- 1 })
			e.Go("second", func() { ch <- 2 })
			e.Wait()
			e.Check(<-ch == 1, "the second came first")
		}},
		{"draw", "check", "drew 3", func(e *Run) {
			n := e.Draw(4)
			e.Check(n != 3, "drew %d", n)
		}},
		{"deadlock", "deadlock", "deadlock: ", func(e *Run) { <-make(chan int) }},
		{"left over", "left over", "blocked goroutines remain", func(e *Run) { e.Go("waiter", func() { select {} }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := stock(t, c.f, o, "because")
			require.NotNil(t, out.Failure)
			assert.Equal(t, c.kind, out.Failure.Kind)
			assert.Contains(t, out.Failure.Sentence, c.says)
			assert.Contains(t, out.String(), "by the stock scheduler with perturbation, not controlled: because")
		})
	}
	out := stock(t, func(e *Run) {
		e.Go("fine", func() { <-e.Context().Done() })
		e.Cancel()
		e.Wait()
	}, o, "because")
	assert.Nil(t, out.Failure)
	assert.Equal(t, 200, out.Schedules)
	assert.Contains(t, out.String(), "not controlled: because")
}

func TestOptionsOutOfBounds(t *testing.T) {
	for _, c := range []struct {
		given Option
		says  string
	}{
		{Schedules(0), "0 schedules, must be at least 1"},
		{Depth(17), "depth 17, must be from 1 to 16"},
		{Points(0), "0 points, must be"},
		{Time(1.5, 0), "must be from 0 to 1"},
		{Grace(-1), "not negative"},
		{Strategies(), "must be of random, pct and pos"},
		{Strategies(9), "strategies [strategy 9]"},
	} {
		_, err := newOptions([]Option{c.given})
		assert.ErrorContains(t, err, c.says)
	}
	t.Setenv("STRESS_SCHEDULE", "7")
	_, err := newOptions(nil)
	assert.ErrorContains(t, err, "STRESS_SCHEDULE: bad schedule")
}
