package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Recovery is what Open found.
type Recovery struct {
	Segments int // files read
	Records  int // replayed
	// Torn lists what was being written when the process died or the power failed. It
	// was dropped. It was never confirmed, unless the disk has lost the last data that
	// it had confirmed.
	Torn []Gap
	// Damage lists everything else that could not be read. What was there was confirmed
	// and is lost; everything around it was replayed. If it is in the last segment, the
	// file is kept beside the log with ".damaged" added to its name.
	Damage []Gap
	// Kept lists the paths of the files that were kept because of damage, by this Open
	// or an earlier one. You can examine and remove them.
	Kept []string
}

// Gap is a stretch of a file that holds no valid record where one should be.
type Gap struct {
	File   string // path
	Offset int64  // of the first byte concerned
	Length int64  // in bytes; 0 if it is not known
	Reason string
}

// String says where the gap is and why it is one.
func (g Gap) String() string {
	return fmt.Sprintf("%s: %d bytes at offset %d: %s", g.File, g.Length, g.Offset, g.Reason)
}

// span is a stretch of a segment, from its first byte to behind its last.
type span struct{ from, to int }

// scanned is what is in a segment besides the payloads.
type scanned struct {
	records int
	sealed  bool
	end     int    // behind the last record
	group   int    // where the group of the last record begins
	gaps    []span // without a valid record, and not empty
}

// scan calls emit with every record in the content of a segment. After a stretch that is
// not valid, it looks for the next record.
func scan(data []byte, segment uint64, emit func(at int, kind byte, payload []byte) error) (scanned, error) {
	s := scanned{end: segmentHeader}
	used := len(bytes.TrimRight(data, "\x00")) // what was allocated and never written is zeros
	for at := segmentHeader; at < used; {
		f, ok := parseFrame(data, segment, at)
		if ok {
			switch f.kind {
			case kindPadding:
			case kindSeal:
				s.sealed = true
			default:
				s.records++
				if err := emit(at, f.kind, f.payload); err != nil {
					return s, fmt.Errorf("record at offset %d: %w", at, err)
				}
			}
			at += f.size
			s.end, s.group = at, f.group
			continue
		}
		next := at + alignment
		for next < used && !ok {
			if _, ok = parseFrame(data, segment, next); !ok {
				next += alignment
			}
		}
		next = min(next, used)
		s.gaps = append(s.gaps, span{at, next})
		at = next
	}
	return s, nil
}

// recovery reads a folder.
type recovery struct {
	fs      FS
	dir     string
	replay  func(segment uint64, payload []byte) error
	found   Recovery
	buf     []byte // content of a segment
	frames  []byte // records of the last segment, without their checks
	kept    []segmentInfo
	last    uint64 // number of the last segment, 0 if there is none
	spoiled bool   // the last one is damaged
}

// replaced is the number of the first segment that the one after the last replaces.
func (r *recovery) replaced() uint64 {
	if len(r.kept) == 0 {
		return 1
	}
	return r.kept[len(r.kept)-1].number + 1
}

// run replays all segments, in order.
func (r *recovery) run() error {
	// An Open that died may have left a segment whose name is not durable yet. The
	// segments that it replaces must not be removed before it is.
	if err := r.fs.SyncDir(r.dir); err != nil {
		return err
	}
	numbers, err := r.list()
	if err != nil {
		return err
	}
	headers := make(map[uint64]header, len(numbers))
	for _, n := range numbers {
		if headers[n], err = r.header(n); err != nil {
			return err
		}
	}
	if numbers, err = r.leftOver(numbers, headers); err != nil {
		return err
	}
	for i, n := range numbers {
		if i > 0 {
			r.missing(numbers[i-1], n, headers[n])
		}
		if err := r.segment(n, headers[n], i == len(numbers)-1); err != nil {
			return err
		}
	}
	return nil
}

