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
	"sync/atomic"
)

const (
	// maxPending is the number of bytes that may gather behind a write before
	// Room waits. It is as much as the reserve of a segment of DefaultSegmentSize
	// holds.
	maxPending = DefaultSegmentSize / reservedPart
	// keptBuffer is the capacity beyond which a buffer is left to the garbage
	// collector, so that a burst does not pin its memory.
	keptBuffer = 1 << 20
)

// Log is an open log. All of its methods are safe for concurrent use.
type Log struct {
	dir     string
	o       Options
	lock    io.Closer
	failed  chan struct{}                 // closed once err says ErrFailed
	trim    chan struct{}                 // see TrimDue
	stopped chan struct{}                 // closed when the committer has ended
	behind  atomic.Pointer[chan struct{}] // closed when there is room again; nil while there is

	mu       sync.Mutex
	work     sync.Cond     // the committer waits for something to do
	pending  *group        // records that the committer has not taken yet
	writing  *group        // what it has taken, or nil
	taken    int64         // bytes of it, with the padding
	batches  int           // under way: pending is left alone until they end
	err      error         // why the log accepts nothing any more
	full     error         // why the next segment could not be made; nil if it could
	retry    bool          // a caller needs that segment
	segments []segmentInfo // oldest first; the last is the one written to
	count    Stats

	trimming sync.Mutex

	// The committer's own.
	file      File
	number    uint64 // of the segment
	end       int64  // where the next group goes, at the beginning of a page
	allocated int64  // of the file
	buf       []byte
	spared    bool // there is a spare file
}

type segmentInfo struct {
	number uint64
	last   uint64 // of the numbers that stand for this segment: see Log.prepare
	end    int64  // behind its last record
	size   int64  // allocated
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
	Bytes    int64 // of records and headers in them, up to whole pages
	// Totals since Open.
	Records uint64 // committed
	Commits uint64 // writes with an fdatasync that records shared
	Written int64  // bytes of records committed, up to whole pages
}

// Open opens the log in dir, which it creates if necessary, and calls replay with
// every record in it: the payload, which is valid only during the call, and the
// segment that holds it. An error of replay ends Open.
//
// Apart from errors of the file system, Open returns ErrLocked, ErrVersion and
// ErrConfig. Damage is not an error: the Recovery lists it, and everything
// readable was replayed.
func Open(dir string, o Options, replay func(segment uint64, payload []byte) error) (*Log, Recovery, error) {
	if err := o.validate(); err != nil {
		return nil, Recovery{}, err
	}
	dir = filepath.Clean(dir)
	if err := makeFolders(o.FS, dir); err != nil {
		return nil, Recovery{}, fmt.Errorf("wal: %w", err)
	}
	lock, err := o.FS.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, Recovery{}, fmt.Errorf("wal: %w", err)
	}
	l := &Log{dir: dir, o: o, lock: lock, failed: make(chan struct{}), stopped: make(chan struct{}),
		trim: make(chan struct{}, 1)}
	l.work.L = &l.mu
	r := &recovery{fs: o.FS, dir: dir, replay: replay}
	if err := l.start(r); err != nil {
		return nil, Recovery{}, errors.Join(fmt.Errorf("wal: %w", err), lock.Close())
	}
	go l.commit()
	return l, r.found, nil
}

// start replays what there is and begins a segment that replaces the last one.
func (l *Log) start(r *recovery) error {
	if err := r.run(); err != nil {
		return err
	}
	l.segments = r.kept
	next := l.describe(r.last+1, r.replaced())
	f, err := next.takeSpare(l.o.FS)
	if f == nil && err == nil {
		f, err = next.create(l.o.FS)
	}
	if err != nil {
		return err
	}
	if err := l.begin(f, next, r.frames); err != nil {
		return err
	}
	if r.last > 0 {
		if err := r.retire(r.last, r.spoiled); err != nil {
			return errors.Join(err, l.file.Close())
		}
	}
	l.pending = newGroup(next.number, nil)
	l.spare()
	return nil
}

