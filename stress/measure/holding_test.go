package measure

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHoldingFollowsWhatIsHeld(t *testing.T) {
	const size, goroutines, files = 8 << 20, 500, 20
	debug.FreeOSMemory() // or else what tests before this one have left goes meanwhile
	before := ReadHolding()
	held := make([]byte, size)
	for i := 0; i < len(held); i += 512 {
		held[i] = 1
	}
	end := make(chan struct{})
	for range goroutines {
		go func() { <-end }()
	}
	var open []*os.File
	for range files {
		f, err := os.Open(os.DevNull)
		require.NoError(t, err)
		open = append(open, f)
	}
	with := ReadHolding()
	runtime.KeepAlive(held)
	assert.InDelta(t, size, with.Heap-before.Heap, 1<<20)
	assert.Greater(t, with.Stacks-before.Stacks, int64(goroutines*1500))
	assert.Equal(t, goroutines, with.Goroutines-before.Goroutines)
	if with.Descriptors != nil {
		assert.Equal(t, files, *with.Descriptors-*before.Descriptors)
	}
	if with.RSS != nil {
		assert.Greater(t, *with.RSS-*before.RSS, int64(size/2))
		assert.GreaterOrEqual(t, *with.PeakRSS, *with.RSS)
	}
	close(end)
	for _, f := range open {
		require.NoError(t, f.Close())
	}
	held = nil
	after := ReadHolding()
	assert.Less(t, after.Heap-before.Heap, int64(2<<20))
	if after.Descriptors != nil {
		assert.Equal(t, *before.Descriptors, *after.Descriptors)
	}
}

func TestKernelGrowsWithSince(t *testing.T) {
	one, two, three := int64(1), int64(2), int64(3)
	more := Kernel{Slab: &three, Buffers: &two}.Since(Kernel{Slab: &one, Buffers: &one})
	require.NotNil(t, more)
	assert.Equal(t, int64(3), *more)
	assert.Nil(t, Kernel{Slab: &three}.Since(Kernel{Slab: &one}))
	if runtime.GOOS == "linux" {
		k := ReadKernel()
		require.NotNil(t, k.Slab)
		require.NotNil(t, k.Buffers)
		assert.Positive(t, *k.Slab)
	}
}

func TestPauses(t *testing.T) {
	m := StartPauses()
	assert.Zero(t, m.Read())
	for range 3 {
		runtime.GC()
	}
	p := m.Read()
	assert.GreaterOrEqual(t, p.Cycles, uint64(3))
	assert.Positive(t, p.P99)
	assert.GreaterOrEqual(t, p.Max, p.P99)
}

// kept is what the leaks of the tests keep.
var kept [][]byte

//go:noinline
func leaksHeap() {
	for range 10_000 {
		kept = append(kept, make([]byte, 64))
	}
}

//go:noinline
func leaksGoroutine(end chan struct{}) { <-end }

func TestCensusNamesWhatGrew(t *testing.T) {
	defer FineProfile()()
	before := TakeCensus()
	for range 100 {
		defer func(c Census) { assert.NotNil(t, c.heap) }(TakeCensus()) // kept until the end
	}
	assert.Empty(t, TakeCensus().Since(before).Goroutine)
	assert.NotContains(t, TakeCensus().Since(before).Heap, "census.go")
	leaksHeap()
	end := make(chan struct{})
	defer close(end)
	for range 10 {
		go leaksGoroutine(end)
	}
	var open []*os.File
	for range 3 {
		f, err := os.Open(os.DevNull)
		require.NoError(t, err)
		open = append(open, f)
	}
	g := TakeCensus().Since(before)
	assert.Contains(t, g.Heap, "leaksHeap (holding_test.go:")
	assert.Contains(t, g.Goroutine, "leaksGoroutine")
	if runtime.GOOS == "linux" {
		assert.Equal(t, os.DevNull, g.Descriptor)
	}
	for _, f := range open {
		require.NoError(t, f.Close())
	}
	kept = nil
}
