package wait

import (
	"bytes"
	"context"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"time"
)

// GoroutineID is the number of the calling goroutine, as it stands in a stack
// dump.
func GoroutineID() string {
	var buf [64]byte
	text := string(buf[:runtime.Stack(buf[:], false)])
	return strings.Fields(text)[1]
}

// Parked waits until a goroutine is blocked, as a waiter is once it stands in
// line, or has ended; it returns false if ctx ends first. Twice in a row it
// must be seen so: once may be a lock that it waits for on the way.
func Parked(ctx context.Context, id string) bool {
	pause := time.NewTicker(100 * time.Microsecond)
	defer pause.Stop()
	for seen := 0; seen < 2; {
		select {
		case <-ctx.Done():
			return false
		case <-pause.C:
		}
		if blocked(id) {
			seen++
		} else {
			seen = 0
		}
	}
	return true
}

// UntilParked has work done on a goroutine of a group, and waits until that is
// blocked or has ended. It returns false if ctx ends first.
func UntilParked(ctx context.Context, group *sync.WaitGroup, work func()) bool {
	id := make(chan string, 1)
	group.Go(func() {
		id <- GoroutineID()
		work()
	})
	return Parked(ctx, <-id)
}

// dumps are used again: one takes longer to be allocated than to be written.
var dumps = sync.Pool{New: func() any { return new([1 << 20]byte) }}

func blocked(id string) bool {
	dump := dumps.Get().(*[1 << 20]byte)
	defer dumps.Put(dump)
	buf := dump[:runtime.Stack(dump[:], true)]
	_, rest, ok := bytes.Cut(buf, []byte("goroutine "+id+" ["))
	if !ok {
		return true // ended
	}
	for _, prefix := range onItsWay {
		if bytes.HasPrefix(rest, prefix) {
			return false
		}
	}
	return true
}

// onItsWay are the states, by their beginnings, of goroutines that go on by
// themselves: running and runnable, those that help the collector, and those
// that are being moved.
var onItsWay = [][]byte{[]byte("run"), []byte("GC "), []byte("preempted"), []byte("copystack")}

// AtRest waits until all goroutines of the process are blocked but the caller, for
// a second at most: some may never be.
func AtRest(ctx context.Context) {
	samples := []metrics.Sample{
		{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/goroutines/running:goroutines"},
	}
	seen := 0
	Until(ctx, time.Second, func() bool {
		metrics.Read(samples)
		if samples[0].Value.Uint64() == 0 && samples[1].Value.Uint64() <= 1 {
			seen++
		} else {
			seen = 0
		}
		return seen == 3 // on the way from one state to the next it is in neither
	})
}
