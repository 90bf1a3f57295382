package measure

import (
	"cmp"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"time"
)

// Split is what this process holds at an instant, by what it is and by whose it is.
//
// Who holds what is told from the program itself, and not from a second run without the
// subject: an object belongs to the code that allocated it, and a stack to the code that
// started its goroutine. So it is known of one instant, of each phase, and in a child
// process as in this one; and it does not depend on how often the collector had a
// processor, since a collection comes first. What a kit allocates and hands over, such as
// the body of a message, stays the kit's.
//
// The subject's part is what it holds at least. The runtime tells the size of all stacks
// and not of each: the kit's goroutines are taken to have kitStack each, as far as there
// is so much, and the subject's no less than leastStack. Where most goroutines have ended
// during the collection, those of before it count. The heap is told by samples.
type Split struct {
	At      float64 `json:"at_s"` // seconds since the beginning
	Subject Part    `json:"subject"`
	Kit     Part    `json:"kit"`
	Garbage int64   `json:"garbage_bytes"` // that the collection found
	// Rest is what else was resident: files, the runtime itself, what is free; nil where
	// RSS is not known.
	Rest *int64 `json:"rest_bytes"`
	RSS  *int64 `json:"rss_bytes"`
	// Unknown is why it is not known whose the heap is; it is the subject's then.
	Unknown string `json:"unknown,omitempty"`
}

// Part is what one side holds, in bytes.
type Part struct {
	Heap       int64  `json:"heap_bytes"` // reachable
	HeapOf     string `json:"heap_of,omitempty"`
	Stacks     int64  `json:"stacks_bytes"`
	StacksOf   string `json:"stacks_of,omitempty"`
	Goroutines int64  `json:"goroutines"`
	// Foreign is in memory and not the runtime's, as by mmap or cgo.
	Foreign int64 `json:"foreign_bytes"`
}

// Sum is all of it.
func (p Part) Sum() int64 { return p.Heap + p.Stacks + p.Foreign }

const (
	// kitStack is twice as much as a kit's goroutine takes that waits in a plain subject.
	kitStack = 16 << 10
	// leastStack is what the runtime gives every goroutine.
	leastStack = 2 << 10
)

// Kit tells the functions of a kit from those of its subject.
type Kit func(function string) bool

// TakeSplit collects garbage, and tells whose the rest is. It stops nobody, but
// takes as long as a collection, and ten microseconds a goroutine.
func TakeSplit(kit Kit) Split {
	before, running := ReadMemory(), readStarters(kit)
	runtime.GC() // all that was allocated before it is in the profile
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	after := ReadMemory()
	live := int64(samples[0].Value.Uint64())
	s := Split{Garbage: max(before.Heap-live, 0), RSS: larger(before.RSS, after.RSS)}
	s.Subject.Foreign = after.Foreign

	s.addStacks(before, running, after, readStarters(kit))

	ours, theirs := heapOwners(kit)
	kits, of := ours.total()
	subjects, by := theirs.total()
	if kits+subjects == 0 {
		s.Unknown = "the runtime takes no profile of the heap: runtime.MemProfileRate is 0"
		kits, subjects = 0, 1
	}
	s.Subject.Heap = int64(float64(live) * float64(subjects) / float64(kits+subjects))
	s.Kit.Heap = live - s.Subject.Heap
	s.Kit.HeapOf, s.Subject.HeapOf = of, by
	if s.RSS != nil {
		rest := max(*s.RSS-s.Garbage-s.Subject.Sum()-s.Kit.Sum(), 0)
		s.Rest = &rest
	}
	return s
}

