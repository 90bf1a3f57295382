package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync"
)

const (
	// maxPending is the number of bytes that may gather behind a write before
	// Append waits.
	maxPending = 8 << 20
	// keptBuffer is the capacity beyond which a buffer is left to the garbage
	// collector, so that a burst does not pin its memory.
	keptBuffer = 1 << 20
)

// Log is an open log. All of its methods are safe for concurrent use.
type Log struct {
	dir     string
	o       Options
	lock    io.Closer
	failed  chan struct{} // closed once err says ErrFailed
	stopped chan struct{} // closed when the committer has ended

	mu       sync.Mutex
	work     sync.Cond     // the committer waits for something to do
	room     sync.Cond     // Append waits for the committer
	pending  *group        // records that the committer has not taken yet
	err      error         // why nothing is taken any more
	segments []segmentInfo // oldest first; the last is the one written to
	count    Stats

	trimming sync.Mutex

	// The committer's own.
	file  File
	end   int64 // where the next record goes
	spare []byte
}

type segmentInfo struct {
	number uint64
	end    int64 // behind its last record
}

// group is the records that share a write and an fdatasync. All of them are in
// one segment.
type group struct {
	segment uint64
	buf     []byte
	records int
	done    chan struct{} // closed when err is final
	err     error
}

func newGroup(segment uint64, buf []byte) *group {
	return &group{segment: segment, buf: buf[:0], done: make(chan struct{})}
}

// Stats are the figures of a log.
type Stats struct {
	Segments int   // files
	Bytes    int64 // of records and headers in them
	// Totals since Open.
	Records uint64 // committed
	Commits uint64 // writes with an fdatasync that records shared
	Written int64  // bytes of records committed
}

// Open opens the log in dir, which is made if need be, and calls replay with
// every record in it: the payload, which is valid only during the call, and the
// segment that keeps it. An error of replay ends Open.
//
// Besides those of the file system the errors are ErrLocked, ErrVersion and
// ErrConfig. Damage is no error: it is in the Recovery, and everything readable
// was replayed.
func Open(dir string, o Options, replay func(segment uint64, payload []byte) error) (*Log, Recovery, error) {
	if err := o.validate(); err != nil {
		return nil, Recovery{}, err
	}
	if err := o.FS.MkdirAll(dir); err != nil {
		return nil, Recovery{}, fmt.Errorf("wal: %w", err)
	}
	lock, err := o.FS.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("wal: %w", err)
	}
	l := &Log{dir: dir, o: o, lock: lock, failed: make(chan struct{}), stopped: make(chan struct{})}
	l.work.L, l.room.L = &l.mu, &l.mu
	r := &recovery{fs: o.FS, dir: dir, replay: replay}
	if err := l.start(r); err != nil {
		return nil, Recovery{}, errors.Join(fmt.Errorf("wal: %w", err), lock.Close())
	}
	go l.commit()
	return l, r.found, nil
}

// start replays what there is and begins a segment that replaces the last one.
func (l *Log) start(r *recovery) error {
	if err := l.o.FS.SyncDir(filepath.Dir(l.dir)); err != nil {
		return err
	}
	if err := r.run(); err != nil {
		return err
	}
	l.segments = r.kept
	if err := l.begin(r.last+1, r.replaced(), r.frames); err != nil {
		return err
	}
	if r.last > 0 {
		if err := l.retire(r); err != nil {
			return errors.Join(err, l.file.Close())
		}
	}
	l.pending = newGroup(r.last+1, nil)
	return nil
}

// retire takes the last segment away, now that the next holds what it held.
func (l *Log) retire(r *recovery) error {
	var err error
	if old := r.path(r.last); r.spoiled {
		err = l.o.FS.Rename(old, old+damaged)
	} else {
		err = l.o.FS.Remove(old)
	}
	if err != nil {
		return err
	}
	return l.o.FS.SyncDir(l.dir)
}

// begin makes a segment the one that is written to.
func (l *Log) begin(number, replaces uint64, frames []byte) error {
	var buf []byte
	for _, payload := range l.o.Preface() {
		buf = appendFrame(buf, kindPreface, payload, nil)
	}
	f, end, err := createSegment(l.o.FS, l.dir, header{number, replaces, l.o.SegmentSize}, buf, frames)
	if err != nil {
		return err
	}
	l.file, l.end = f, end
	l.mu.Lock()
	l.segments = append(l.segments, segmentInfo{number, end})
	l.mu.Unlock()
	return nil
}

// Commit is the fate of a record that was appended.
type Commit struct {
	// Segment is the number of the segment that keeps the record.
	Segment uint64
	group   *group
}

