package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("node-", i)
	}
	return all
}

func spec() Spec {
	return Spec{
		Targets: map[Fault][]string{Kill: names(12), Pause: names(12), Delay: {"node-1>node-2", "node-2>node-1"}},
		Steps:   40, Spread: 10 * time.Second, Min: time.Second, Max: 3 * time.Second, Bound: 3,
	}
}

func TestSameSeedSamePlan(t *testing.T) {
	for seed := range uint64(50) {
		one, err := Draw(seed, spec())
		require.NoError(t, err)
		other, err := Draw(seed, spec())
		require.NoError(t, err)
		assert.Equal(t, one, other)
		assert.Equal(t, one.String(), other.String())
		next, err := Draw(seed+1, spec())
		require.NoError(t, err)
		assert.NotEqual(t, one.Steps, next.Steps)
	}
}

// atOnce counts the targets hit at once, at the beginning of each step.
func atOnce(p Plan) int {
	most := 0
	for _, s := range p.Steps {
		hit := make(map[string]bool)
		for _, o := range p.Steps {
			if o.At <= s.At && s.At < o.At+o.For {
				hit[o.Target] = true
			}
		}
		most = max(most, len(hit))
	}
	return most
}

func TestDraw(t *testing.T) {
	reached := false
	for seed := range uint64(100) {
		p, err := Draw(seed, spec())
		require.NoError(t, err)
		require.Len(t, p.Steps, 40)
		assert.LessOrEqual(t, atOnce(p), 3)
		reached = reached || atOnce(p) == 3
		assert.True(t, slices.IsSortedFunc(p.Steps, func(a, b Step) int { return int(a.At - b.At) }))
		for i, s := range p.Steps {
			assert.Contains(t, spec().Targets[s.Fault], s.Target)
			assert.GreaterOrEqual(t, s.For, time.Second)
			assert.LessOrEqual(t, s.For, 3*time.Second)
			for _, o := range p.Steps[:i] {
				assert.False(t, o.Target == s.Target && s.At < o.At+o.For, "%s is hit twice at once", s.Target)
			}
		}
	}
	assert.True(t, reached, "the bound is never reached: it is not what limits")
}

func TestDrawAtOnce(t *testing.T) {
	p, err := Draw(7, Spec{Targets: map[Fault][]string{Panic: names(1000)}, Steps: 100, Min: time.Second, Max: time.Second,
		Bound: 100})
	require.NoError(t, err)
	assert.Equal(t, 100, p.Targets())
	assert.Equal(t, 100, atOnce(p))
	assert.Equal(t, time.Second, p.Length())
}

func TestSpecErrors(t *testing.T) {
	for want, change := range map[string]func(*Spec){
		"Steps is -1":          func(s *Spec) { s.Steps = -1 },
		"Spread is -1":         func(s *Spec) { s.Spread = -1 },
		"Min to Max is 0s":     func(s *Spec) { s.Min = 0 },
		"3s to 1s":             func(s *Spec) { s.Min, s.Max = s.Max, s.Min },
		"Bound is 0":           func(s *Spec) { s.Bound = 0 },
		"Targets is empty":     func(s *Spec) { s.Targets = nil },
		"Targets of kill is e": func(s *Spec) { s.Targets[Kill] = nil },
		"Target is \"\"":       func(s *Spec) { s.Targets = map[Fault][]string{Kill: {""}} },
	} {
		s := spec()
		change(&s)
		_, err := Draw(1, s)
		assert.ErrorIs(t, err, ErrPlan)
		assert.ErrorContains(t, err, want)
	}
}

