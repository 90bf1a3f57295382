package monitor

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// subject is a type that has a monitor, and the model by which porcupine judges
// the same histories.
type subject struct {
	name  string
	judge func([]Op[int]) error
	kinds []Kind
	once  bool // a value is inserted once at most
	rules int  // how many sentences its monitor has for what is wrong
	// apply does an operation on the state, the values that are in it.
	apply func(state []int, op Op[int]) (next []int, result Op[int])
}

var subjects = []subject{
	{
		name: "register", judge: func(h []Op[int]) error { return Register(0, h) }, kinds: []Kind{Insert, Read},
		once: true, rules: 3, apply: register,
	},
	{name: "set", judge: Set[int], kinds: []Kind{Insert, Remove, Read}, rules: 6, apply: set},
	{name: "queue", judge: Queue[int], kinds: []Kind{Insert, Remove}, once: true, rules: 6, apply: queue},
	{name: "stack", judge: Stack[int], kinds: []Kind{Insert, Remove}, once: true, rules: 5, apply: stack},
}

func register(state []int, op Op[int]) ([]int, Op[int]) {
	op.OK = true
	if op.Kind == Insert {
		return []int{op.Value}, op
	}
	op.Value = 0
	if len(state) > 0 {
		op.Value = state[0]
	}
	return state, op
}

func set(state []int, op Op[int]) ([]int, Op[int]) {
	at := slices.Index(state, op.Value)
	op.OK = (at < 0) == (op.Kind == Insert)
	switch {
	case op.Kind == Insert && op.OK:
		state = append(slices.Clone(state), op.Value)
		slices.Sort(state)
	case op.Kind == Remove && op.OK:
		state = slices.Delete(slices.Clone(state), at, at+1)
	}
	return state, op
}

func queue(state []int, op Op[int]) ([]int, Op[int]) { return remove(state, op, 0) }

func stack(state []int, op Op[int]) ([]int, Op[int]) { return remove(state, op, len(state)-1) }

func remove(state []int, op Op[int], at int) ([]int, Op[int]) {
	op.OK = op.Kind == Insert || len(state) > 0
	switch {
	case op.Kind == Insert:
		return append(slices.Clone(state), op.Value), op
	case !op.OK:
		op.Value = 0
		return state, op
	}
	op.Value = state[at]
	return slices.Delete(slices.Clone(state), at, at+1), op
}

// porcupineSays judges a history by search.
func (s subject) porcupineSays(history []Op[int]) bool {
	model := porcupine.Model{
		Init: func() any { return []int(nil) },
		Step: func(state, in, out any) (bool, any) {
			next, result := s.apply(state.([]int), in.(Op[int]))
			said := out.(Op[int])
			return said.Return == Pending || result.OK == said.OK && result.Value == said.Value, next
		},
		Equal: func(a, b any) bool { return slices.Equal(a.([]int), b.([]int)) },
	}
	var ops []porcupine.Operation
	for i, op := range history {
		// Times that are equal overlap; porcupine's own rule for them is another.
		ops = append(ops, porcupine.Operation{
			ClientId: i, Input: op, Call: 2 * op.Call, Output: op, Return: 2*min(op.Return, 1<<40) + 1,
		})
	}
	return porcupine.CheckOperations(model, ops)
}

// sound makes a history by giving each operation an instant, in which it has
// its effect, and a call and a return around it.
func (s subject) sound(r *rand.Rand, n int) []Op[int] {
	history := make([]Op[int], 0, n)
	var state []int
	spread := 1 + r.IntN(16)
	for i := range n {
		op := Op[int]{Kind: s.kinds[r.IntN(len(s.kinds))], Value: 1 + r.IntN(2)}
		if s.once && op.Kind == Insert {
			op.Value = i + 1
		}
		state, op = s.apply(state, op)
		op.Call, op.Return = int64(4*i-r.IntN(spread)), int64(4*i+r.IntN(spread))
		history = append(history, op)
	}
	return history
}

