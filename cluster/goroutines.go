package cluster

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
)

// goroutines are those that a node has started. Functions of the user's run on
// some of them, and may close the node: so it is known which they are, and none
// waits for itself.
type goroutines struct {
	running sync.WaitGroup
	mu      sync.Mutex
	ids     map[uint64]struct{}
}

// Go runs f on a goroutine.
func (g *goroutines) Go(f func()) {
	g.running.Go(func() {
		id := goroutineID()
		g.mu.Lock()
		if g.ids == nil {
			g.ids = make(map[uint64]struct{})
		}
		g.ids[id] = struct{}{}
		g.mu.Unlock()
		defer func() {
			g.mu.Lock()
			delete(g.ids, id)
			g.mu.Unlock()
		}()
		f()
	})
}

// Wait returns when all have ended.
func (g *goroutines) Wait() { g.running.Wait() }

// current tells whether the calling goroutine is one of them.
func (g *goroutines) current() bool {
	id := goroutineID()
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.ids[id]
	return ok
}

// goroutineID reads the number of the calling goroutine where the runtime tells
// it: in the first line of its stack, "goroutine 7 [running]:".
func goroutineID() uint64 {
	var line [64]byte
	head := line[:runtime.Stack(line[:], false)]
	number, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("goroutine ")), []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		panic("cluster: a stack that begins with " + strconv.Quote(string(head)))
	}
	return id
}
