package classics

import (
	"sync"
	"sync/atomic"
)

// slots is a stack of free slots, linked by index. Its head is changed by
// compare-and-swap: between look and swap, the same slot may have gone and come
// back with another successor. The twin counts the changes beside the index.
type slots struct {
	head  atomic.Uint64 // index, and above bit 32 the count
	next  [4]atomic.Uint64
	count bool
}

const indexBits = 1<<32 - 1

func (s *slots) swap(old, index uint64) bool {
	if s.count {
		index |= (old>>32 + 1) << 32
	}
	return s.head.CompareAndSwap(old, index)
}

// take returns a slot from 1, or 0 if none is free.
func (s *slots) take() uint64 {
	for {
		old := s.head.Load()
		index := old & indexBits
		if index == 0 {
			return 0
		}
		if s.swap(old, s.next[index].Load()) {
			return index
		}
	}
}

func (s *slots) give(index uint64) {
	for {
		old := s.head.Load()
		s.next[index].Store(old & indexBits)
		if s.swap(old, index) {
			return
		}
	}
}

func aba(sound bool) string {
	s := &slots{count: sound}
	s.give(3)
	s.give(2)
	s.give(1)
	var holders [4]atomic.Int32
	var twice atomic.Bool
	take := func() uint64 {
		index := s.take()
		if index > 0 && holders[index].Add(1) > 1 {
			twice.Store(true)
		}
		return index
	}
	var wg sync.WaitGroup
	wg.Go(func() { take() })
	wg.Go(func() {
		first := take()
		take() // the second stays away
		holders[first].Add(-1)
		s.give(first)
		take()
		take()
	})
	wg.Wait()
	return unless(!twice.Load(), "a slot has two holders")
}

// A reference is counted up from zero, after the last holder has let go and
// disposed of the thing.
func resurrection(sound bool) string {
	var references atomic.Int32
	var gone, dead atomic.Bool
	references.Store(1)
	acquire := func() bool {
		if !sound {
			return references.Add(1) > 0
		}
		for {
			n := references.Load()
			if n == 0 {
				return false
			}
			if references.CompareAndSwap(n, n+1) {
				return true
			}
		}
	}
	release := func() {
		if references.Add(-1) == 0 {
			gone.Store(true)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if acquire() {
			dead.Store(gone.Load())
			release()
		}
	})
	wg.Go(release)
	wg.Wait()
	return unless(!dead.Load(), "a thing is in use that was disposed of")
}
