package wal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	magic         = "tnslwal\x00"
	version       = 1
	segmentHeader = 64
	suffix        = ".wal"
	temporary     = ".tmp"     // a segment not yet complete enough to count
	damaged       = ".damaged" // a last segment that was read, written anew, and kept to be looked at
	lockName      = "LOCK"
	spareName     = "SPARE" // room for the segment that the next Open begins

	// reservedPart of a segment is the part kept for AppendReserved.
	reservedPart = 4
	// prefaceFactor is how much larger a segment is than its preface, at least.
	prefaceFactor = 4
)

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// parseName returns the number of the segment that a file is, if it is one.
func parseName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 64)
	return number, err == nil && number > 0 && segmentName(number) == name
}

// header is the beginning of a segment.
type header struct {
	number    uint64
	replaces  uint64 // the segments from this number on, or none if 0
	allocated int64
}

func (h header) append(buf []byte) []byte {
	var b [segmentHeader]byte
	copy(b[:], magic)
	little.PutUint32(b[8:], version)
	little.PutUint64(b[16:], h.number)
	little.PutUint64(b[24:], h.replaces)
	little.PutUint64(b[32:], uint64(h.allocated))
	little.PutUint32(b[12:], headerSum(b))
	return append(buf, b[:]...)
}

func headerSum(b [segmentHeader]byte) uint32 {
	little.PutUint32(b[12:], 0)
	return crc32.Checksum(b[:], castagnoli)
}

// parseHeader returns what a segment says of itself. ok is false if that is
// damaged; an intact header of another version is an error.
func parseHeader(data []byte) (h header, ok bool, err error) {
	if len(data) < segmentHeader {
		return header{}, false, nil
	}
	b := [segmentHeader]byte(data)
	if string(b[:8]) != magic || little.Uint32(b[12:]) != headerSum(b) {
		return header{}, false, nil
	}
	if v := little.Uint32(b[8:]); v != version {
		return header{}, false, fmt.Errorf("%w: %d, must be %d", ErrVersion, v, version)
	}
	return header{little.Uint64(b[16:]), little.Uint64(b[24:]), int64(little.Uint64(b[32:]))}, true, nil
}

// newSegment is a segment that is being made. It has its name only once it is
// durable as a whole.
type newSegment struct {
	header
	path    string
	preface []byte // records, without their checks
}

// create makes the file, with all of its room.
func (s newSegment) create(fs FS) (File, error) {
	f, err := allocate(fs, s.path+temporary, s.allocated)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return f, nil
}

// allocate makes a file of a size, or none.
func allocate(fs FS, path string, size int64) (File, error) {
	f, err := fs.Create(path)
	if err != nil {
		return nil, err
	}
	if err := f.Allocate(size); err != nil {
		return nil, errors.Join(err, f.Close(), fs.Remove(path))
	}
	return f, nil
}

// takeSpare makes the spare file that of the segment. It returns nil if there
// is none that is of use.
func (s newSegment) takeSpare(fs FS) (File, error) {
	from, to := filepath.Join(filepath.Dir(s.path), spareName), s.path+temporary
	if fs.Rename(from, to) != nil {
		return nil, nil
	}
	f, err := fs.Open(to)
	if err == nil {
		if blank(f) && f.Allocate(s.allocated) == nil {
			return f, nil
		}
		_ = f.Close()
	}
	// The power may have failed after it was put to use, and have left it both of
	// its names: then it holds records already, and create would empty it.
	return nil, fs.Remove(to)
}

// blank tells whether a file is all zeros.
func blank(f File) bool {
	size, err := f.Size()
	buf := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size && err == nil; at += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), size-at)]
		if _, err = f.ReadAt(part, at); len(bytes.TrimLeft(part, "\x00")) > 0 {
			return false
		}
	}
	return err == nil || errors.Is(err, io.EOF)
}

// finish writes what the segment begins with, and gives it its name. It returns
// the offset of its end.
func (s newSegment) finish(fs FS, f File, frames []byte) (end int64, err error) {
	buf := appendPadding(append(s.append(nil), append(s.preface, frames...)...))
	sealFrames(buf[segmentHeader:], s.number, segmentHeader, false) // all are synced before anything follows
	if err := writeAt(f, buf, 0); err != nil {
		return 0, err
	}
	if err := f.Datasync(); err != nil {
		return 0, err
	}
	if err := fs.Rename(s.path+temporary, s.path); err != nil {
		return 0, err
	}
	return int64(len(buf)), fs.SyncDir(filepath.Dir(s.path))
}

func writeAt(f File, buf []byte, at int64) error {
	n, err := f.WriteAt(buf, at)
	if err == nil && n < len(buf) {
		err = io.ErrShortWrite
	}
	return err
}