// addStacks takes what there was before the collection and after it. A collection also
// frees what goroutines no longer need of their stacks, so what is after it counts, unless
// fewer than half of them are left: then what held most has ended meanwhile.
func (s *Split) addStacks(before Memory, running starters, after Memory, left starters) {
	stacks, all := after.Stacks, left
	if 2*(left.ours.count()+left.theirs.count()) < running.ours.count()+running.theirs.count() {
		stacks, all = before.Stacks, running
	}
	s.Kit.Goroutines, s.Kit.StacksOf = all.ours.total()
	s.Subject.Goroutines, s.Subject.StacksOf = all.theirs.total()
	s.Subject.Stacks = min(max(s.Subject.Goroutines*leastStack, stacks-s.Kit.Goroutines*kitStack), stacks)
	s.Kit.Stacks = stacks - s.Subject.Stacks
}

// holdings are amounts by the place in the program that they belong to.
type holdings map[string]int64

// total is the sum, and the place with the most.
func (h holdings) total() (sum int64, place string) {
	for _, n := range h {
		sum += n
	}
	return sum, most(h, nil)
}

func (h holdings) count() int64 {
	sum, _ := h.total()
	return sum
}

// starters are numbers of goroutines, by who started them: by their outermost function.
type starters struct{ ours, theirs holdings }

func readStarters(kit Kit) starters {
	alike := make(map[[32]uintptr]int64)
	for _, r := range goroutineProfile() {
		alike[r.Stack0]++
	}
	all := starters{make(holdings), make(holdings)}
	for stack, n := range alike {
		frames := framesOf(slices.DeleteFunc(stack[:], func(pc uintptr) bool { return pc == 0 }))
		slices.Reverse(frames)
		kits, at := owner(frames, kit)
		if kits {
			all.ours[at] += n
		} else {
			all.theirs[at] += n
		}
	}
	return all
}

// heapOwners estimates what is in the heap by who allocated it: by the innermost
// function of an allocation. It is empty without a profile.
func heapOwners(kit Kit) (ours, theirs holdings) {
	rate := float64(runtime.MemProfileRate)
	ours, theirs = make(holdings), make(holdings)
	for _, r := range heapProfile() {
		if rate <= 0 || r.InUseObjects() == 0 {
			continue
		}
		size := float64(r.InUseBytes()) / float64(r.InUseObjects())
		bytes := int64(float64(r.InUseBytes()) / (1 - math.Exp(-size/rate))) // a large object is more likely to be seen
		if kits, at := owner(framesOf(r.Stack()), kit); kits {
			ours[at] += bytes
		} else {
			theirs[at] += bytes
		}
	}
	return ours, theirs
}

func framesOf(stack []uintptr) (all []runtime.Frame) {
	for frames, more := runtime.CallersFrames(stack), len(stack) > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		all = append(all, f)
	}
	return all
}

// owner tells whose something is and where: the first of frames that belongs to the kit
// or to other code than the standard library's. Where there is none it is the subject's,
// unless anybody may be behind it.
func owner(frames []runtime.Frame, kit Kit) (kits bool, at string) {
	for _, f := range frames {
		switch path := packageOf(f.Function); {
		case kit(f.Function):
			return true, placeOf(f)
		case !isShared(path):
			return false, placeOf(f)
		case at == "" && !isAnybodys(path):
			at = placeOf(f)
		}
	}
	return at == "", cmp.Or(at, "the runtime")
}

// isAnybodys tells whether a package alone says nothing: the flight recorder is the kit's,
// and a goroutine that sync.WaitGroup started may not have come to its function yet.
func isAnybodys(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return path == "" || first == "runtime" || first == "testing" || first == "sync"
}

// packageOf is the path of the package of a function, such as "net/http" for
// "net/http.(*conn).serve".
func packageOf(function string) string {
	function, _, _ = strings.Cut(function, "[") // the arguments of types have paths too
	folder := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[folder:], ".")
	return function[:folder] + name
}

// isShared tells whether a package is of the standard library, or of one of those
// that kit and subject alike call for what the system does.
func isShared(path string) bool {
	if strings.HasPrefix(path, "golang.org/x/") {
		return true
	}
	first, _, _ := strings.Cut(path, "/")
	return path == "" || slices.Contains(standard, first)
}

