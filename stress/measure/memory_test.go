package measure

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const mb = 1 << 20

// TestSamplerSeesAnAllocation that is there only between the start and the end,
// and no longer than one sample.
func TestSamplerSeesAnAllocation(t *testing.T) {
	const size = 64 * mb
	debug.FreeOSMemory()
	synctest.Test(t, func(t *testing.T) {
		s := StartSampler(time.Now(), time.Second, nil)
		data := make([]byte, size)
		for at := 0; at < len(data); at += 4096 {
			data[at] = 1 // the kernel gives a page when it is written to
		}
		time.Sleep(1500 * time.Millisecond) // one tick
		synctest.Wait()
		runtime.KeepAlive(data)
		data = nil
		runtime.GC()
		use := s.Stop()

		assert.Equal(t, 3, use.Samples, "at the start, at the tick, at the end")
		seen := use.Peak.Heap - use.Before.Heap
		assert.GreaterOrEqual(t, seen, int64(size-mb))
		assert.Less(t, seen, int64(size+16*mb))
		assert.Less(t, use.After.Heap-use.Before.Heap, int64(16*mb), "it was given back")
		if use.Before.RSS != nil {
			require.NotNil(t, use.Peak.RSS)
			assert.Greater(t, *use.Peak.RSS-*use.Before.RSS, int64(size/2), "also by the kernel")
			assert.GreaterOrEqual(t, *use.Peak.RSS, *use.After.RSS)
		}
		assert.Positive(t, use.GCCycles)
		assert.Positive(t, use.GCPause)
		assert.Less(t, use.GCPause, 10.0, "seconds")
	})
}

// TestSeriesOfMemoryIsBounded and keeps the peaks.
func TestSeriesOfMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{1, mostReadings, mostReadings + 1, 2*mostReadings + 3, 7777} {
			s := &Sampler{began: time.Now(), every: 1}
			peaks := map[int]int64{n / 2: 1 << 30, n - 1: 1 << 29}
			for i := range n {
				s.add(Memory{Heap: max(peaks[i], int64(i)), Stacks: 5})
				time.Sleep(time.Second)
			}
			series := s.use.Series
			assert.Equal(t, n, s.use.Samples)
			assert.LessOrEqual(t, len(series), mostReadings)
			assert.GreaterOrEqual(t, len(series), min(n, mostReadings/2))
			assert.Zero(t, series[0].At)
			found := 0
			for i, at := range series {
				assert.Equal(t, float64(i*s.every), at.At, "%d samples", n)
				if at.Heap >= 1<<29 {
					found++
				}
			}
			assert.Equal(t, min(n, 2), found, "of %d samples both peaks are seen", n)
		}
	})
}

// TestPeakBetweenSamples is seen by the kernel's mark where that can be reset.
func TestPeakBetweenSamples(t *testing.T) {
	debug.FreeOSMemory() // what an earlier test left would be used again
	s := StartSampler(time.Now(), time.Hour, nil)
	if !s.marked {
		s.Stop()
		t.Skip("the kernel's mark can not be reset here")
	}
	data := make([]byte, 64*mb)
	for at := 0; at < len(data); at += 4096 {
		data[at] = 1
	}
	runtime.KeepAlive(data)
	use := s.Stop()
	assert.Equal(t, 2, use.Samples)
	assert.Greater(t, *use.Peak.RSS-*use.Before.RSS, int64(32*mb))
}

func TestStacksAreSeen(t *testing.T) {
	const n = 2000
	before := ReadMemory()
	var parked, all sync.WaitGroup
	until := make(chan struct{})
	parked.Add(n)
	for range n {
		all.Go(func() {
			var frame [16 << 10]byte
			parked.Done()
			<-until
			runtime.KeepAlive(&frame)
		})
	}
	parked.Wait()
	grown := ReadMemory().Stacks - before.Stacks
	close(until)
	all.Wait()
	assert.Greater(t, grown, int64(n*16<<10))
	assert.Less(t, grown, int64(n*64<<10))
}

// TestMemoryThatIsNotKnown is nil, and never the larger one.
func TestMemoryThatIsNotKnown(t *testing.T) {
	one, two := int64(1), int64(2)
	assert.Nil(t, larger(nil, nil))
	assert.Equal(t, &one, larger(nil, &one))
	assert.Equal(t, &one, larger(&one, nil))
	assert.Equal(t, &two, larger(&one, &two))
	assert.Equal(t, &two, larger(&two, &one))
	assert.Nil(t, kilobytes("/proc/self/status", "NoSuchLine"))
	assert.Nil(t, kilobytes("/no/such/file", "VmRSS"))
}