// Append hands the log a record whose payload is head followed by body; both
// are copied. It waits only where the disk is far behind. Records appended
// one after the other are replayed in that order.
//
// The errors are ErrRecord, ErrFailed and ErrClosed; the record is not in the
// log then.
func (l *Log) Append(head, body []byte) (Commit, error) {
	if n := len(head) + len(body); n == 0 || n > MaxRecord {
		return Commit{}, fmt.Errorf("%w: %d bytes, accepted is 1 to %d", ErrRecord, n, MaxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && len(l.pending.buf) >= maxPending {
		l.room.Wait()
	}
	if l.err != nil {
		return Commit{}, l.err
	}
	g := l.pending
	if g.records == 0 {
		l.work.Signal()
	}
	g.buf = appendFrame(g.buf, kindData, head, body)
	g.records++
	return Commit{g.segment, g}, nil
}

// Wait returns nil once the record is on stable storage, ErrFailed if it can
// not be brought there, or the error of ctx, if that ends first: then the fate
// of the record is open.
func (c Commit) Wait(ctx context.Context) error {
	// A receive costs half of a select, and thousands may wait for one group.
	if gone := ctx.Done(); gone == nil {
		<-c.group.done
	} else {
		select {
		case <-c.group.done:
		case <-gone:
			return ctx.Err()
		}
	}
	return c.group.err
}

// commit writes one group after the other, until the log is closed or fails.
func (l *Log) commit() {
	defer close(l.stopped)
	for {
		// Those who were told just now, and append again, get into the next
		// group: with a thousand of them that halves the number of syncs.
		runtime.Gosched()
		g, next := l.take()
		if g == nil {
			return
		}
		full := next.segment != g.segment
		err := l.write(g, full)
		l.finish(g, err)
		if err == nil && full {
			err = l.rotate(next.segment)
		}
		if err != nil {
			l.fail(err)
			return
		}
	}
}

// take returns the group to write and the one that gathers meanwhile, or nil
// when there is nothing left and the log is closed.
func (l *Log) take() (g, next *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.pending.records == 0 {
		if l.err != nil {
			return nil, nil
		}
		l.work.Wait()
	}
	g = l.pending
	segment := g.segment
	if l.end+int64(len(g.buf)) >= l.o.SegmentSize {
		segment++
	}
	l.pending = newGroup(segment, l.spare)
	l.room.Broadcast()
	return g, l.pending
}

// write brings a group to stable storage. The last one of a segment takes the
// seal with it.
func (l *Log) write(g *group, last bool) error {
	if last {
		g.buf = appendFrame(g.buf, kindSeal, nil, nil)
	}
	sealFrames(g.buf, g.segment, l.end, true)
	err := writeAt(l.file, g.buf, l.end)
	if err == nil {
		err = l.file.Datasync()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(l.dir, segmentName(g.segment)), err)
	}
	l.end += int64(len(g.buf))
	return nil
}

// finish tells those who wait for a group what became of it.
func (l *Log) finish(g *group, err error) {
	if err != nil {
		g.err = fmt.Errorf("%w: %w", ErrFailed, err)
		close(g.done)
		return
	}
	l.mu.Lock()
	l.count.Commits++
	l.count.Records += uint64(g.records)
	l.count.Written += int64(len(g.buf))
	l.segments[len(l.segments)-1].end = l.end
	l.mu.Unlock()
	close(g.done)
	if l.spare = g.buf; cap(l.spare) > keptBuffer {
		l.spare = nil
	}
	g.buf = nil
}

// rotate goes on to the next segment.
func (l *Log) rotate(number uint64) error {
	// It was synced with its seal: an error of Close takes nothing back.
	if err := l.file.Close(); err != nil {
		return err
	}
	l.file = nil
	return l.begin(number, 0, nil)
}

// fail refuses everything from now on, also what has gathered since the write
// that failed.
func (l *Log) fail(err error) {
	l.mu.Lock()
	l.err = fmt.Errorf("%w: %w", ErrFailed, err)
	g := l.pending
	g.err = l.err
	l.room.Broadcast()
	l.mu.Unlock()
	close(g.done)
	close(l.failed)
}

// Failed is closed when the log has failed.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// Err says why nothing is taken any more: ErrFailed with its cause, or
// ErrClosed. It is nil while the log works.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Segments returns the numbers of the segments that there are, oldest first;
// the last is the one written to.
func (l *Log) Segments() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := make([]uint64, len(l.segments))
	for i, s := range l.segments {
		numbers[i] = s.number
	}
	return numbers
}

// Trim removes the segments whose number is below first, except the one that
// is written to. Only the oldest can go: a record may say of an earlier one
// that it is done with, and must outlive it.
func (l *Log) Trim(first uint64) error {
	l.trimming.Lock()
	defer l.trimming.Unlock()
	for {
		oldest := l.Segments()
		if len(oldest) < 2 || oldest[0] >= first {
			return nil
		}
		// One by one, so that none goes before an older one.
		err := l.o.FS.Remove(filepath.Join(l.dir, segmentName(oldest[0])))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("wal: %w", err)
		}
		if err := l.o.FS.SyncDir(l.dir); err != nil {
			return fmt.Errorf("wal: %w", err)
		}
		l.mu.Lock()
		l.segments = l.segments[1:]
		l.mu.Unlock()
	}
}

// Stats returns the figures of this instant.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.count
	s.Segments = len(l.segments)
	for _, info := range l.segments {
		s.Bytes += info.end
	}
	return s
}

// Close commits what was appended, refuses everything from then on with
// ErrClosed and gives the folder free. It returns ErrFailed if the log has
// failed. Closing again does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	if errors.Is(l.err, ErrClosed) {
		l.mu.Unlock()
		<-l.stopped
		return nil
	}
	failed := l.err
	l.err = ErrClosed
	l.work.Signal()
	l.room.Broadcast()
	l.mu.Unlock()
	<-l.stopped

	l.mu.Lock()
	if l.err != ErrClosed { // it failed on the way
		failed = l.err
	}
	l.err = ErrClosed
	seal := newGroup(l.segments[len(l.segments)-1].number, nil)
	l.mu.Unlock()
	err := failed
	if err == nil {
		if err = l.write(seal, true); err != nil {
			err = fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return errors.Join(err, l.lock.Close())
}
