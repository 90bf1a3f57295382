package session

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Version orders the writes of a key. Each acknowledged write has a higher version than
// all writes that were acknowledged before it began. It is a logical timestamp: Writer
// distinguishes writers that chose the same Counter.
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
	known   uint8  // replicas, by rank, known to have this version or a later one: everyone, or not asked
	sum     uint32 // CRC-32C of key and record, as the writer encoded them
	// due is the instant of this store's life from which the session is gone, as
	// reckoned when the record came: a clock that is set later changes nothing.
	due   time.Duration
	value []byte
}

// gone tells whether the session is not to be seen at the instant now.
func (r *record) gone(now int64) bool {
	return r.version == Version{} || r.deleted || r.expires != 0 && now >= r.expires
}

// moment is an instant by both clocks of a store.
type moment struct {
	instant int64         // ns since 1970, by Config.Clock
	life    time.Duration // since the store was made, monotonic
}

// dueFrom reckons when the session is gone if its record comes now.
func (r *record) dueFrom(now moment) time.Duration {
	const never = math.MaxInt64
	left := time.Duration(r.expires - now.instant)
	switch {
	case r.deleted:
		return now.life
	case r.expires == 0 || r.expires > 0 && now.instant < 0 && left < 0 || left > never-now.life:
		return never
	}
	return now.life + max(left, 0)
}

// over tells whether the session is gone by both clocks, so that it may be
// forgotten.
func (r *record) over(now moment) bool {
	return r.due <= now.life && (r.deleted || r.expires != 0 && r.expires <= now.instant)
}

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
func appendRecord[T string | []byte](b []byte, key T, r *record) []byte {
	return binary.LittleEndian.AppendUint32(appendBody(b, key, r), r.sum)
}

func appendVersion(b []byte, v Version) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, v.Counter), v.Writer)
}

func (d *decoder) version() Version { return Version{d.uint64(), d.uint64()} }

func appendBody[T string | []byte](b []byte, key T, r *record) []byte {
	return append(appendHead(b, key, r), r.value...)
}

func appendHead[T string | []byte](b []byte, key T, r *record) []byte {
	b = appendKey(b, key)
	b = appendVersion(b, r.version)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.expires))
	deleted := byte(0)
	if r.deleted {
		deleted = 1
	}
	b = append(b, deleted)
	return binary.AppendUvarint(b, uint64(len(r.value)))
}

// sealRecord encodes a record that is new, and gives it its checksum.
func sealRecord(key string, r *record) []byte {
	b := appendBody(make([]byte, 0, len(key)+len(r.value)+recordOverhead), key, r)
	r.sum = crc32.Checksum(b, castagnoli)
	return binary.LittleEndian.AppendUint32(b, r.sum)
}

// intact tells whether a record is as its writer encoded it. A key of usual length
// costs no allocation.
func intact[T string | []byte](key T, r *record) bool {
	var head [256]byte
	sum := crc32.Checksum(appendHead(head[:0], key, r), castagnoli)
	return r.version == Version{} || r.sum == crc32.Update(sum, castagnoli, r.value)
}

// record decodes what appendRecord encoded. Key and value lie in the message.
// A record with a wrong checksum spoils the message.
func (d *decoder) record() (key []byte, r record) {
	from := d.rest
	key = d.bytes(MaxKey)
	r.version = d.version()
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
