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
	clock int64
	logs  [][]done[T] // of each goroutine; the last is that of the program itself
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

// newHistory has a log for each goroutine and one for the ends of the program.
func newHistory[T any](goroutines int) *history[T] {
	return &history[T]{logs: make([][]done[T], goroutines+1)}
}

// ends is the number of the log of what is done before and after the goroutines.
func (h *history[T]) ends() int { return len(h.logs) - 1 }

// do calls the operations one after the other, as a goroutine's.
func (h *history[T]) do(subject T, goroutine int, acts []act[T]) {
	log := &h.logs[goroutine]
	for _, a := range acts {
		n := len(*log)
		*log = append(*log, done[T]{act: a, goroutine: goroutine, call: h.tick(), returned: never})
		h.tick() // orders the record before all, which reads it while the call still waits
		result := a.op.call(subject, a.args)
		(*log)[n].result, (*log)[n].returned = result, h.tick()
		h.tick() // as above: nobody waits for a goroutine that may hang
	}
}

// tick returns numbers that grow. The function, and not a method of atomic.Int64,
// which would be a point of the schedule.
func (h *history[T]) tick() int64 { return atomic.AddInt64(&h.clock, 1) }

// all returns the operations that returned, and those that still wait.
func (h *history[T]) all() (over, open []done[T]) {
	h.tick()
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
