package monitor

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHistoriesThatCanNotBeJudged(t *testing.T) {
	insert, remove, read := Op[int]{Kind: Insert, Value: 1, OK: true, Return: 1}, Op[int]{Kind: Remove, Value: 1, OK: true,
		Call: 2, Return: 3}, Op[int]{Kind: Read, Value: 1, OK: true, Call: 2, Return: 3}
	lost := remove
	lost.Return = Pending
	initial := insert
	initial.Value = 0
	for _, c := range []struct {
		name    string
		judge   func([]Op[int]) error
		history []Op[int]
		is      error
	}{
		{"register, written twice", register0, []Op[int]{insert, insert}, ErrAmbiguous},
		{"register, first value written", register0, []Op[int]{initial}, ErrAmbiguous},
		{"register, removed", register0, []Op[int]{insert, remove}, ErrOperation},
		{"queue, inserted twice", Queue[int], []Op[int]{insert, insert}, ErrAmbiguous},
		{"queue, read", Queue[int], []Op[int]{insert, read}, ErrOperation},
		{"queue, removal did not return", Queue[int], []Op[int]{insert, lost}, ErrPending},
		{"stack, inserted twice", Stack[int], []Op[int]{insert, insert}, ErrAmbiguous},
		{"stack, read", Stack[int], []Op[int]{insert, read}, ErrOperation},
		{"stack, removal did not return", Stack[int], []Op[int]{insert, lost}, ErrPending},
	} {
		err := c.judge(c.history)
		assert.ErrorIs(t, err, c.is, c.name)
		assert.NotErrorIs(t, err, ErrNotLinearizable, c.name)
	}
	for _, s := range subjects {
		assert.NoError(t, s.judge(nil), "%s: nothing was done", s.name)
	}
}

func register0(history []Op[int]) error { return Register(0, history) }