// faulty changes a result, or the time of an operation.
func (s subject) faulty(r *rand.Rand, history []Op[int]) {
	if r.IntN(3) == 0 {
		s.permute(r, history)
		return
	}
	for range 1 + r.IntN(2) {
		op := &history[r.IntN(len(history))]
		other := history[r.IntN(len(history))]
		free := op.Kind != Insert || !s.once
		switch r.IntN(3) {
		case 0:
			if free && s.name != "register" {
				op.OK = !op.OK
			}
		case 1:
			if free && op.OK {
				op.Value = []int{other.Value, 99}[r.IntN(2)]
			}
		default:
			shift := int64(r.IntN(41) - 20)
			op.Call, op.Return = op.Call+shift, op.Return+shift
		}
		if op.Kind == Remove && !op.OK && s.once {
			op.Value = 0
		}
	}
}

// permute gives what was removed, or read, to others that removed or read.
func (s subject) permute(r *rand.Rand, history []Op[int]) {
	for range len(history) {
		op, other := &history[r.IntN(len(history))], &history[r.IntN(len(history))]
		if op.Kind == other.Kind && op.Kind != Insert {
			op.Value, other.Value = other.Value, op.Value
			op.OK, other.OK = other.OK, op.OK
		}
	}
}

// agree judges a history in both ways, and returns the rule that is broken.
func (s subject) agree(t *testing.T, history []Op[int]) (rule string) {
	t.Helper()
	err := s.judge(slices.Clone(history))
	if err != nil {
		require.ErrorIs(t, err, ErrNotLinearizable, "%s: %v", s.name, history)
	}
	require.Equal(t, s.porcupineSays(history), err == nil, "%s: %v of %+v", s.name, err, history)
	var v *Violation
	if errors.As(err, &v) {
		require.NotEmpty(t, v.Ops)
		for _, i := range v.Ops {
			require.Less(t, i, len(history))
		}
	}
	if err == nil {
		return ""
	}
	return digits.ReplaceAllString(v.Rule, "N")
}

var digits = regexp.MustCompile(`\d+(, \d+)*( and \d+ more)?`)

func TestMonitorsAgreeWithPorcupine(t *testing.T) {
	const histories = 8000
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var accepted int
			rules := map[string]int{}
			for i := range histories {
				history := s.sound(r, 2+r.IntN(7))
				if i%3 > 0 {
					s.faulty(r, history)
				}
				r.Shuffle(len(history), func(i, j int) { history[i], history[j] = history[j], history[i] })
				rule := s.agree(t, history)
				if rule == "" {
					accepted++
					continue
				}
				require.NotZero(t, i%3, "a history made of instants is linearizable: %v", history)
				rules[rule]++
			}
			assert.Greater(t, accepted, histories/3)
			for rule, n := range rules {
				t.Logf("%5d %s", n, rule)
			}
			assert.Len(t, rules, s.rules, "every rule is broken by some history")
		})
	}
}

// An insertion that did not return may have had its effect, or not.
func TestMonitorsAgreeOnWhatDidNotReturn(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			for i := range 2000 {
				history := s.sound(r, 2+r.IntN(7))
				if i%2 > 0 {
					s.faulty(r, history)
				}
				for j, op := range history {
					if op.Kind == Insert && r.IntN(4) == 0 {
						history[j].OK, history[j].Return = true, Pending
					}
				}
				s.agree(t, history)
			}
		})
	}
}

func FuzzMonitors(f *testing.F) {
	f.Add(uint64(1), uint64(2), byte(8))
	f.Fuzz(func(t *testing.T, a, b uint64, n byte) {
		r := rand.New(rand.NewPCG(a, b))
		for _, s := range subjects {
			history := s.sound(r, 2+int(n%7))
			s.faulty(r, history)
			s.agree(t, history)
		}
	})
}
