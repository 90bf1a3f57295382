package session

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what clients did and saw, by key.
type history struct {
	clock atomic.Int64 // counts invocations and responses: their order is what matters
	mu    sync.Mutex
	of    map[string][]porcupine.Operation
}

// call is one operation on a register.
type input struct {
	write bool
	value string // "" for a deletion, and for nothing there
}

// unknownResult is the output of a write whose outcome is not known.
const unknownResult = "?"

func newHistory() *history { return &history{of: make(map[string][]porcupine.Operation)} }

// do runs an operation and keeps it, unless it is known to have had no effect.
func (h *history) do(client int, key string, in input, op func() (value string, err error)) (string, error) {
	began := h.clock.Add(1)
	value, err := op()
	ended := h.clock.Add(1)
	switch {
	case in.write && errors.Is(err, ErrUncertain):
		value, ended = unknownResult, math.MaxInt64
	case err != nil:
		return value, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of[key] = append(h.of[key], porcupine.Operation{ClientId: client, Input: in, Call: began, Output: value,
		Return: ended})
	return value, err
}

// register is the specification: a read sees the write before it.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		if in := in.(input); in.write {
			return true, in.value
		}
		return out == state, state
	},
	DescribeOperation: func(in, out any) string {
		if in := in.(input); in.write {
			return fmt.Sprintf("put %q %v", in.value, out)
		}
		return fmt.Sprintf("get %q", out)
	},
}

// violation is a key whose history is not linearizable, or "".
func (h *history) violation() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, ops := range h.of {
		switch porcupine.CheckOperationsTimeout(register, ops, 20*time.Second) {
		case porcupine.Illegal:
			return fmt.Sprintf("key %s: %d operations are not linearizable", key, len(ops))
		case porcupine.Unknown:
			return fmt.Sprintf("key %s: %d operations could not be checked in time", key, len(ops))
		}
	}
	return ""
}

// size is the number of operations.
func (h *history) size() (n int) {
	for _, ops := range h.of {
		n += len(ops)
	}
	return n
}
