package wal

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	frameHeader = 12
	alignment   = 4
)

// The kinds of records.
const (
	kindData    = 1
	kindSeal    = 2 // the end of a segment that was completed or closed
	kindPreface = 3 // is written anew for every segment
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var little = binary.LittleEndian

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
	header[8] = kind
	buf = append(buf, header[:]...)
	buf = append(buf, head...)
	buf = append(buf, body...)
	for len(buf) < at+frameSize(n) {
		buf = append(buf, 0)
	}
	return buf
}

// sealFrames adds the checks to the records in buf, which will stand at offset
// at of a segment.
func sealFrames(buf []byte, segment uint64, at int64) {
	for len(buf) > 0 {
		n := int(little.Uint32(buf[4:]))
		check := headerCheck(segment, at, buf)
		buf[9], buf[10], buf[11] = byte(check), byte(check>>8), byte(check>>16)
		little.PutUint32(buf, crc32.Update(check, castagnoli, buf[frameHeader:frameHeader+n]))
		size := frameSize(n)
		buf, at = buf[size:], at+int64(size)
	}
}

// headerCheck is the CRC32C of where a record stands, its length and its kind.
func headerCheck(segment uint64, at int64, header []byte) uint32 {
	var text [21]byte
	little.PutUint64(text[:], segment)
	little.PutUint64(text[8:], uint64(at))
	copy(text[16:], header[4:9])
	return crc32.Checksum(text[:], castagnoli)
}

// parseFrame reads the record at offset at of a segment whose content is data.
// ok is false where there is no valid one. The payload is part of data.
func parseFrame(data []byte, segment uint64, at int) (kind byte, payload []byte, size int, ok bool) {
	if at < 0 || at > len(data)-frameHeader {
		return 0, nil, 0, false
	}
	header := data[at : at+frameHeader]
	kind = header[8]
	if kind < kindData || kind > kindPreface {
		return 0, nil, 0, false
	}
	n := little.Uint32(header[4:])
	if n > MaxRecord || int(n) > len(data)-at-frameHeader {
		return 0, nil, 0, false
	}
	check := headerCheck(segment, int64(at), header)
	if uint32(header[9])|uint32(header[10])<<8|uint32(header[11])<<16 != check&0xffffff {
		return 0, nil, 0, false
	}
	payload = data[at+frameHeader : at+frameHeader+int(n) : at+frameHeader+int(n)]
	if crc32.Update(check, castagnoli, payload) != little.Uint32(header) {
		return 0, nil, 0, false
	}
	return kind, payload, min(frameSize(int(n)), len(data)-at), true
}
