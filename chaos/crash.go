package chaos

import (
	"fmt"
	"runtime"
	"strings"
)

// Crash is the error of a worker that panicked. It is ErrCrashed.
type Crash struct {
	Value any       // of the panic; nil for runtime.Goexit
	calls []uintptr // innermost first
}

// deepest is how many calls of a stack are kept.
const deepest = 64

// newCrash is called by the deferred function that recovers.
func newCrash(value any) *Crash {
	calls := make([]uintptr, deepest)
	const own = 3 // runtime.Callers, this function and that of the life
	return &Crash{value, calls[:runtime.Callers(own, calls)]}
}

func (c *Crash) Error() string { return fmt.Sprintf("%v: %v", ErrCrashed, c.Value) }
func (c *Crash) Unwrap() error { return ErrCrashed }

// Stack returns the stack at the panic, with two lines for each call: the function and its
// place. Addresses are resolved only here, because a hundred workers may crash at once
// without anyone asking for their stacks.
func (c *Crash) Stack() string {
	var text strings.Builder
	frames := runtime.CallersFrames(c.calls)
	for {
		f, more := frames.Next()
		fmt.Fprintf(&text, "%s\n\t%s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return text.String()
		}
	}
}
