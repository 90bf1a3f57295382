package measure

import (
	"io"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
)

// Holding is what this process holds at an instant. A nil figure was not to be
// had on this system.
type Holding struct {
	Heap        int64  `json:"heap_bytes"`   // reachable objects: what a collection left
	Stacks      int64  `json:"stacks_bytes"` // goroutine stacks
	RSS         *int64 `json:"rss_bytes"`    // resident in memory, without pages of files
	PeakRSS     *int64 `json:"peak_rss_bytes"`
	Goroutines  int    `json:"goroutines"`
	Descriptors *int   `json:"descriptors"`
}

// ReadHolding collects garbage and reads what is left. Heap is what the
// collector found reachable, and so has neither garbage in it nor the sawtooth
// between two collections.
func ReadHolding() Holding {
	runtime.GC()
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
	metrics.Read(samples)
	return Holding{
		Heap:        int64(samples[0].Value.Uint64()),
		Stacks:      int64(samples[1].Value.Uint64()),
		RSS:         anonymous(),
		PeakRSS:     kilobytes(status, "VmHWM"),
		Goroutines:  goroutines(),
		Descriptors: CountDescriptors(),
	}
}

// anonymous is what of this process is in memory and in no file: exactly, by
// its page tables, where the kernel adds those up (smaps_rollup, since Linux
// 4.14), and else as it is counted.
func anonymous() *int64 {
	if n := kilobytes("/proc/self/smaps_rollup", "Anonymous"); n != nil {
		return n
	}
	return kilobytes(status, "RssAnon")
}

// CountDescriptors counts the open descriptors of this process; nil where the system
// does not tell. Linux has said
// so as the size of a folder since 6.2; before that the folder must be read.
func CountDescriptors() *int {
	const dir = "/proc/self/fd"
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	if n := int(info.Size()); n > 0 {
		return &n
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }() // it was only read
	n := -1                               // the one that reads
	for {
		names, err := folder.Readdirnames(1000)
		n += len(names)
		if err == io.EOF {
			return &n
		}
		if err != nil {
			return nil
		}
	}
}

// Kernel is what the kernel of this machine holds for all processes together,
// in bytes. A nil figure was not to be had.
type Kernel struct {
	Slab    *int64 `json:"slab_bytes"`           // objects: sockets, files, inodes and whatever else
	Buffers *int64 `json:"socket_buffers_bytes"` // data in TCP sockets
}

// KernelSource says where the figures of ReadKernel come from.
const KernelSource = "Slab in /proc/meminfo and TCP mem in /proc/net/sockstat, of the whole machine"

// ReadKernel reads the figures of this instant.
func ReadKernel() Kernel {
	k := Kernel{Slab: kilobytes("/proc/meminfo", "Slab")}
	fields := strings.Fields(procField("/proc/net/sockstat", "TCP"))
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != "mem" {
			continue
		}
		if pages, err := strconv.ParseInt(fields[i+1], 10, 64); err == nil {
			bytes := pages * int64(os.Getpagesize())
			k.Buffers = &bytes
		}
	}
	return k
}

// Since is how much more k is than an earlier reading, if both are known.
func (k Kernel) Since(before Kernel) *int64 {
	if k.Slab == nil || k.Buffers == nil || before.Slab == nil || before.Buffers == nil {
		return nil
	}
	more := *k.Slab - *before.Slab + *k.Buffers - *before.Buffers
	return &more
}

// Pauses are the stops of the world for garbage collection over a stretch of
// time. The figures are upper bounds of the runtime's buckets, in seconds; 0
// where there was no collection.
type Pauses struct {
	Cycles uint64  `json:"gc_cycles"`
	P99    float64 `json:"gc_pause_p99_s"`
	Max    float64 `json:"gc_pause_max_s"`
}

// PauseMeter follows the pauses from StartPauses on.
type PauseMeter struct{ before gcState }

// StartPauses begins a stretch.
func StartPauses() PauseMeter { return PauseMeter{readGC()} }

// Read returns the pauses so far.
func (m PauseMeter) Read() Pauses {
	now := readGC()
	return Pauses{now.cycles - m.before.cycles, now.pause(m.before, 0.99), now.pause(m.before, 1)}
}
