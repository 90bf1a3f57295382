package session

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Version orders the writes of a key: each acknowledged write has a higher one
// than all that were acknowledged before it began. It is a logical time stamp;
// Writer tells apart writers that had the same idea of the time.
type Version struct{ Counter, Writer uint64 }

// Compare is negative if v is older than w, and 0 if they are the same write.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Counter, w.Counter), cmp.Compare(v.Writer, w.Writer))
}

func (v Version) String() string { return fmt.Sprintf("%d@%x", v.Counter, v.Writer) }

// record is what a replica holds of a key. The zero record is that of a key
// that was never written.
type record struct {
	version Version
	// expires is the instant, in ns since 1970, from which there is nothing to be
	// read any more; 0 for never. Of a deleted session it is that of its deletion.
	expires int64
	deleted bool
	known   uint8  // replicas, by rank, known to have nothing older, for good
	sum     uint32 // CRC-32C of key and record, as the writer encoded them
	since   uint32 // by which second of this store's life it was kept here
	value   []byte
}

// gone tells whether the session is not to be seen at the instant now.
func (r *record) gone(now int64) bool {
	return r.version == Version{} || r.deleted || r.expires != 0 && now >= r.expires
}

// horizon is a lifetime of tombstones ago.
type horizon struct {
	instant int64  // by the clock
	second  uint32 // of this store's life
}

// beyond tells whether the session has been gone for longer than h.
func (r *record) beyond(h horizon) bool { return r.expires != 0 && r.expires <= h.instant }

// keptBeyond tells whether besides this replica has had the record for longer.
func (r *record) keptBeyond(h horizon) bool { return r.beyond(h) && r.since <= h.second }

// expiry is the instant that lies ttl after now, or never for 0.
func expiry(now int64, ttl time.Duration) int64 {
	switch {
	case ttl == 0:
		return 0
	case int64(ttl) > math.MaxInt64-now:
		return math.MaxInt64
	}
	return now + int64(ttl)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordOverhead is what a record takes in a message beyond key and value, at
// the most.
const recordOverhead = 2 + 16 + 8 + 1 + 3 + 4

// appendRecord encodes a record with its key and its checksum, which is the
// one that it came with: damage done to it while it was kept shows when it is
// read.
func appendRecord(b []byte, key string, r *record) []byte {
	return binary.LittleEndian.AppendUint32(appendBody(b, key, r), r.sum)
}

func appendBody(b []byte, key string, r *record) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = binary.LittleEndian.AppendUint64(b, r.version.Counter)
	b = binary.LittleEndian.AppendUint64(b, r.version.Writer)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.expires))
	deleted := byte(0)
	if r.deleted {
		deleted = 1
	}
	b = append(b, deleted)
	b = binary.AppendUvarint(b, uint64(len(r.value)))
	return append(b, r.value...)
}

// sealRecord encodes a record that is new, and gives it its checksum.
func sealRecord(key string, r *record) []byte {
	b := appendBody(make([]byte, 0, len(key)+len(r.value)+recordOverhead), key, r)
	r.sum = crc32.Checksum(b, castagnoli)
	return binary.LittleEndian.AppendUint32(b, r.sum)
}

// intact tells whether the record is as its writer encoded it.
func (r *record) intact(key string) bool {
	return r.version == Version{} || r.sum == crc32.Checksum(appendBody(make([]byte, 0, len(key)+len(r.value)+recordOverhead), key, r), castagnoli)
}

// record decodes what appendRecord encoded. Key and value lie in the message.
// A record with a wrong checksum spoils the message.
func (d *decoder) record() (key []byte, r record) {
	from := d.rest
	key = d.bytes(MaxKey)
	r.version = Version{d.uint64(), d.uint64()}
	r.expires = int64(d.uint64())
	deleted := d.byte()
	r.deleted = deleted == 1
	r.value = d.bytes(MaxValue)
	body := from[:len(from)-len(d.rest)]
	r.sum = d.uint32()
	if deleted > 1 || !d.bad && r.sum != crc32.Checksum(body, castagnoli) {
		d.bad = true
	}
	if d.bad {
		return nil, record{}
	}
	return key, r
}
