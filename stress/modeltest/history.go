package modeltest

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
)

// history is what was done, in the order in which the operations were called.
type history[T any] struct {
	clock clock
	logs  [][]done[T] // of each goroutine; the last two are of what comes first and last
}

// done is an operation that was called.
type done[T any] struct {
	act[T]
	goroutine int
	call      int64
	returned  int64 // never: it has not
	result    any
}

const never = math.MaxInt64

// newHistory has a log for each goroutine, and one for what comes before and after them:
// what comes first may still wait when what comes last begins.
func newHistory[T any](goroutines int) *history[T] {
	return &history[T]{logs: make([][]done[T], goroutines+2)}
}

func (h *history[T]) goroutines() int { return len(h.logs) - 2 }
func (h *history[T]) first() int      { return h.goroutines() }
func (h *history[T]) last() int       { return h.goroutines() + 1 }

// do calls the operations one after the other, as a goroutine's.
func (h *history[T]) do(subject T, goroutine int, acts []act[T]) {
	log := &h.logs[goroutine]
	for _, a := range acts {
		n := len(*log)
		*log = append(*log, done[T]{act: a, goroutine: goroutine, call: h.clock.tick(), returned: never})
		h.clock.tick() // orders the record before all, which reads it while the call still waits
		result := a.op.call(subject, a.args)
		(*log)[n].result, (*log)[n].returned = result, h.clock.tick()
		h.clock.tick() // as above: nobody waits for a goroutine that may hang
	}
}

// clock counts calls and returns.
type clock struct{ now int64 }

// tick returns numbers that grow. It must not be a point of the schedule: so it is neither a
// method of atomic.Int64, nor part of generic code, which is compiled where it is used, with
// points at memory if that package has them.
//
//go:noinline
func (c *clock) tick() int64 { return atomic.AddInt64(&c.now, 1) }

// all returns the operations that returned, and those that still wait.
func (h *history[T]) all() (over, open []done[T]) {
	h.clock.tick()
	for _, log := range h.logs {
		for _, d := range log {
			if d.returned == never {
				open = append(open, d)
				continue
			}
			over = append(over, d)
		}
	}
	return over, open
}

func (d *done[T]) String() string {
	if d.returned == never {
		return d.called() + " waits"
	}
	return d.called() + shown(d.result)
}

// called is the operation without its result.
func (d *done[T]) called() string {
	if v := reflect.ValueOf(d.args); v.Kind() == reflect.Struct && v.NumField() == 0 {
		return d.op.name + "()"
	}
	return fmt.Sprintf("%s(%s)", d.op.name, plain(d.args))
}

// shown is a result, if there is anything to tell.
func shown(result any) string {
	if v := reflect.ValueOf(result); v.Kind() == reflect.Struct && v.NumField() == 0 {
		return ""
	}
	return " = " + plain(result)
}

// plain is a value without the braces of a struct.
func plain(value any) string {
	text := fmt.Sprintf("%v", value)
	if v := reflect.ValueOf(value); v.Kind() == reflect.Struct {
		text = strings.TrimSuffix(strings.TrimPrefix(text, "{"), "}")
	}
	return strings.Join(strings.Fields(text), " ")
}
