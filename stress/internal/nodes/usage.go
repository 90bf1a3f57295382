package nodes

import (
	"runtime"
	"sync"
	"time"

	"tensile/stress/measure"
)

// Usage is what a node process takes, at an instant.
type Usage struct {
	Goroutines  int
	Descriptors int   // -1 where the system does not tell
	Memory      int64 // bytes of heap and stacks, without garbage
}

// usage answers what the process holds.
func (c *child) usage(Order) (any, error) {
	h := Usage{Goroutines: runtime.NumGoroutine(), Descriptors: -1}
	if n := measure.CountDescriptors(); n != nil {
		h.Descriptors = *n
	}
	runtime.GC()
	m := measure.ReadMemory()
	h.Memory = m.Heap + m.Stacks
	return h, nil
}

// peaks is the most that the process holds, while it is followed.
type peaks struct {
	mu   sync.Mutex
	stop func() Usage // nil while it is not
}

const peakEvery = 2 * time.Millisecond

// follow begins to follow what the process holds.
func (c *child) follow(Order) (any, error) {
	c.peaks.end()
	end, done := make(chan struct{}), make(chan Usage, 1)
	c.peaks.mu.Lock()
	defer c.peaks.mu.Unlock()
	c.peaks.stop = func() Usage { close(end); return <-done }
	go func() { done <- mostUsed(end) }()
	return nil, nil
}

// followed answers the most of each since then.
func (c *child) followed(Order) (any, error) { return c.peaks.end(), nil }

func (p *peaks) end() (most Usage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		most = p.stop()
		p.stop = nil
	}
	return most
}

func mostUsed(end <-chan struct{}) Usage {
	clock := time.NewTicker(peakEvery)
	defer clock.Stop()
	most := Usage{Descriptors: -1}
	for {
		m := measure.ReadMemory()
		most.Memory = max(most.Memory, m.Heap+m.Stacks)
		most.Goroutines = max(most.Goroutines, runtime.NumGoroutine())
		select {
		case <-end:
			return most
		case <-clock.C:
		}
	}
}
