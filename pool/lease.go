package pool

// Lease is the loan of one connection to one holder. It is a small value; a
// copy of it is the same loan. Its methods may be called from any goroutine,
// but the loan is ended exactly once: ending it again panics, since by then the
// connection may be somebody else's.
type Lease[C any] struct {
	slot *slot[C]
	id   uint64
}

// Conn returns the connection lent. It must not be used after the lease ended.
func (l Lease[C]) Conn() C { return l.slot.conn }

// Release ends the lease and keeps the connection for the next holder, unless
// it is past MaxLifetime or the pool is closed: then it is closed first.
func (l Lease[C]) Release() {
	s := l.slot
	p := s.pool
	p.mu.Lock()
	l.check()
	if s.expires > 0 && p.now >= s.expires {
		p.drop(s)
		return
	}
	s.since = p.now
	p.give(s)
}

// Discard ends the lease and closes the connection, because it is broken or in
// an unknown state. The room it leaves goes to the next in line.
func (l Lease[C]) Discard() {
	p := l.slot.pool
	p.mu.Lock()
	l.check()
	p.count.Discarded++
	p.drop(l.slot)
}

// check panics, with the lock released, if the lease was ended before.
func (l Lease[C]) check() {
	if l.slot.lease != l.id {
		l.slot.pool.mu.Unlock()
		panic("pool: lease ended twice")
	}
}

// drop closes the connection of s outside the lock and then gives its room
// away. It is called with the lock held and returns with it released.
func (p *Pool[C]) drop(s *slot[C]) {
	s.lease++ // dead from here on, though not given away yet
	p.mu.Unlock()
	defer func() { // also where Close panics
		p.mu.Lock()
		p.give(s)
	}()
	p.disconnect(s)
}
