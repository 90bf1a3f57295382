package conntest

import (
	"context"
	"sync/atomic"
	"testing"
)

// ownHeap is what the heap of a process may have grown by for the runtime itself,
// in bytes: it makes threads when it needs them, with 5 KB each on the heap, and
// keeps them.
const ownHeap = 100_000

// release closes the servers, and looks for what they do not give back.
func (k *kit) release(ctx context.Context, _ *testing.T) {
	for _, d := range k.kinds {
		for _, h := range d.hosts {
			peak := &d.result.PeakRSS
			if !h.Serves {
				peak = &d.result.CallerPeakRSS
			}
			if rss := h.now.Now.PeakRSS; rss != nil && (*peak == nil || *rss > **peak) {
				*peak = rss
			}
			if held := h.now.Held; h.Serves && (d.result.Held == nil || held.Peak > d.result.Held.Peak) {
				d.result.Held = &held
			}
		}
	}
	var open atomic.Bool
	each(k.hosts((*kind).servers), func(h *host) {
		if err := h.ask(ctx, hostRequest{Do: doClose}); err != nil {
			k.Violate("close", "%v", err)
			open.Store(true)
		}
	})
	// Callers of a server that did not close would wait for their end in vain.
	if open.Load() || !k.all(ctx, k.hosts((*kind).callers), only(doFinish)) {
		return
	}
	for _, d := range k.kinds {
		k.sound(d, "close")
	}
	if !k.all(ctx, k.hosts((*kind).all), only(doAudit)) {
		return
	}
	most := 0.0
	for _, d := range k.kinds {
		for _, h := range d.hosts {
			l := h.now.Leaks
			k.left += l.Goroutines + l.Descriptors + l.Children
			if !l.None() {
				k.Violate("leaks", "%s: after close %s", h.name, l)
			}
			if !h.Serves {
				continue
			}
			base, after := h.now.Base.Heap, h.now.Now.Heap
			d.result.HeapBase += base
			d.result.HeapAfter += after
			most = max(most, 100*float64(after-base-ownHeap)/float64(base))
		}
	}
	k.Measured("heap_returned", most)
}
