package scenario

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"tensile/stress/internal/run"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

func TestTurns(t *testing.T) {
	settle := Settle
	t.Cleanup(func() { Settle = settle })
	Settle = time.Hour // on a busy machine more turns than are wanted here would not end in time
	for _, c := range []struct {
		what    string
		doubts  int // how often there is doubt
		fails   int // the turn of the control that fails, from 1; 0 for none
		want    int // turns of each
		through bool
	}{
		{"no doubt", 0, 0, measure.LeastPairs, true},
		{"doubt once", 1, 0, 2 * measure.LeastPairs, true},
		{"doubt for ever", 100, 0, mostPairs, true},
		{"the control fails", 0, 3, 3, false},
	} {
		s, order, controls := &Scenario{}, "", 0
		doubt := func() bool { c.doubts--; return c.doubts >= 0 }
		ok := s.turns(context.Background(), doubt, func() bool {
			order += "A"
			return true
		}, func() bool {
			order += "B"
			controls++
			return controls != c.fails
		})
		assert.Equal(t, c.through, ok, c.what)
		assert.Equal(t, c.want, controls, c.what)
		assert.Equal(t, "ABBA", order[:4], c.what)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	assert.True(t, (&Scenario{}).turns(over, nil, nil, nil), "no turn was taken")
}

// TestOneTryFailsNobody: what is slow once is tried again, and fails if it is slow each time.
func TestOneTryFailsNobody(t *testing.T) {
	of := func(scenario string) *Scenario {
		s := &Scenario{ID: scenario, Run: &run.Run{Report: &report.Run{}}, list: validate.NewChecklist(validate.Criteria)}
		s.slowness = s.criterion(validate.Slowness)
		s.evident.Do(func() {}) // nothing is to be kept
		return s
	}
	quick, slow := measure.Pair{Subject: 300, Control: 200}, measure.Pair{Subject: 3000, Control: 200}
	idle := measure.Pair{Subject: 3000, Control: 2500}
	for _, c := range []struct {
		what  string
		tries []measure.Pair
		again bool
	}{
		{"quick", []measure.Pair{quick}, false},
		{"slow once", []measure.Pair{slow}, true},
		{"the machine is slow", []measure.Pair{idle}, false},
		{"quick the second time", []measure.Pair{slow, quick}, false},
	} {
		assert.Equal(t, c.again, of(validate.Sessions).Tried("recovery", c.tries), c.what)
	}
	s := of(validate.Sessions)
	var tries []measure.Pair
	for again := true; again; again = s.Tried("recovery", tries) {
		tries = append(tries, slow)
	}
	assert.Len(t, tries, measure.LeastPairs)
	assert.Len(t, validate.FailedOf(s.list.Checks()), 1)
}

func TestTurnCount(t *testing.T) {
	for _, c := range []struct {
		n    int
		rate float64
		want int
	}{
		{100_000, 50_000, 12_500}, // an eighth
		{10_000, 3e6, 120_000},    // for 40 ms
		{5, 10, 1},
	} {
		assert.Equal(t, c.want, turnCount(c.n, c.rate))
	}
}
