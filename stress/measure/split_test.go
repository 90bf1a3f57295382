package measure

import (
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The functions of a kit of the tests: all whose name says so.
func ofKit(function string) bool { return strings.Contains(function, ".kits") }

// keep is what is held on to, so that it is not garbage.
var keep [][]byte

//go:noinline
func kitsHeap(n int) { keep = append(keep, make([]byte, n)) }

//go:noinline
func subjectsHeap(n int) { keep = append(keep, make([]byte, n)) }

func subjectsGarbage(n int) {
	subjectsHeap(n)
	keep = keep[:len(keep)-1]
	clear(keep[len(keep):cap(keep)])
}

//go:noinline
func kitsGoroutines(all *sync.WaitGroup, n int, wait func()) {
	for range n {
		all.Go(func() { wait() })
	}
}

//go:noinline
func subjectsGoroutines(all *sync.WaitGroup, n int, wait func()) {
	for range n {
		all.Go(func() { wait() })
	}
}

// wide waits with a frame of 100 KB below it.
func wide(until func()) func() {
	return func() {
		var frame [100 << 10]byte
		until()
		runtime.KeepAlive(&frame)
	}
}

// grown waits until the stacks are that large.
func grown(t *testing.T, bytes int64) {
	t.Helper()
	require.Eventually(t, func() bool { return ReadMemory().Stacks > bytes }, 10*time.Second, time.Millisecond)
}

// TestASplitTellsWhoseItIs of heap and stacks, whatever the collector has done so far.
func TestASplitTellsWhoseItIs(t *testing.T) {
	defer func() { keep = nil }()
	fresh := TakeSplit(ofKit)
	until := make(chan struct{})
	wait := func() { <-until }
	var all sync.WaitGroup
	defer all.Wait()
	defer close(until)
	for range 40 {
		kitsHeap(mb)
	}
	for range 30 {
		subjectsHeap(mb)
		subjectsGarbage(mb)
	}
	kitsGoroutines(&all, 3000, wait)
	subjectsGoroutines(&all, 500, wait)

	s := TakeSplit(ofKit)
	assert.InDelta(t, 40*mb, s.Kit.Heap-fresh.Kit.Heap, 6*mb)
	assert.InDelta(t, 30*mb, s.Subject.Heap-fresh.Subject.Heap, 6*mb)
	assert.Contains(t, s.Subject.HeapOf, "measure.subjectsHeap (split_test.go:")
	assert.Contains(t, s.Kit.HeapOf, "measure.kitsHeap (split_test.go:")
	assert.GreaterOrEqual(t, s.Kit.Goroutines, int64(3000))
	assert.Less(t, s.Kit.Goroutines, int64(3100))
	assert.GreaterOrEqual(t, s.Subject.Goroutines, int64(500))
	assert.Less(t, s.Subject.Goroutines, int64(600))
	assert.GreaterOrEqual(t, s.Subject.Stacks, int64(500*leastStack), "there is no less of the subject's")
	assert.Less(t, s.Subject.Stacks, int64(600*leastStack), "what else there is may be the kit's")
	assert.Contains(t, s.Subject.StacksOf, "measure.subjectsGoroutines.func1 (split_test.go:")

	subjectsGoroutines(&all, 500, wide(wait))
	grown(t, 500*128<<10)
	s = TakeSplit(ofKit)
	assert.InDelta(t, 500*128<<10, s.Subject.Stacks, 3100*kitStack, "less what may be the kit's")
	assert.Greater(t, s.Subject.Stacks, int64(500*128<<10-3100*kitStack))
	kits := s.Kit.Goroutines
	kitsGoroutines(&all, 500, wide(wait))
	grown(t, 1000*128<<10)
	s = TakeSplit(ofKit)
	assert.InDelta(t, kits+500, s.Kit.Goroutines, 10)
	assert.Greater(t, s.Subject.Stacks, int64(1000*128<<10-3600*kitStack), "what callers need deep in it is the subject's")
}

// TestWhatEndsMeanwhileIsToldFromBefore: a peak is often over before a collection is.
func TestWhatEndsMeanwhileIsToldFromBefore(t *testing.T) {
	before, after := Memory{Stacks: 500 * mb}, Memory{Stacks: mb}
	many := starters{ours: holdings{"kit": 10}, theirs: holdings{"subject": 2000}}
	few := starters{ours: holdings{"kit": 10}, theirs: holdings{"subject": 3}}
	var s Split
	s.addStacks(before, many, after, few)
	assert.Equal(t, int64(2000), s.Subject.Goroutines)
	assert.Equal(t, int64(500*mb-10*kitStack), s.Subject.Stacks)
	assert.Equal(t, "subject", s.Subject.StacksOf)

	s = Split{}
	s.addStacks(before, many, after, many)
	assert.Equal(t, int64(mb), s.Kit.Stacks+s.Subject.Stacks, "what the collection freed nobody needed")
}

// TestAnOwnerIsFoundAmongOthers whose code both may call.
func TestAnOwnerIsFoundAmongOthers(t *testing.T) {
	for _, c := range []struct {
		frames string
		kits   bool
		at     string
	}{
		{"runtime.mallocgc strings.Clone yours/pool.(*Pool).Get x.kitsBurst", false, "yours/pool.(*Pool).Get"},
		{"bytes.Clone golang.org/x/sys/unix.Read x.kitsBurst yours/pool.F", true, "x.kitsBurst"},
		{"yours.G[go.shape.struct{a/b.C}] x.kitsBurst", false, "yours.G[go.shape.struct{a/b.C}]"},
		{"sort.F other.org/lib.F yours/pool.F x.kitsBurst", false, "other.org/lib.F"},
		{"sorted.F x.kitsBurst", false, "sorted.F"},
		{"net/http.(*conn).serve", false, "net/http.(*conn).serve"},
		{"runtime.main testing.tRunner", true, "the runtime"},
		{"runtime/trace.(*FlightRecorder).Start runtime.goexit", true, "the runtime"},
		{"sync.(*WaitGroup).Go.func1", true, "the runtime"},
		{"", true, "the runtime"},
	} {
		var frames []runtime.Frame
		for _, f := range strings.Fields(c.frames) {
			frames = append(frames, runtime.Frame{Function: f, File: "x/y.go", Line: 7})
		}
		kits, at := owner(frames, ofKit)
		assert.Equal(t, c.kits, kits, c.frames)
		assert.Equal(t, c.at, strings.TrimSuffix(at, " (y.go:7)"), c.frames)
	}
}

// TestTheStandardLibraryIsKnown by the first elements of its paths.
func TestTheStandardLibraryIsKnown(t *testing.T) {
	out, err := exec.Command("go", "list", "std").Output()
	require.NoError(t, err)
	for _, path := range strings.Fields(string(out)) {
		assert.True(t, isShared(path), path)
	}
	for _, path := range []string{"main", "tensile/pool", "example.com/time", "sorted"} {
		assert.False(t, isShared(path), path)
	}
}

// TestAWatchLooksAboveItsBound only, and says once that the subject is over it.
func TestAWatchLooksAboveItsBound(t *testing.T) {
	if info, _ := debug.ReadBuildInfo(); slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("what the race detector keeps of each byte is in memory and not the runtime's: kits do not judge it")
	}
	defer func() { keep = nil }()
	over := 0
	debug.FreeOSMemory()
	base := ReadMemory()
	w := &Watch{Bound: base.Heap + base.Stacks + 60*mb, Kit: ofKit, Over: func() { over++ }}
	seen := w.See(ReadMemory(), time.Second)
	assert.Nil(t, seen.Split, "nobody holds that much")
	assert.Positive(t, seen.Peak)
	hold := func(hold func(int), n int) Subject {
		for range n {
			hold(mb)
			last := keep[len(keep)-1]
			for at := range last {
				last[at] = 1
			}
		}
		w.next = time.Time{}
		return w.See(ReadMemory(), 2*time.Second)
	}
	seen = hold(kitsHeap, 90)
	require.NotNil(t, seen.Split)
	assert.Less(t, seen.Peak, w.Bound, "it is the kit's")
	assert.Zero(t, over)
	seen = hold(subjectsHeap, 120)
	assert.Greater(t, seen.Peak, w.Bound)
	assert.Equal(t, 1, over)
	said := seen.Split.String()
	assert.Contains(t, said, " MB of live heap, most of it by tensile/stress/measure.subjectsHeap (split_test.go:")
	assert.Contains(t, said, "of which the kit's: ")
	assert.Equal(t, 2.0, seen.Split.At)
	peak := seen.Peak
	keep = keep[:90]
	clear(keep[90:cap(keep)])
	seen = hold(subjectsHeap, 70)
	assert.Equal(t, peak, seen.Peak, "the most counts")
	assert.Equal(t, 1, over)
	w.next = time.Now().Add(time.Hour)
	looked := w.looked
	assert.Equal(t, peak, w.See(Memory{Heap: looked}, 3*time.Second).Peak)
	assert.Equal(t, looked, w.looked, "it rests")
	w.See(Memory{Heap: 2 * looked}, 3*time.Second)
	assert.Equal(t, 2*looked, w.looked, "unless it grows fast")
}

// TestAHeapWithoutAProfile is nobody's, and taken for the subject's.
func TestAHeapWithoutAProfile(t *testing.T) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 0
	s := TakeSplit(ofKit)
	assert.Contains(t, s.Unknown, "MemProfileRate is 0")
	assert.Positive(t, s.Subject.Heap)
	assert.Zero(t, s.Kit.Heap)
}

// TestPartsAreNamedByTheirSize so that the largest comes first.
func TestPartsAreNamedByTheirSize(t *testing.T) {
	p := Part{Heap: 40e6, HeapOf: "a.B (c.go:1)", Stacks: 250e6, Goroutines: 9, Foreign: 5e5}
	assert.Equal(t, "250 MB of stacks of 9 goroutines, 40 MB of live heap, most of it by a.B (c.go:1)", p.String())
	p.Foreign = 300e6
	assert.Regexp(t, `^300 MB of memory that is not the runtime's, 250 MB`, p.String())
	assert.Equal(t, "0 MB of live heap", Part{}.String())
	assert.Equal(t, int64(590e6), p.Sum())
	rss := int64(100e6)
	assert.Contains(t, Split{Subject: p, RSS: &rss}.String(),
		", not all of it resident; the process held 100 MB, of which the kit's: 0 MB")
}
