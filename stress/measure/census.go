package measure

import (
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Census tells what a process holds by the place in the program that made it,
// so that growth can be named. It is dear: for when growth has been seen.
type Census struct {
	heap        map[string]int64 // bytes sampled, by place
	goroutines  map[string]int64 // by place
	descriptors map[string]string
}

// fineProfile is the mean number of bytes between two samples of the heap, so
// that a leak of megabytes is seen in hundreds of samples.
const fineProfile = 4096

// FineProfile has the runtime sample the heap more often than it does by itself,
// until restore is called. A profile that is turned off stays so.
func FineProfile() (restore func()) {
	before := runtime.MemProfileRate
	if before > fineProfile {
		runtime.MemProfileRate = fineProfile
	}
	return func() { runtime.MemProfileRate = before }
}

// TakeCensus counts what there is now.
func TakeCensus() Census {
	// An allocation is in the profile from the second collection after it on.
	runtime.GC()
	runtime.GC()
	c := Census{heap: make(map[string]int64), goroutines: make(map[string]int64), descriptors: descriptors()}
	for _, r := range heapProfile() {
		if at := place(r.Stack()); at != "" {
			c.heap[at] += r.InUseBytes()
		}
	}
	for _, r := range goroutineProfile() {
		if at := place(r.Stack()); at != "" {
			c.goroutines[at]++
		}
	}
	return c
}

// own are the functions that look, and so are not looked at.
var own = regexp.MustCompile(`/measure\.(TakeCensus|ReadHolding|readGC)$`)

// place is the innermost function of a stack that does not belong to the
// runtime, with its line. It is empty for what looking itself does.
func place(stack []uintptr) string {
	at := ""
	for _, f := range framesOf(stack) {
		switch {
		case own.MatchString(f.Function):
			return ""
		case at == "" && f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") &&
			!strings.HasPrefix(f.Function, "internal/"):
			at = placeOf(f)
		}
	}
	if at == "" {
		return "the runtime"
	}
	return at
}

// placeOf is a function with its line.
func placeOf(f runtime.Frame) string {
	return fmt.Sprintf("%s (%s:%d)", f.Function, f.File[strings.LastIndexByte(f.File, '/')+1:], f.Line)
}

func heapProfile() (records []runtime.MemProfileRecord) {
	for n, ok := runtime.MemProfile(nil, false); !ok; {
		records = make([]runtime.MemProfileRecord, n+100)
		if n, ok = runtime.MemProfile(records, false); ok {
			records = records[:n]
		}
	}
	return records
}

func goroutineProfile() (records []runtime.StackRecord) {
	for n, ok := runtime.GoroutineProfile(nil); !ok; {
		records = make([]runtime.StackRecord, n+n/10+100)
		if n, ok = runtime.GoroutineProfile(records); ok {
			records = records[:n]
		}
	}
	return records
}

// Growth is where a process has grown most between two counts; a name is empty
// where nothing grew.
type Growth struct {
	Heap       string `json:"heap,omitempty"`
	Goroutine  string `json:"goroutine,omitempty"`
	Descriptor string `json:"descriptor,omitempty"`
}

// Since names what grew most since an earlier count.
func (c Census) Since(before Census) Growth {
	g := Growth{Heap: most(c.heap, before.heap), Goroutine: most(c.goroutines, before.goroutines)}
	added := make(map[string]int64)
	for fd, target := range c.descriptors {
		if before.descriptors[fd] != target {
			kind, _, _ := strings.Cut(target, ":[") // socket:[123], pipe:[123]
			added[kind]++
		}
	}
	g.Descriptor = most(added, nil)
	return g
}

// most is the place that grew most; by name where two are alike.
func most(after, before map[string]int64) string {
	name, grew := "", int64(0)
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if d := after[key] - before[key]; d > grew {
			name, grew = key, d
		}
	}
	return name
}
