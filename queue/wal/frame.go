package wal

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

const (
	frameHeader = 16
	alignment   = 4
	page        = 4096 // see "Pages" in the package comment
)

// The kinds of records.
const (
	kindData    = 1
	kindSeal    = 2 // the end of a segment that was completed or closed
	kindPreface = 3 // is written anew for every segment
	kindPadding = 4 // zeros up to the end of a page
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var little = binary.LittleEndian

// RecordSize is the number of bytes that a record takes in the log, if it shares
// its group with others.
func RecordSize(payload int) int64 { return int64(frameSize(payload)) }

// frameSize is the number of bytes that a payload takes in a segment.
func frameSize(payload int) int {
	return (frameHeader + payload + alignment - 1) &^ (alignment - 1)
}

// appendFrame appends a record whose payload is head and body, without its
// checks: where it will stand is not known yet.
func appendFrame(buf []byte, kind byte, head, body []byte) []byte {
	at, n := len(buf), len(head)+len(body)
	var header [frameHeader]byte
	little.PutUint32(header[4:], uint32(n))
	header[12] = kind
	buf = append(buf, header[:]...)
	buf = append(buf, head...)
	buf = append(buf, body...)
	for len(buf) < at+frameSize(n) {
		buf = append(buf, 0)
	}
	return buf
}

// padded is the number of bytes that records of n bytes take with the padding
// behind them.
func padded(n int) int64 {
	if n%page != 0 {
		n += frameHeader
	}
	return (int64(n) + page - 1) / page * page
}

// appendPadding fills buf up to a whole page. A stretch that was lost is never
// taken for it, as it is a record.
func appendPadding(buf []byte) []byte {
	if len(buf)%page == 0 {
		return buf
	}
	at, end := len(buf), int(padded(len(buf)))
	buf = slices.Grow(buf, end-at)[:end]
	clear(buf[at:])
	little.PutUint32(buf[at+4:], uint32(end-at-frameHeader))
	buf[at+12] = kindPadding
	return buf
}

// sealFrames adds the checks to the records in buf, which will stand at offset
// at of a segment, and what they say of their group: that it begins there, or
// that each is one of its own.
func sealFrames(buf []byte, segment uint64, at int64, oneGroup bool) {
	for back := int64(0); len(buf) > 0; {
		n := int(little.Uint32(buf[4:]))
		little.PutUint32(buf[8:], uint32(back))
		check := headerCheck(segment, at, buf)
		buf[13], buf[14], buf[15] = byte(check), byte(check>>8), byte(check>>16)
		little.PutUint32(buf, crc32.Update(check, castagnoli, buf[frameHeader:frameHeader+n]))
		size := frameSize(n)
		buf, at = buf[size:], at+int64(size)
		if oneGroup {
			back += int64(size)
		}
	}
}

// headerCheck is the CRC32C of where a record stands and of its header.
func headerCheck(segment uint64, at int64, header []byte) uint32 {
	var text [25]byte
	little.PutUint64(text[:], segment)
	little.PutUint64(text[8:], uint64(at))
	copy(text[16:], header[4:13])
	return crc32.Checksum(text[:], castagnoli)
}

// frame is a valid record.
type frame struct {
	kind    byte
	payload []byte // part of the segment's content
	size    int    // with its padding
	group   int    // offset at which its group begins
}

// parseFrame reads the record at offset at of a segment whose content is data.
// ok is false if there is no valid one.
func parseFrame(data []byte, segment uint64, at int) (f frame, ok bool) {
	if at < 0 || at > len(data)-frameHeader {
		return frame{}, false
	}
	header := data[at : at+frameHeader]
	kind, n, back := header[12], little.Uint32(header[4:]), little.Uint32(header[8:])
	if kind < kindData || kind > kindPadding || n > MaxRecord || int(n) > len(data)-at-frameHeader {
		return frame{}, false
	}
	check := headerCheck(segment, int64(at), header)
	if uint32(header[13])|uint32(header[14])<<8|uint32(header[15])<<16 != check&0xffffff {
		return frame{}, false
	}
	payload := data[at+frameHeader : at+frameHeader+int(n)]
	if crc32.Update(check, castagnoli, payload) != little.Uint32(header) {
		return frame{}, false
	}
	return frame{kind, payload, min(frameSize(int(n)), len(data)-at), at - int(back)}, true
}