// standard are the first elements of the paths of the standard library: a path
// without a dot may be a user's as well.
var standard = strings.Fields(`archive bufio bytes cmp compress container context crypto database debug embed encoding
	errors expvar flag fmt go hash html image index internal io iter log maps math mime net os path plugin reflect regexp
	runtime slices sort strconv strings structs sync syscall testing text time unicode unique unsafe vendor weak`)

// String says what of the process is the subject's, the largest part first, and what
// else there is.
func (s Split) String() string {
	text := s.Subject.String()
	if s.RSS != nil {
		if s.Subject.Sum() > *s.RSS {
			text += ", not all of it resident"
		}
		text += fmt.Sprintf("; the process held %s", inMB(*s.RSS))
	}
	text += fmt.Sprintf(", of which the kit's: %s; garbage: %s", s.Kit, inMB(s.Garbage))
	if s.Rest != nil {
		text += fmt.Sprintf("; the runtime, files and what is free: %s", inMB(*s.Rest))
	}
	return text
}

// String names each part that is worth it, the largest first.
func (p Part) String() string {
	type part struct {
		bytes int64
		text  string
	}
	parts := []part{
		{p.Heap, "live heap" + mostlyOf(p.HeapOf)},
		{p.Stacks, fmt.Sprintf("stacks of %d goroutines", p.Goroutines) + mostlyOf(p.StacksOf)},
		{p.Foreign, "memory that is not the runtime's"},
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.bytes, a.bytes) })
	var texts []string
	for _, one := range parts {
		if one.bytes >= smallPart || len(texts) == 0 {
			texts = append(texts, inMB(one.bytes)+" of "+one.text)
		}
	}
	return strings.Join(texts, ", ")
}

const smallPart = 1e6 // bytes

func mostlyOf(place string) string {
	if place == "" {
		return ""
	}
	return ", most of it by " + place
}

func inMB(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }

// Subject is what the subject of a kit held.
type Subject struct {
	// Peak is what it held at most, in bytes: where the whole process stayed within the
	// bound that is all of its heap and stacks.
	Peak int64 `json:"peak_bytes"`
	// Split is of when it held most; nil where the process stayed within the bound.
	Split *Split `json:"split,omitempty"`
}

// Watch looks whose the memory of a process is, whenever it holds more than Bound.
type Watch struct {
	Bound int64 // bytes
	Kit   Kit
	Over  func() // called at the first instant at which the subject holds more; may be nil

	seen   Subject
	looked int64     // what the process held at the last look
	next   time.Time // when it may look again
}

const (
	// rests is how many times as long as it looked a watch does nothing then,
	rests = 4
	// unless the process holds so many times what it held: one that grows fast may have
	// shrunk again by then.
	growth = 1.1
)

// See takes what the process holds now, and how long it has been watched. It returns
// what the subject has held so far.
func (w *Watch) See(m Memory, at time.Duration) Subject {
	began := time.Now()
	held := resident(m.Heap+m.Stacks+m.Foreign, m.RSS)
	switch {
	case held <= w.Bound && w.seen.Split == nil:
		w.seen.Peak = max(w.seen.Peak, held)
	case held > w.Bound && (!began.Before(w.next) || float64(held) > growth*float64(w.looked)):
		w.looked = held
		w.look(at)
		w.next = time.Now().Add(rests * time.Since(began))
	}
	return w.seen
}

// look asks whose it is.
func (w *Watch) look(at time.Duration) {
	s := TakeSplit(w.Kit)
	s.At = at.Seconds()
	before, now := w.seen, Subject{resident(s.Subject.Sum(), s.RSS), &s}
	if before.Split != nil && before.Peak >= now.Peak {
		return
	}
	w.seen = now
	if w.Over != nil && now.Peak > w.Bound && (before.Split == nil || before.Peak <= w.Bound) {
		w.Over()
	}
}

// resident is what of so many bytes may be in memory: what was never written to is not.
func resident(bytes int64, rss *int64) int64 {
	if rss != nil {
		return min(bytes, *rss)
	}
	return bytes
}
