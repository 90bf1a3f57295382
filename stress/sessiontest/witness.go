package sessiontest

import (
	"sync"
	"time"
)

// witnessPause is between two operations of the same caller.
const witnessPause = 5 * time.Millisecond

// watch has each node write a session of its own, one value after the other, and has all be read at
// one node after the other, so that what changes meets operations at every instant. Where something
// heals, nobody writes: what was on its way then must not be hidden by what comes after it. It
// returns what ends it.
func (w *world) watch(writes bool) (end func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	caller := func(next func(i int)) {
		all.Go(func() {
			defer w.k.Recovered("a caller")
			pause := time.NewTicker(witnessPause)
			defer pause.Stop()
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-w.Context().Done():
					return
				case <-pause.C:
					next(i)
				}
			}
		})
	}
	for i, s := range w.witness {
		if writes {
			caller(func(int) { w.do(w.Context(), s, w.k.nodes[i], operation{kind: opPut, value: w.value()}) })
		}
		caller(func(turn int) {
			w.do(w.Context(), s, w.k.nodes[(i+turn)%nodeCount], operation{kind: opGet})
		})
	}
	return sync.OnceFunc(func() {
		close(done)
		all.Wait()
	})
}

// witnessLife is longer than it takes to notice that a node is gone.
const witnessLife = 1200 * time.Millisecond

// lifePause is between two reads of a session that is to expire.
const lifePause = 20 * time.Millisecond

// live has a session be written that is to expire while a node is lost, and be read until it is gone.
// It returns what waits for that.
func (w *world) live() (wait func()) {
	s, at := w.fresh(), w.serving()
	ended := make(chan struct{})
	w.Go("live", func() {
		defer close(ended)
		w.do(w.Context(), s, at[0], operation{kind: opPut, value: w.value(), ttl: witnessLife})
		due, value := s.due()
		if value == "" {
			return // it may not have been written
		}
		for i := 0; time.Now().Before(due); i++ {
			w.do(w.Context(), s, at[i%len(at)], operation{kind: opGet})
			w.pause(lifePause)
		}
		w.expire(s, at)
		w.judge(s)
	})
	return func() { <-ended }
}

const (
	strikeWrites = 16
	strikeTime   = 3 * time.Millisecond
)

// strike does something to a node in the middle of writes there, of a session each: some are
// between any two of their steps.
func (w *world) strike(n *member, do func()) {
	var all sync.WaitGroup
	for i, s := range w.struck {
		all.Go(func() {
			time.Sleep(strikeTime * time.Duration(i) / strikeWrites)
			w.do(w.Context(), s, n, operation{kind: opPut, value: w.value()})
		})
	}
	time.Sleep(strikeTime / 2)
	do()
	all.Wait()
}
