package queue

import (
	"maps"
	"slices"

	"tensile/queue/wal"
)

// keeper is the goroutine that keeps a log small, and that tells those who wait
// when the log has failed.
type keeper struct {
	quit    chan struct{}
	stopped chan struct{}
}

func (k *keeper) stop() {
	close(k.quit)
	<-k.stopped
}

func (k *keeper) stopping() bool {
	select {
	case <-k.quit:
		return true
	default:
		return false
	}
}

func (b *Broker) openLog(o Options) error {
	b.keeper = keeper{make(chan struct{}), make(chan struct{})}
	b.found.Queues = make(map[string]int)
	state := make(replay)
	restored := false
	log, found, err := wal.Open(o.Dir, wal.Options{SegmentSize: o.SegmentSize, FS: o.FS, Preface: func() [][]byte {
		if !restored { // everything was replayed by now
			state.restore(b)
			restored = true
		}
		return b.preface()
	}}, state.apply)
	if err != nil {
		return err
	}
	b.log, b.found.Recovery = log, found
	go b.keep()
	return nil
}

// preface is what every segment begins with.
func (b *Broker) preface() (records [][]byte) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for q := range b.all.each {
		records = append(records, lastRecord(q))
	}
	return records
}

// keep runs until the broker is closed or its log fails.
func (b *Broker) keep() {
	defer close(b.keeper.stopped)
	for {
		select {
		case <-b.keeper.quit:
			return
		case <-b.log.Failed():
			b.failed()
			return
		case <-b.log.TrimDue():
			// What cannot be removed now stays until the next time; that the
			// log has failed is told above.
			_ = b.compact()
		}
	}
}

// failed turns all who wait away.
func (b *Broker) failed() {
	err := b.log.Err()
	b.mu.Lock()
	if b.err == nil {
		b.err = err
	}
	b.mu.Unlock()
	for _, q := range b.snapshot() {
		q.end(err)
	}
}

const (
	wasteFactor   = 2 // log by messages in it
	spareSegments = 4
	// moveBytes is how much is moved at once, so that the padding of a group
	// does not count. See Broker.compact.
	moveBytes = 64 << 10
)

// compact removes the segments that no message needs any more. As only the
// oldest can go, one message that nobody fetches would keep all that follow;
// so where the log is much larger than the messages in it, those of the oldest
// segments are written again at its end.
//
// That comes to an end: what was written again lies close together, and takes
// less than the factor says, whatever the number of queues, as a quarter of a
// segment at most is preface.
func (b *Broker) compact() error {
	for !b.keeper.stopping() {
		segments := b.log.Segments()
		last := segments[len(segments)-1]
		// Messages that come or move from here on are in the last of them or in
		// later ones. One that moves meanwhile may be seen in neither of its
		// places: Trim waits until what says so is on the disk.
		live, total := b.live()
		live[last] += 0
		first := slices.Min(slices.Collect(maps.Keys(live)))
		if err := b.log.Trim(first); err != nil {
			return err
		}
		s := b.log.Stats()
		average := s.Bytes / int64(s.Segments)
		if first >= last || s.Bytes <= wasteFactor*total+spareSegments*average {
			return nil
		}
		if err := b.move(oldest(live, segments, max(moveBytes, average))); err != nil {
			return err
		}
	}
	return nil
}

// live is how many bytes the messages of each segment take in the log, and all
// of them together.
func (b *Broker) live() (segments map[uint64]int64, total int64) {
	segments = make(map[uint64]int64)
	for _, q := range b.snapshot() {
		q.mu.Lock()
		for m := range q.messages {
			size := wal.RecordSize(len(q.publishRecord(m.id, m.attempts)) + len(m.body))
			segments[m.segment] += size
			total += size
		}
		q.mu.Unlock()
	}
	return segments, total
}

// oldest returns the segment before which so many bytes of messages are, or the
// last one.
func oldest(live map[uint64]int64, segments []uint64, bytes int64) (before uint64) {
	numbers := slices.Sorted(maps.Keys(live))
	for _, before = range segments[1:] {
		for len(numbers) > 0 && numbers[0] < before {
			bytes -= live[numbers[0]]
			numbers = numbers[1:]
		}
		if bytes <= 0 {
			break
		}
	}
	return before
}

// move writes the messages of the segments before one again.
func (b *Broker) move(before uint64) error {
	return b.log.Batch(func() error {
		for _, q := range b.snapshot() {
			if err := q.move(before); err != nil {
				return err
			}
		}
		return nil
	})
}

func (q *Queue) move(before uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for m := range q.messages {
		if m.segment >= before {
			continue
		}
		commit, err := q.b.log.AppendReserved(q.publishRecord(m.id, m.attempts), m.body)
		if err != nil {
			return err
		}
		m.segment = commit.Segment
	}
	return nil
}

// messages yields all that a queue holds. The lock is held.
func (q *Queue) messages(yield func(*message) bool) {
	for _, l := range []*list{&q.ready, &q.leased, &q.parked} {
		for m := l.first; m != nil; m = m.next {
			if !yield(m) {
				return
			}
		}
	}
	for _, o := range []*ordered{&q.returned, &q.timed} {
		for _, m := range o.messages {
			if !yield(m) {
				return
			}
		}
	}
}