// describe says how the segment of a number will begin.
func (l *Log) describe(number, replaces uint64) newSegment {
	var preface []byte
	for _, payload := range l.o.Preface() {
		preface = appendFrame(preface, kindPreface, payload, nil)
	}
	// At most a quarter of a segment is preface. Otherwise the log of many queues
	// would consist mostly of prefaces.
	size := max(l.o.SegmentSize, prefaceFactor*(segmentHeader+int64(len(preface))))
	return newSegment{
		header:  header{number: number, replaces: replaces, allocated: size},
		path:    filepath.Join(l.dir, segmentName(number)),
		preface: preface,
	}
}

// begin makes a segment the one that is written to. It closes f if it fails.
func (l *Log) begin(f File, s newSegment, frames []byte) error {
	end, err := s.finish(l.o.FS, f, frames)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", s.path, err), f.Close())
	}
	l.file, l.number, l.end, l.allocated = f, s.number, end, max(end, s.allocated)
	l.mu.Lock()
	l.segments = append(l.segments, segmentInfo{s.number, s.number, end, l.allocated})
	l.full = nil
	l.mu.Unlock()
	l.trimDue()
	return nil
}

// spare makes the file in which the next Open can begin a segment, even if the
// disk is full by then. It is not an error if there is none.
func (l *Log) spare() {
	if l.spared {
		return
	}
	path := filepath.Join(l.dir, spareName)
	f, err := allocate(l.o.FS, path, l.allocated)
	if err == nil {
		l.spared = f.Close() == nil
	}
}

// Commit is the fate of a record that was appended.
type Commit struct {
	// Segment is the number of the segment that keeps the record.
	Segment uint64
	group   *group
}

// Append adds a record whose payload is head followed by body; both are copied.
// It never waits; see Room. Records that are appended one after the other are
// replayed in that order.
//
// The errors are ErrRecord, ErrNoSpace, ErrFailed and ErrClosed. The record is then
// not in the log. After ErrNoSpace the log continues, and tries again to make its
// next segment.
func (l *Log) Append(head, body []byte) (Commit, error) { return l.add(head, body, false) }

// AppendReserved is Append for a record that leads to room on the disk, such as
// one that says that others are no longer needed. On a full disk it uses the rest
// of the segment, as long as that lasts. At least a quarter of a segment is
// reserved for such records.
func (l *Log) AppendReserved(head, body []byte) (Commit, error) { return l.add(head, body, true) }

func (l *Log) add(head, body []byte, reserved bool) (Commit, error) {
	n := len(head) + len(body)
	if n == 0 || n > MaxRecord {
		return Commit{}, fmt.Errorf("%w: %d bytes, must be 1 to %d", ErrRecord, n, MaxRecord)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return Commit{}, l.err
	}
	g := l.pending
	if l.full != nil && !(reserved && l.fits(n)) {
		if !reserved && !l.retry {
			l.retry = true
			l.work.Signal()
		}
		return Commit{}, l.full
	}
	g.buf = appendFrame(g.buf, kindData, head, body)
	if g.records++; g.records == 1 && l.batches == 0 {
		l.work.Signal()
	}
	if len(g.buf) >= maxPending && l.behind.Load() == nil {
		room := make(chan struct{})
		l.behind.Store(&room)
	}
	return Commit{g.segment, g}, nil
}

// fits reports whether a record of n bytes fits into the current segment, together
// with what is written before it and the seal after it. The lock is held.
func (l *Log) fits(n int) bool {
	s := l.segments[len(l.segments)-1]
	end := s.end + l.taken + padded(len(l.pending.buf)+frameSize(n))
	return end+page <= s.size
}

// Behind reports whether the disk is far behind: more than 4 MiB of records wait
// for it.
func (l *Log) Behind() bool { return l.behind.Load() != nil }

