package fleet

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"tensile/stress/load"
	"tensile/stress/validate"
)

func TestLoadsThatAreRefused(t *testing.T) {
	t.Parallel()
	assert.NoError(t, quick().check(100))
	for says, spoil := range map[string]func(*Load){
		"it has no Do":           func(l *Load) { l.Do = nil },
		"Rate is 0":              func(l *Load) { l.Rate = 0 },
		"Rate is NaN":            func(l *Load) { l.Rate = math.NaN() },
		"Rate is +Inf":           func(l *Load) { l.Rate = math.Inf(1) },
		"For is 0s":              func(l *Load) { l.For = 0 },
		"For is 25h":             func(l *Load) { l.For = 25 * time.Hour },
		"Wait is -1ns":           func(l *Load) { l.Wait = -1 },
		"Arrivals is Arrivals(9": func(l *Load) { l.Arrivals = load.Arrivals(9) },
		"must be up to":          func(l *Load) { l.Rate = 1e300 },
		"for each of 100 agents": func(l *Load) { l.Rate = 990 },
		`"fleet.joy"`:            func(l *Load) { l.Criteria = []validate.Criterion{{ID: "fleet.joy"}} },
	} {
		l := quick()
		spoil(&l)
		err := l.check(100)
		assert.ErrorIs(t, err, ErrLoad, says)
		assert.ErrorContains(t, err, says)
		_, err = Run(t.Context(), Options{Role: Lead, Agents: 100, Server: "nats://127.0.0.1:1"}, l)
		assert.ErrorIs(t, err, ErrLoad, "before anything else")
	}
	_, err := Run(t.Context(), Options{Role: "boss"}, quick())
	assert.ErrorIs(t, err, ErrLoad)
	assert.ErrorContains(t, err, "must be lead or agent")
}

// TestSplit: every operation belongs to one agent, and all take as long.
func TestSplit(t *testing.T) {
	t.Parallel()
	for _, agents := range []int{1, 2, 3, 7, 100} {
		l := quick()
		next, rate, seeds := 0, 0.0, make(map[uint64]bool)
		for k, p := range l.split(agents, Options{Seed: 7, Patience: time.Second}) {
			assert.Equal(t, k, p.Number)
			assert.Equal(t, next, p.First)
			assert.InDelta(t, 0.1, float64(p.Count)/p.Rate, 1e-9, "seconds")
			assert.InDelta(t, 100/agents, p.Count, 1)
			assert.True(t, l.accepts(p))
			next += p.Count
			rate += p.Rate
			seeds[p.Seed] = true
		}
		assert.Equal(t, 100, next)
		assert.InDelta(t, 1000, rate, 1e-6)
		assert.Len(t, seeds, agents)
	}
}

// TestArrivalsInterleave: constant arrivals are as evenly spaced over all agents
// as from one.
func TestArrivalsInterleave(t *testing.T) {
	t.Parallel()
	l := quick()
	at := make(map[int64]bool)
	for _, p := range l.split(4, Options{}) {
		for _, due := range load.Constant.Schedule(p.Count, p.Rate, p.Seed) {
			at[(due+p.Stagger+500)/1000] = true // in µs
		}
	}
	for i := range int64(100) {
		assert.True(t, at[i*1000], "nothing arrives at %d ms", i)
	}
}
