package measure

import (
	"math"
	"os"
	"runtime/metrics"
	"sync"
	"time"
)

// Memory is what a process held, in bytes. A nil figure was not to be had on
// this system.
type Memory struct {
	Heap   int64  `json:"heap_bytes"`   // live objects and those not yet collected
	Stacks int64  `json:"stacks_bytes"` // goroutine stacks
	RSS    *int64 `json:"rss_bytes"`    // resident in memory, as the kernel counts
	Cgroup *int64 `json:"cgroup_bytes"` // of the whole control group, files included
	// Foreign is in memory, in no file, and beyond all that the runtime has ever asked
	// for, as by mmap or cgo; 0 where the kernel does not tell.
	Foreign int64 `json:"foreign_bytes"`
}

// status is the kernel's account of this process.
const status = "/proc/self/status"

// ReadMemory reads the figures of this instant.
func ReadMemory() Memory {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/total:bytes"},
	}
	metrics.Read(samples)
	m := Memory{
		Heap:   int64(samples[0].Value.Uint64()),
		Stacks: int64(samples[1].Value.Uint64()),
		RSS:    kilobytes(status, "VmRSS"),
		Cgroup: cgroupUse(system),
	}
	if anonymous := kilobytes(status, "RssAnon"); anonymous != nil {
		// What was given back to the kernel counts too: huge pages may bring it back.
		m.Foreign = max(*anonymous-int64(samples[2].Value.Uint64()), 0)
	}
	return m
}

// MemoryUse is what a Sampler saw.
type MemoryUse struct {
	Before Memory `json:"before"`
	After  Memory `json:"after"`
	// Peak holds the largest sample of each figure; the kernel's own mark
	// stands in for RSS where it can be reset, since nothing slips between two
	// samples there.
	Peak Memory `json:"peak"`
	// Subject is what of it was the subject's; nil where nobody watched.
	Subject *Subject `json:"subject,omitempty"`
	// Series is the course of it in at most mostReadings parts, each with the
	// largest sample of each figure.
	Series   []MemoryAt `json:"series,omitempty"`
	Samples  int        `json:"samples"`
	GCCycles uint64     `json:"gc_cycles"`
	GCPause  float64    `json:"gc_pause_p99_s"` // upper bound of the bucket; 0 without a cycle
}

// MemoryAt is what was held at an instant, in seconds since the series began.
type MemoryAt struct {
	At float64 `json:"at_s"`
	Memory
}

// mostReadings bounds a series, however long it is.
const mostReadings = 200

// Sampler follows the memory of this process from Start to Stop.
type Sampler struct {
	began  time.Time
	use    MemoryUse
	every  int  // samples that make one part of the series
	marked bool // the kernel's high-water mark was reset at the start
	gc     gcState
	watch  *Watch // nil if nobody asks whose it is
	stop   chan struct{}
	done   sync.WaitGroup
}

// StartSampler samples at once, every interval, and when stopped. The series counts from
// began. A watch that is not nil sees every sample.
func StartSampler(began time.Time, interval time.Duration, watch *Watch) *Sampler {
	s := &Sampler{began: began, every: 1, stop: make(chan struct{}), gc: readGC(), watch: watch}
	// "5" resets VmHWM to the present RSS; see proc(5), clear_refs.
	s.marked = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil
	s.use.Before = ReadMemory()
	s.add(s.use.Before)
	s.done.Go(func() {
		clock := time.NewTicker(interval)
		defer clock.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-clock.C:
				s.add(ReadMemory())
			}
		}
	})
	return s
}

func (s *Sampler) add(m Memory) {
	s.use.Peak = s.use.Peak.largest(m)
	if s.use.Samples%s.every == 0 {
		if len(s.use.Series) == mostReadings {
			s.thin()
		}
		s.use.Series = append(s.use.Series, MemoryAt{time.Since(s.began).Seconds(), m})
	} else {
		last := &s.use.Series[len(s.use.Series)-1]
		last.Memory = last.largest(m)
	}
	s.use.Samples++
	if s.watch != nil {
		seen := s.watch.See(m, time.Since(s.began))
		s.use.Subject = &seen
	}
}

// thin makes one of every two parts of the series, which is full. Its number of
// parts is even, so that the next sample begins one.
func (s *Sampler) thin() {
	half := s.use.Series[:0]
	for i := 0; i < len(s.use.Series); i += 2 {
		one := s.use.Series[i]
		one.Memory = one.largest(s.use.Series[i+1].Memory)
		half = append(half, one)
	}
	s.use.Series = half
	s.every *= 2
}

// largest takes the larger of each figure.
func (m Memory) largest(n Memory) Memory {
	return Memory{
		Heap: max(m.Heap, n.Heap), Stacks: max(m.Stacks, n.Stacks), Foreign: max(m.Foreign, n.Foreign),
		RSS: larger(m.RSS, n.RSS), Cgroup: larger(m.Cgroup, n.Cgroup),
	}
}

func larger(a, b *int64) *int64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// Stop takes the last sample and returns what was seen. It is called once.
func (s *Sampler) Stop() MemoryUse {
	close(s.stop)
	s.done.Wait()
	s.use.After = ReadMemory()
	s.add(s.use.After)
	if s.marked {
		s.use.Peak.RSS = larger(s.use.Peak.RSS, kilobytes(status, "VmHWM"))
	}
	gc := readGC()
	s.use.GCCycles = gc.cycles - s.gc.cycles
	s.use.GCPause = gc.pause(s.gc, 0.99)
	return s.use
}

// gcState is a reading of the runtime's account of garbage collection.
type gcState struct {
	cycles uint64
	pauses metrics.Float64Histogram
}

func readGC() gcState {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(samples)
	return gcState{samples[0].Value.Uint64(), *samples[1].Value.Float64Histogram()}
}

// pause is the upper bound of the bucket below which that share of the pauses
// since before lie, in seconds; 0 if there was none.
func (g gcState) pause(before gcState, share float64) float64 {
	total := uint64(0)
	for i, n := range g.pauses.Counts {
		total += n - before.pauses.Counts[i]
	}
	seen := uint64(0)
	for i, n := range g.pauses.Counts {
		seen += n - before.pauses.Counts[i]
		if total > 0 && float64(seen) >= share*float64(total) {
			if upper := g.pauses.Buckets[i+1]; !math.IsInf(upper, 1) {
				return upper
			}
			return g.pauses.Buckets[i]
		}
	}
	return 0
}