// Room waits while the disk is far behind. It returns an error only if ctx ends
// first. Append accepts records in any case. Callers call Room before Append to
// bound the memory of records that wait.
func (l *Log) Room(ctx context.Context) error {
	for room := l.behind.Load(); room != nil; room = l.behind.Load() {
		select {
		case <-*room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// roomAgain wakes the callers that wait in Room. The lock is held.
func (l *Log) roomAgain() {
	if room := l.behind.Swap(nil); room != nil {
		close(*room)
	}
}

// Batch makes the records that f appends share one write and fdatasync. Nothing
// is committed before f returns.
func (l *Log) Batch(f func() error) error {
	l.mu.Lock()
	l.batches++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.batches--
		l.work.Signal()
		l.mu.Unlock()
	}()
	return f()
}

// Wait returns nil once the record is on stable storage, ErrFailed if it cannot be
// written there, or the error of ctx if that ends first. In the last case, the
// record may or may not reach stable storage.
func (c Commit) Wait(ctx context.Context) error {
	// A receive costs half as much as a select, and thousands may wait for one group.
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

// Sync returns nil once everything that was appended before is on stable
// storage. Its errors are those of Commit.Wait.
func (l *Log) Sync(ctx context.Context) error {
	l.mu.Lock()
	g := l.pending
	if g.records == 0 {
		g = l.writing
	}
	err := l.err
	l.mu.Unlock()
	if g == nil || errors.Is(err, ErrFailed) {
		if errors.Is(err, ErrClosed) { // with everything on the disk
			err = nil
		}
		return err
	}
	return Commit{group: g}.Wait(ctx)
}

// commit writes one group after the other, until the log is closed or fails.
func (l *Log) commit() {
	defer close(l.stopped)
	for {
		// Callers that were woken just now, and append again, get into the next
		// group. With a thousand of them, this halves the number of syncs.
		runtime.Gosched()
		g, next := l.take()
		if g == nil {
			return
		}
		if err := l.commitGroup(g, next); err != nil {
			l.fail(err)
			return
		}
	}
}

// commitGroup writes a group, and begins the next segment where it was the last
// of its own.
func (l *Log) commitGroup(g *group, next uint64) error {
	var file File
	var segment newSegment
	if next != g.segment {
		file, segment = l.prepare(next)
	}
	err := l.write(g, file != nil)
	l.finish(g, err)
	if file == nil {
		return err
	}
	if err == nil {
		// It was synced with its seal, so an error of Close changes nothing.
		err = l.file.Close()
		l.file = nil
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if err := l.begin(file, segment, nil); err != nil {
		return err
	}
	l.spare()
	return nil
}

// take returns the group to write and the segment of the records that gather
// meanwhile, or nil when there is nothing left and the log is closed.
func (l *Log) take() (g *group, next uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.batches > 0 || l.pending.records == 0 && !l.retry {
		if l.err != nil && l.batches == 0 {
			return nil, 0
		}
		l.work.Wait()
	}
	g, next = l.pending, l.pending.segment
	if l.full != nil || l.end+padded(len(g.buf)) >= l.allocated-l.allocated/reservedPart {
		next++
	}
	l.retry = false
	l.pending, l.writing, l.taken = newGroup(next, l.buf), g, padded(len(g.buf))
	l.roomAgain()
	return g, next
}

// prepare makes the file of the next segment, so that it exists before the previous
// one is sealed. It returns nil if that fails, most likely because the disk is full.
// The log then stays in its current segment, and accepts only records that lead to
// room.
func (l *Log) prepare(number uint64) (File, newSegment) {
	l.mu.Lock()
	current := l.segments[len(l.segments)-1]
	l.mu.Unlock()
	replaces := uint64(0)
	if current.number+1 < number {
		replaces = current.number + 1 // which was never made
	}
	s := l.describe(number, replaces)
	f, err := s.create(l.o.FS)
	if err == nil {
		return f, s
	}
	l.trimDue()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = fmt.Errorf("%w: %w", ErrNoSpace, err)
	// What gathers already has the next number.
	l.segments[len(l.segments)-1].last = number
	return nil, s
}

// write writes a group to stable storage. The last group of a segment includes the
// seal.
func (l *Log) write(g *group, last bool) error {
	if last {
		g.buf = appendFrame(g.buf, kindSeal, nil, nil)
	}
	if len(g.buf) == 0 {
		return nil
	}
	g.buf = appendPadding(g.buf)
	sealFrames(g.buf, l.number, l.end, true)
	end, err := l.end+int64(len(g.buf)), error(nil)
	if end > l.allocated {
		if err = l.file.Allocate(end); err == nil {
			l.allocated = end
		}
	}
	if err == nil {
		err = writeAt(l.file, g.buf, l.end)
	}
	if err == nil {
		err = l.file.Datasync()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(l.dir, segmentName(l.number)), err)
	}
	l.end = end
	return nil
}

// finish reports the outcome of a group to the callers that wait for it.
func (l *Log) finish(g *group, err error) {
	if err != nil {
		g.err = fmt.Errorf("%w: %w", ErrFailed, err)
		close(g.done)
		return
	}
	l.mu.Lock()
	if g.records > 0 {
		l.count.Commits++
		l.count.Records += uint64(g.records)
		l.count.Written += int64(len(g.buf))
	}
	l.segments[len(l.segments)-1].end = l.end
	l.segments[len(l.segments)-1].size = l.allocated
	l.writing, l.taken = nil, 0
	l.mu.Unlock()
	close(g.done)
	if l.buf = g.buf; cap(l.buf) > keptBuffer {
		l.buf = nil
	}
	g.buf = nil
}

// fail refuses everything from now on, including the records that have gathered since
// the write that failed.
func (l *Log) fail(err error) {
	l.mu.Lock()
	l.err = fmt.Errorf("%w: %w", ErrFailed, err)
	g := l.pending
	g.err = l.err
	l.roomAgain()
	l.mu.Unlock()
	close(g.done)
	close(l.failed)
}

// Failed is closed when the log has failed.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// Err returns why the log accepts nothing any more: ErrFailed with its cause, or
// ErrClosed. It returns nil while the log works.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Segments returns the numbers of the existing segments, oldest first; the last is
// the one that is written to. A record whose Commit names a number between two of
// them is in the first of the two.
func (l *Log) Segments() []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := make([]uint64, len(l.segments))
	for i, s := range l.segments {
		numbers[i] = s.number
	}
	return numbers
}

// Trim removes the segments whose records all have a number below first, except
// the one that is written to. Only the oldest can be removed: a record may say that an
// earlier one is no longer needed, and must outlive it.
//
// Trim waits until everything that was appended before it is on stable storage. The
// caller can therefore decide by what it has appended, and need not know which of
// that is confirmed: nothing is removed before its replacement is safe.
func (l *Log) Trim(first uint64) error {
	if err := l.Sync(context.Background()); err != nil {
		return err
	}
	l.trimming.Lock()
	defer l.trimming.Unlock()
	for {
		l.mu.Lock()
		oldest, n := l.segments[0], len(l.segments)
		l.mu.Unlock()
		if n < 2 || oldest.last >= first {
			return nil
		}
		// One by one, so that none is removed before an older one.
		err := l.o.FS.Remove(filepath.Join(l.dir, segmentName(oldest.number)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("wal: %w", err)
		}
		if err := l.o.FS.SyncDir(l.dir); err != nil {
			return fmt.Errorf("wal: %w", err)
		}
		l.mu.Lock()
		l.segments = l.segments[1:]
		if l.full != nil && !l.retry {
			l.retry = true
			l.work.Signal()
		}
		l.mu.Unlock()
	}
}

// TrimDue receives a token whenever a segment was begun, or could not be.
func (l *Log) TrimDue() <-chan struct{} { return l.trim }

func (l *Log) trimDue() {
	select {
	case l.trim <- struct{}{}:
	default:
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
// ErrClosed, and unlocks the folder. It returns ErrFailed if the log has failed.
// Closing again does nothing.
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
	l.roomAgain()
	l.mu.Unlock()
	<-l.stopped

	l.mu.Lock()
	if l.err != ErrClosed { // it failed on the way
		failed = l.err
	}
	l.err = ErrClosed
	seal := newGroup(l.segments[len(l.segments)-1].number, nil)
	full := l.full
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
	if full == nil && l.spared {
		// Nothing needs its room now. If it stays, the next Open uses it.
		_ = l.o.FS.Remove(filepath.Join(l.dir, spareName))
	}
	return errors.Join(err, l.lock.Close())
}