func TestPlanErrors(t *testing.T) {
	step := Step{Kill, "a", 0, time.Second}
	with := func(change func(*Step)) []Step {
		s := step
		change(&s)
		return []Step{s}
	}
	for _, c := range []struct {
		steps []Step
		bound int
		says  string
	}{
		{nil, 0, "Bound is 0"},
		{with(func(s *Step) { s.Fault = "" }), 1, `Fault is ""`},
		{with(func(s *Step) { s.Target = "\x1b[2J" }), 1, `Target is "\x1b[2J"`},
		{with(func(s *Step) { s.Target = strings.Repeat("x", 257) }), 1, "must be 1 to 256"},
		{with(func(s *Step) { s.Target = "\xff" }), 1, "Target is"},
		{with(func(s *Step) { s.At = -1 }), 1, "At is -1ns"},
		{with(func(s *Step) { s.At = MaxTime + 1 }), 1, "At is 24h"},
		{with(func(s *Step) { s.For = 0 }), 1, "For is 0s"},
		{[]Step{{Kill, "a", 2, 1}, {Kill, "b", 1, 1}}, 1, "step 1 is at 1ns"},
		{make([]Step, MaxSteps+1), 1, "100001 steps"},
	} {
		err := Plan{Bound: c.bound, Steps: c.steps}.Validate()
		assert.ErrorIs(t, err, ErrPlan)
		assert.NotErrorIs(t, err, ErrBlastRadius)
		assert.ErrorContains(t, err, c.says)
	}
}

func TestPlanWithinItsBound(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []Step
		most  int
	}{
		{"apart", []Step{{Kill, "a", 0, 10}, {Kill, "b", 10, 10}}, 1},
		{"overlapping", []Step{{Kill, "a", 0, 11}, {Kill, "b", 10, 10}}, 2},
		{"the same twice", []Step{{Kill, "a", 0, 10}, {Delay, "a", 5, 10}, {Kill, "b", 15, 10}}, 1},
		{"three at once", []Step{{Kill, "a", 0, 10}, {Kill, "b", 0, 10}, {Kill, "c", 0, 10}}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.NoError(t, Plan{Bound: c.most, Steps: c.steps}.Validate())
			if c.most > 1 {
				assert.ErrorIs(t, Plan{Bound: c.most - 1, Steps: c.steps}.Validate(), ErrBlastRadius)
			}
		})
	}
}

func TestSaveAndLoad(t *testing.T) {
	p, err := Draw(3, spec())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "plan.json")
	require.NoError(t, p.Save(path))
	again, err := LoadPlan(path)
	require.NoError(t, err)
	assert.Equal(t, p, again)

	_, err = LoadPlan(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{
		"", "{", "[]", `{"bound":1} {}`, `{"bound":1,"extra":1}`, `{"bound":1e9999}`,
		`{"bound":1,"steps":[{"fault":"kill","target":"a","at":"1","for":"1s"}]}`,
		`{"bound":1,"steps":[{"fault":"kill","target":"a","at":"1s"}]}`,
		`{"bound":1,"steps":[{"fault":"kill","target":"a","at":"0s","for":"1s","more":1}]}`,
	} {
		_, err := ParsePlan([]byte(text))
		assert.ErrorIs(t, err, ErrPlan, text)
	}
}

func FuzzParsePlan(f *testing.F) {
	p, err := Draw(1, spec())
	require.NoError(f, err)
	data, err := json.Marshal(p)
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(`{"seed":1,"bound":1,"steps":[{"fault":"kill","target":"a","at":"0s","for":"1h30m"}]}`))
	f.Add([]byte(`{"bound":1,"steps":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePlan(data)
		if err != nil {
			require.ErrorIs(t, err, ErrPlan)
			return
		}
		require.NoError(t, p.Validate())
		require.LessOrEqual(t, atOnce(p), p.Bound)
		again, err := json.Marshal(p)
		require.NoError(t, err)
		same, err := ParsePlan(again)
		require.NoError(t, err)
		require.Equal(t, p, same)
	})
}

func TestGuard(t *testing.T) {
	_, err := NewGuard(0)
	assert.ErrorIs(t, err, ErrPlan)
	g, err := NewGuard(2)
	require.NoError(t, err)
	require.NoError(t, g.Hit("a"))
	require.NoError(t, g.Hit("b"))
	err = g.Hit("c")
	assert.ErrorIs(t, err, ErrBlastRadius)
	assert.ErrorContains(t, err, `"c"`)
	require.NoError(t, g.Hit("a"), "what is hit already can be hit again")
	g.Healed("a")
	assert.ErrorIs(t, g.Hit("c"), ErrBlastRadius, "a still has another fault")
	g.Healed("a")
	require.NoError(t, g.Hit("c"))
	assert.Equal(t, 2, g.Now())
	assert.Equal(t, 2, g.Peak())
	assert.Panics(t, func() { g.Healed("a") })
}
