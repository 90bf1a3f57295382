package pool

import (
	"math/rand/v2"
	"sync"
	"time"
)

// ticks says how many ticks make d, which is above 0, rounded up.
func (p *Pool[C]) ticks(d time.Duration) int64 {
	return int64((d-1)/p.tick) + 1
}

// tickNow is the tick of this instant, where there are ticks. It reads the clock.
func (p *Pool[C]) tickNow() int64 {
	if p.tick == 0 {
		return 0
	}
	return int64(time.Since(p.began) / p.tick)
}

// expiry draws the tick at which a connection dialled now is too old.
func (p *Pool[C]) expiry(now int64) int64 {
	life := p.cfg.MaxLifetime
	if life == 0 {
		return 0
	}
	jitter := time.Duration(rand.Int64N(int64(life)/10 + 1))
	return now + max(p.ticks(life-jitter), 1)
}

// advance sets the tick with which released connections are stamped. If ticks were missed,
// as on a busy machine, a connection with the last stamp may have been released only just
// now, and must not count as older.
func (p *Pool[C]) advance(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now > p.now+1 {
		for _, s := range p.idle {
			if s.since == p.now {
				s.since = now - 1
			}
		}
	}
	p.now = now
}

// keep advances the time and does the housekeeping at every tick. It ends when the pool is
// closed.
func (p *Pool[C]) keep() {
	defer close(p.stopped)
	// Filling waits for the network, but time must not: a connection exceeds its limits
	// even while a dial hangs.
	var filling sync.WaitGroup
	filling.Go(func() {
		for {
			select {
			case <-p.ctx.Done():
				return
			case <-p.due:
				p.fill()
			}
		}
	})
	defer filling.Wait()
	p.fillSoon() // MinIdle is filled before the first Acquire

	clock := time.NewTicker(p.tick)
	defer clock.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-clock.C:
			p.advance(p.tickNow())
			p.expire()
			p.fillSoon()
		}
	}
}

// fillSoon has MinIdle looked after.
func (p *Pool[C]) fillSoon() {
	select {
	case p.due <- struct{}{}:
	default: // still at the last
	}
}

// expire closes idle connections that are past a limit. Each is taken out first, and its
// room is given back only once it is closed.
func (p *Pool[C]) expire() {
	p.mu.Lock()
	var old []*slot[C]
	kept := p.idle[:0]
	for _, s := range p.idle {
		if p.pastLimit(s) {
			p.out++
			old = append(old, s)
		} else {
			kept = append(kept, s)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.mu.Unlock()

	p.each(old, func(s *slot[C]) {
		p.disconnect(s)
		p.mu.Lock()
		p.count.Expired++
		p.give(s)
		p.fillSoon()
	})
}

// closers is how many connections are closed at once, of those that are closed
// together.
const closers = 256

// each does something with slots that are out, on goroutines of their own: what is
// slow to close holds its own place and not those of the others. Their being out has
// Close wait for them.
func (p *Pool[C]) each(slots []*slot[C], do func(*slot[C])) {
	n := min(len(slots), closers)
	for i := range n {
		go func() {
			for ; i < len(slots); i += n {
				do(slots[i])
			}
		}()
	}
}

func (p *Pool[C]) pastLimit(s *slot[C]) bool {
	if s.expires > 0 && p.now >= s.expires {
		return true
	}
	return p.cfg.MaxIdleTime > 0 && p.now-s.since >= p.ticks(p.cfg.MaxIdleTime)
}

// fill dials until MinIdle connections are idle or there is no more room.
func (p *Pool[C]) fill() {
	for {
		p.mu.Lock()
		n := len(p.vacant)
		if p.closed || n == 0 || len(p.idle) >= p.cfg.MinIdle {
			p.mu.Unlock()
			return
		}
		s := p.vacant[n-1]
		p.vacant = p.vacant[:n-1]
		p.out++
		p.mu.Unlock()

		if p.connect(p.ctx, s) != nil {
			p.abandon(s)
			return
		}
		p.mu.Lock()
		p.give(s)
	}
}