// leftOver removes the segments that an earlier Open has rewritten and did not remove
// because it died, and returns the others.
func (r *recovery) leftOver(numbers []uint64, headers map[uint64]header) (left []uint64, err error) {
	for i, old := range numbers {
		if !slices.ContainsFunc(numbers[i+1:], func(n uint64) bool {
			from := headers[n].replaces
			return from > 0 && from <= old
		}) {
			left = append(left, old)
			continue
		}
		// It was the last one, and its damage has not been reported.
		data, bad, err := r.read(old)
		if err != nil {
			return nil, err
		}
		s, err := scan(data, old, func(int, byte, []byte) error { return nil })
		if err != nil {
			return nil, err
		}
		before := len(r.found.Damage)
		r.judge(old, headers[old], s, data, bad, true)
		if err := r.retire(old, len(r.found.Damage) > before); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// retire removes a segment that was rewritten. A damaged one is kept under another
// name.
func (r *recovery) retire(number uint64, spoiled bool) error {
	var err error
	if old := r.path(number); spoiled {
		err = r.fs.Rename(old, old+damaged)
		r.found.Kept = append(r.found.Kept, old+damaged)
	} else {
		err = r.fs.Remove(old)
	}
	if err != nil {
		return err
	}
	return r.fs.SyncDir(r.dir)
}

func (r *recovery) path(number uint64) string { return filepath.Join(r.dir, segmentName(number)) }

// list returns the numbers of the segments in ascending order, and removes files that were
// never finished.
func (r *recovery) list() ([]uint64, error) {
	names, err := r.fs.List(r.dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		if number, ok := parseName(name); ok {
			numbers = append(numbers, number)
		} else if strings.HasSuffix(name, suffix+temporary) {
			if err := r.fs.Remove(filepath.Join(r.dir, name)); err != nil {
				return nil, err
			}
		} else if strings.HasSuffix(name, suffix+damaged) {
			r.found.Kept = append(r.found.Kept, filepath.Join(r.dir, name))
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// header reads the header of a segment. It returns zero if the header is damaged or cannot
// be read.
func (r *recovery) header(number uint64) (h header, err error) {
	f, err := r.fs.Open(r.path(number))
	if err != nil {
		return header{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var buf [segmentHeader]byte
	n, err := f.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, nil //nolint:nilerr // read reports it again
	}
	h, _, err = parseHeader(buf[:n])
	if err != nil {
		return header{}, fmt.Errorf("%w in %s", err, r.path(number))
	}
	return h, nil
}

// missing reports the segments that are missing between two existing ones.
func (r *recovery) missing(before, after uint64, h header) {
	end := after
	if h.number != after {
		return // damaged, and reported
	} else if h.replaces > 0 {
		end = h.replaces
	}
	for n := before + 1; n < end; n++ {
		r.found.Damage = append(r.found.Damage, Gap{File: r.path(n), Reason: "the file is missing"})
	}
}

// segment replays one segment. The records of the last are kept too, because they will be
// rewritten in the next.
func (r *recovery) segment(number uint64, h header, last bool) error {
	data, bad, err := r.read(number)
	if err != nil {
		return err
	}
	home := number
	if last {
		home++
	}
	s, err := scan(data, number, func(_ int, kind byte, payload []byte) error {
		if last && kind == kindData {
			r.frames = appendFrame(r.frames, kindData, payload, nil)
		}
		return r.replay(home, payload)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.path(number), err)
	}
	r.found.Segments++
	r.found.Records += s.records
	before := len(r.found.Damage)
	r.judge(number, h, s, data, bad, last)
	if last {
		r.last, r.spoiled = number, len(r.found.Damage) > before
	} else {
		r.kept = append(r.kept, segmentInfo{number, number, int64(s.end), int64(len(data))})
	}
	return nil
}

// judge distinguishes torn writes from damage.
func (r *recovery) judge(number uint64, h header, s scanned, data []byte, bad []unreadable, last bool) {
	gap := func(at, end int64, reason string) Gap { return Gap{r.path(number), at, end - at, reason} }
	damage := func(at, end int64, reason string) {
		r.found.Damage = append(r.found.Damage, gap(at, end, reason))
	}
	switch {
	case len(bad) > 0 && bad[0].from == 0:
		// It is reported below.
	case h == header{}:
		damage(0, segmentHeader, "the header of the segment is damaged")
	case h.number != number:
		damage(0, segmentHeader, fmt.Sprintf("the header is that of segment %d", h.number))
	}
	for _, u := range bad {
		damage(int64(u.from), int64(u.to), fmt.Sprintf("it cannot be read: %v", u.err))
	}
	for _, g := range s.gaps {
		switch {
		case slices.ContainsFunc(bad, func(u unreadable) bool { return u.from < g.to && g.from < u.to }):
			// It is reported above.
		case last && g.from >= s.group:
			// A seal in the same group does not show that the group was confirmed.
			r.found.Torn = append(r.found.Torn, gap(int64(g.from), int64(g.to), "it was not written to its end"))
		default:
			damage(int64(g.from), int64(g.to), "no valid record where one was written")
		}
	}
	inLast := func(g span) bool { return g.from >= s.group } // where the seal should be
	if !last && !s.sealed && len(bad) == 0 && !slices.ContainsFunc(s.gaps, inLast) {
		damage(int64(s.end), int64(s.end), "the segment was completed and has lost its end")
	}
	if short := int64(len(data)); short < h.allocated {
		damage(short, h.allocated, "the file is shorter than it was made")
	}
}

// unreadable is a stretch of a file that the disk cannot read.
type unreadable struct {
	span
	err error
}

// read returns the content of a segment, with zeros for what cannot be read.
func (r *recovery) read(number uint64) (data []byte, bad []unreadable, err error) {
	f, err := r.fs.Open(r.path(number))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, nil, err
	}
	if int64(cap(r.buf)) < size {
		r.buf = make([]byte, size)
	}
	r.buf = r.buf[:size]
	n, err := f.ReadAt(r.buf, 0)
	if err == nil || errors.Is(err, io.EOF) {
		return r.buf[:n], nil, nil
	}
	for at := 0; at < len(r.buf); at += page {
		part := r.buf[at:min(at+page, len(r.buf))]
		n, err := f.ReadAt(part, int64(at))
		if err == nil || errors.Is(err, io.EOF) {
			clear(part[n:])
			continue
		}
		clear(part)
		if last := len(bad) - 1; last >= 0 && bad[last].to == at {
			bad[last].to += len(part)
		} else {
			bad = append(bad, unreadable{span{at, at + len(part)}, err})
		}
	}
	return r.buf, bad, nil
}
