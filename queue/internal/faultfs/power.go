package faultfs

import (
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

const (
	sector = 512  // is written in one piece, or torn
	page   = 4096 // what one write may spoil
)

// PowerFailure leaves what was synced, and of what was not any part, drawn by
// random.
func (f *FS) PowerFailure(random *rand.Rand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.locks)
	for _, m := range f.moves {
		if random.IntN(2) == 0 {
			m.apply(f.durable)
		}
	}
	f.moves = nil
	for _, path := range paths(f.durable) { // folders come before what is in them
		if dir := filepath.Dir(path); dir != filepath.Dir(dir) && f.durable[dir] == nil {
			delete(f.durable, path)
		}
	}
	f.names = maps.Clone(f.durable)
	failed := make(map[*node]bool)
	for _, path := range paths(f.names) {
		if n := f.names[path]; !failed[n] { // it may have two names
			failed[n] = true
			n.powerFailure(random)
		}
	}
}

func (n *node) powerFailure(random *rand.Rand) {
	size := len(n.synced)
	if grown := len(n.data) - size; grown > 0 {
		size += []int{0, grown, random.IntN(grown + 1)}[random.IntN(3)]
	}
	left := make([]byte, size)
	copy(left, n.synced)
	spoiled := make(map[int]bool)
	for from := 0; from < size && len(n.writes) > 0; from += sector {
		hits := slices.DeleteFunc(slices.Clone(n.writes), func(w write) bool {
			return w.at >= from+sector || w.at+len(w.data) <= from
		})
		if len(hits) == 0 {
			continue
		}
		done := random.IntN(len(hits) + 1)
		for i, w := range hits[:done] {
			at := max(from, w.at)
			if at >= size {
				continue
			}
			part := w.data[at-w.at : min(from+sector, w.at+len(w.data))-w.at]
			if i == done-1 && random.IntN(4) == 0 { // torn
				part = part[:random.IntN(len(part)+1)]
			}
			copy(left[at:], part)
		}
		if random.IntN(64) == 0 {
			spoiled[from/page] = true
		}
	}
	for _, p := range slices.Sorted(maps.Keys(spoiled)) {
		for i := p * page; i < min((p+1)*page, size); i++ {
			left[i] = byte(random.Uint32())
		}
	}
	n.data, n.synced, n.writes = left, slices.Clone(left), nil
}
