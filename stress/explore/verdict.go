package explore

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"tensile/stress/explore/internal/control"
)

// Kinds of failures.
const (
	kindCheck    = "check"
	kindPanic    = "panic"
	kindFatal    = "fatal error"
	kindDeadlock = "deadlock"
	kindLeft     = "left over"
	kindRace     = "data race"
	kindTest     = "test"
	kindCrash    = "crash"
)

// verdict is why a schedule failed.
type verdict struct {
	kind     string
	class    string // alike for what is the same failure in another schedule
	sentence string
	left     []Goroutine
}

// same reports whether two failures are the same one.
func (v *verdict) same(other *verdict) bool {
	return other != nil && v.kind == other.kind && v.class == other.class
}

// judge says why a schedule failed, or nil.
func (x *explorer) judge(r ran, testFailed bool) *verdict {
	if failed, ok := r.run.found(); ok {
		return &verdict{kind: kindCheck, class: failed.format, sentence: failed.sentence()}
	}
	switch {
	case r.End == control.Panicked:
		at := userFrame(r.PCs)
		said := fmt.Sprintf("panic: %s, at %s", r.Message, place(at))
		return &verdict{kind: kindPanic, class: at.Function, sentence: said}
	case r.End == control.Fatal:
		at := userFrame(r.PCs)
		said := fmt.Sprintf("fatal error: %s, at %s", r.Message, place(at))
		return &verdict{kind: kindFatal, class: r.Message, sentence: said}
	case r.Races > 0:
		return &verdict{
			kind: kindRace, sentence: fmt.Sprintf("%s reported by the race detector", counted(r.Races, "data race")),
		}
	case testFailed:
		return &verdict{kind: kindTest, sentence: "the test's own T failed"}
	case r.End == control.Limit && r.run.hasReturned() && !x.o.AllowLeft:
		left := x.waiting(r)
		said := counted(len(left), "goroutine") + " left over that would go on for ever: " + listed(left)
		return &verdict{kind: kindLeft, class: "goes on", left: left, sentence: said}
	case r.Deadlock:
		left := x.waiting(r)
		said := "deadlock: no goroutine can run: " + listed(left)
		return &verdict{kind: kindDeadlock, left: left, sentence: said}
	case r.End == control.Returned && len(r.Left) > 0 && !x.o.AllowLeft:
		left := x.waiting(r)
		said := counted(len(left), "goroutine") + " left over: " + listed(left)
		return &verdict{kind: kindLeft, left: left, sentence: said}
	}
	return nil
}

// mainID is the number of the goroutine that runs the function.
const mainID = 1

// waiting describes the goroutines that are left over.
func (x *explorer) waiting(r ran) []Goroutine {
	if r.run.hasReturned() {
		r.Left = slices.DeleteFunc(r.Left, func(g control.Goroutine) bool { return g.ID == mainID })
	}
	slices.SortFunc(r.Left, func(a, b control.Goroutine) int { return cmp.Compare(a.ID, b.ID) })
	out := make([]Goroutine, 0, len(r.Left))
	for _, l := range r.Left {
		at, entry := userFrame(l.PCs), entryFrame(l.PCs)
		g := Goroutine{Name: r.run.name(l.ID), Reason: strings.TrimSuffix(l.Reason, " (durable)"), Function: at.Function,
			Entry: entry.Function, Place: short(at)}
		if g.Name == "" {
			g.Name = lastPart(entry.Function)
		}
		out = append(out, g)
	}
	return out
}

// String says what the goroutine does, and where.
func (g Goroutine) String() string {
	switch g.Reason {
	case control.Running:
		return fmt.Sprintf("%s runs at %s", g.Name, g.Place)
	case "sleep":
		return fmt.Sprintf("%s sleeps at %s", g.Name, g.Place)
	}
	return fmt.Sprintf("%s waits for %s at %s", g.Name, g.Reason, g.Place)
}

// mostListed is how many goroutines a sentence names.
const mostListed = 6

func listed(left []Goroutine) string {
	var parts []string
	for i, g := range left {
		if i == mostListed {
			parts = append(parts, fmt.Sprintf("and %d more", len(left)-i))
			break
		}
		parts = append(parts, g.String())
	}
	return strings.Join(parts, "; ")
}

// userFrame is the innermost frame that is neither the standard library's nor of
// this package: what a reader would look at.
func userFrame(pcs []uintptr) runtime.Frame {
	var first runtime.Frame
	frames := runtime.CallersFrames(trimmed(pcs))
	for {
		f, more := frames.Next()
		if first.Function == "" {
			first = f
		}
		if f.Function != "" && !standard(f) && !ours(f.Function) {
			return f
		}
		if !more {
			return first
		}
	}
}

// entryFrame is the outermost frame: the function of the go statement.
func entryFrame(pcs []uintptr) runtime.Frame {
	var last runtime.Frame
	frames := runtime.CallersFrames(trimmed(pcs))
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") && !ours(f.Function) {
			last = f
		}
		if !more {
			return last
		}
	}
}

// trimmed are the program counters without the zeros of a fixed array.
func trimmed(pcs []uintptr) []uintptr {
	for i, pc := range pcs {
		if pc == 0 {
			return pcs[:i]
		}
	}
	return pcs
}

// standard reports whether a frame is of the standard library: the first part of
// its import path has no dot there, and neither is it of the module under test.
func standard(f runtime.Frame) bool {
	return standardLibrary(f.File)
}

// ours reports whether a function is of this package, tests of it not included.
func ours(function string) bool {
	return strings.HasPrefix(function, ourPath+".(*Run).") || strings.HasPrefix(function, ourPath+".(*explorer).") ||
		strings.HasPrefix(function, ourPath+"/internal/control.")
}

// ourPath is the import path of this package.
const ourPath = "tensile/stress/explore"

// place is the function, file and line of a frame.
func place(f runtime.Frame) string { return lastPart(f.Function) + " " + short(f) }

// short is the file and line of a frame, without the folders.
func short(f runtime.Frame) string {
	return fmt.Sprintf("%s:%d", f.File[strings.LastIndexAny(f.File, `/\`)+1:], f.Line)
}

// lastPart is a function's name without the path of its package.
func lastPart(function string) string { return function[strings.LastIndex(function, "/")+1:] }

// functionOf is the name of the function that begins at pc.
func functionOf(pc uintptr) string {
	if f := runtime.FuncForPC(pc); f != nil {
		return f.Name()
	}
	return ""
}
