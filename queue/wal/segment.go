package wal

import (
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

// parseHeader returns what a segment says of itself. ok is false where that is
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
		return header{}, false, fmt.Errorf("%w: %d, accepted is %d", ErrVersion, v, version)
	}
	return header{little.Uint64(b[16:]), little.Uint64(b[24:]), int64(little.Uint64(b[32:]))}, true, nil
}

// createSegment makes a segment that holds the records in parts, and makes it
// durable before it has its name. It returns the file and the offset of its end.
func createSegment(fs FS, dir string, h header, parts ...[]byte) (File, int64, error) {
	path := filepath.Join(dir, segmentName(h.number))
	f, err := fs.Create(path + temporary)
	if err != nil {
		return nil, 0, err
	}
	end, err := fillSegment(f, h, parts)
	if err == nil {
		err = fs.Rename(path+temporary, path)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, end, nil
}

func fillSegment(f File, h header, parts [][]byte) (end int64, err error) {
	if err := f.Allocate(h.allocated); err != nil {
		return 0, err
	}
	if err := writeAt(f, h.append(nil), 0); err != nil {
		return 0, err
	}
	end = segmentHeader
	for _, frames := range parts {
		if len(frames) == 0 {
			continue
		}
		sealFrames(frames, h.number, end, false) // all of them are synced before anything follows
		if err := writeAt(f, frames, end); err != nil {
			return 0, err
		}
		end += int64(len(frames))
	}
	return end, f.Datasync()
}

func writeAt(f File, buf []byte, at int64) error {
	n, err := f.WriteAt(buf, at)
	if err == nil && n < len(buf) {
		err = io.ErrShortWrite
	}
	return err
}
