package pool

// Stats is a consistent picture of a pool at one instant.
type Stats struct {
	MaxSize int // the bound
	Open    int // connections idle, or lent and being dialled or closed
	Idle    int // connections ready to be lent
	InUse   int // slots lent out, being dialled or being closed
	Waiting int // callers waiting in Acquire

	// Totals since New.
	Acquired   uint64 // slots handed to callers
	Waited     uint64 // callers that had to wait
	Cancelled  uint64 // callers whose context ended while they waited
	Overflowed uint64 // callers turned away with ErrOverflow
	Dialled    uint64 // connections opened
	Failed     uint64 // dials that returned an error
	Discarded  uint64 // connections given up by their holder
	Expired    uint64 // idle connections closed for MaxIdleTime or MaxLifetime
}

// Stats returns the numbers of this instant.
func (p *Pool[C]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.count
	s.MaxSize = p.cfg.MaxSize
	s.Idle = len(p.idle)
	s.InUse = p.out
	s.Open = s.Idle + s.InUse
	s.Waiting = p.waiters.len
	return s
}
