package monitor

// best is a segment tree over places, each of which may hold a number. It finds
// the one with the least key within a stretch of places.
type best struct {
	size  int
	nodes []int32 // -1: none
	key   func(int) int64
}

func newBest(places int, key func(int) int64) *best {
	size := 1
	for size < places {
		size *= 2
	}
	b := &best{size: size, nodes: make([]int32, 2*size), key: key}
	for i := range b.nodes {
		b.nodes[i] = -1
	}
	return b
}

func (b *best) at(place int) int { return int(b.nodes[b.size+place]) }

func (b *best) put(place, v int) { b.set(place, int32(v)) }

func (b *best) drop(place int) { b.set(place, -1) }

func (b *best) set(place int, v int32) {
	i := b.size + place
	b.nodes[i] = v
	for i /= 2; i > 0; i /= 2 {
		b.nodes[i] = b.lesser(b.nodes[2*i], b.nodes[2*i+1])
	}
}

func (b *best) lesser(v, w int32) int32 {
	if v < 0 || w >= 0 && b.key(int(w)) < b.key(int(v)) {
		return w
	}
	return v
}

// within returns the number with the least key at the places from, ..., to-1,
// or -1.
func (b *best) within(from, to int) int {
	found := int32(-1)
	for l, r := b.size+from, b.size+to; l < r; l, r = l/2, r/2 {
		if l%2 == 1 {
			found = b.lesser(found, b.nodes[l])
			l++
		}
		if r%2 == 1 {
			r--
			found = b.lesser(found, b.nodes[r])
		}
	}
	return int(found)
}

// cover is a segment tree over gaps that counts what covers each.
type cover struct {
	size  int
	nodes []covered
}

// covered is what a node knows of its gaps: what was added to all of them, and
// with that the least and the greatest count among them.
type covered struct{ added, least, most int32 }

func newCover(gaps int) cover {
	size := 1
	for size < gaps {
		size *= 2
	}
	return cover{size, make([]covered, 2*size)}
}

// add changes the counts of the gaps from, ..., to-1.
func (c cover) add(from, to int, n int32) { c.addIn(1, 0, c.size, from, to, n) }

func (c cover) addIn(node, low, high, from, to int, n int32) {
	switch {
	case to <= low || high <= from:
		return
	case from <= low && high <= to:
		c.nodes[node].added += n
		c.nodes[node].least += n
		c.nodes[node].most += n
		return
	}
	middle := (low + high) / 2
	c.addIn(2*node, low, middle, from, to, n)
	c.addIn(2*node+1, middle, high, from, to, n)
	l, r := c.nodes[2*node], c.nodes[2*node+1]
	c.nodes[node].least = c.nodes[node].added + min(l.least, r.least)
	c.nodes[node].most = c.nodes[node].added + max(l.most, r.most)
}

// next returns the first of the gaps from, ..., to-1 that is covered, or is
// not, and to if there is none.
func (c cover) next(from, to int, is bool) int { return c.nextIn(1, 0, c.size, from, to, 0, is) }

func (c cover) nextIn(node, low, high, from, to int, above int32, is bool) int {
	n := c.nodes[node]
	if high <= from || to <= low || is && above+n.most == 0 || !is && above+n.least > 0 {
		return to
	}
	if high-low == 1 {
		return low
	}
	middle := (low + high) / 2
	if at := c.nextIn(2*node, low, middle, from, to, above+n.added, is); at < to {
		return at
	}
	return c.nextIn(2*node+1, middle, high, from, to, above+n.added, is)
}
