package queue

import (
	"context"

	"tensile/queue/wal"
)

// keeper is the goroutine that keeps a log small, and that tells those who wait
// when the log has failed.
type keeper struct {
	rotated chan struct{} // holds a token when a segment was begun
	quit    chan struct{}
	stopped chan struct{}
}

func (k *keeper) stop() {
	close(k.quit)
	<-k.stopped
}

func (b *Broker) openLog(o Options) error {
	b.keeper = keeper{make(chan struct{}, 1), make(chan struct{}), make(chan struct{})}
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
func (b *Broker) preface() [][]byte {
	select {
	case b.keeper.rotated <- struct{}{}:
	default:
	}
	queues := *b.all.Load()
	records := make([][]byte, len(queues))
	for i, q := range queues {
		records[i] = lastRecord(q)
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
		case <-b.keeper.rotated:
			// What can not be removed now stays until the next time; that the
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
	for _, q := range *b.all.Load() {
		q.end(err)
	}
}

// compact removes the segments that no message needs any more. As only the
// oldest can go, one message that nobody fetches would keep all that follow;
// so where the log is much larger than the messages in it, those of the oldest
// segment are written again at its end.
func (b *Broker) compact() error {
	for {
		segments := b.log.Segments()
		// Messages that come or move from here on are in the last of them or in
		// later ones.
		first, live := segments[len(segments)-1], int64(0)
		for _, q := range *b.all.Load() {
			q.mu.Lock()
			for m := range q.messages {
				first = min(first, m.segment)
				live += int64(len(m.body)) + recordOverhead
			}
			q.mu.Unlock()
		}
		if err := b.log.Trim(first); err != nil {
			return err
		}
		size := b.log.Stats().Bytes
		if first == segments[len(segments)-1] || size <= wasteFactor*live+spareSegments*(size/int64(len(segments))) {
			return nil
		}
		if err := b.move(first); err != nil {
			return err
		}
	}
}

const (
	recordOverhead = 32 // of a message in the log, about
	wasteFactor    = 2  // log by messages in it
	spareSegments  = 4
)

// move writes the messages of a segment again.
func (b *Broker) move(segment uint64) error {
	var commit wal.Commit
	moved := false
	for _, q := range *b.all.Load() {
		q.mu.Lock()
		for m := range q.messages {
			if m.segment != segment {
				continue
			}
			var err error
			if commit, err = q.logPublish(m.id, m.attempts, m.body); err != nil {
				q.mu.Unlock()
				return err
			}
			m.segment, moved = commit.Segment, true
		}
		q.mu.Unlock()
	}
	if !moved {
		return nil
	}
	return commit.Wait(context.Background())
}

// messages yields all that a queue holds. The lock is held.
func (q *Queue) messages(yield func(*message) bool) {
	for _, l := range []*list{&q.ready, &q.leased} {
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
