package queue

import (
	"encoding/binary"
	"fmt"
	"math"

	"tensile/queue/wal"
)

// The records of the log. Names are a length and bytes, numbers are uvarints as
// in encoding/binary, a body is what is left of the record.
const (
	// recordPublish: name, ID, attempts so far, body. It is written again where
	// a message moves to a later segment.
	recordPublish = 1
	// recordDeliver: name, and for each message its ID and its attempts.
	recordDeliver = 2
	// recordAck: name, and for each message its ID.
	recordAck = 3
	// recordBury: name and ID, name of the dead-letter queue and ID in it, body.
	recordBury = 4
	// recordLast: name, highest ID given. It begins every segment, so that an
	// ID is never given twice.
	recordLast = 5
	// recordDelete: name. The queue is gone, and its messages and IDs with it.
	recordDelete = 6
)

func appendName(buf []byte, name string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(name))), name...)
}

func appendID(buf []byte, id uint64) []byte { return binary.AppendUvarint(buf, id) }

// publishRecord is a record of recordPublish but for its body.
func (q *Queue) publishRecord(id uint64, attempts int32) []byte {
	q.scratch = appendName(append(q.scratch[:0], recordPublish), q.name)
	q.scratch = appendID(q.scratch, id)
	q.scratch = binary.AppendUvarint(q.scratch, uint64(attempts))
	return q.scratch
}

func (q *Queue) logDeliver(deliveries []Delivery) (wal.Commit, error) {
	q.scratch = appendName(append(q.scratch[:0], recordDeliver), q.name)
	for _, d := range deliveries {
		q.scratch = appendID(q.scratch, d.ID)
		q.scratch = binary.AppendUvarint(q.scratch, uint64(d.Attempt))
	}
	return q.b.log.AppendReserved(q.scratch, nil)
}

// ackRecord is the beginning of a record to which the IDs are appended.
func (q *Queue) ackRecord() []byte {
	return appendName(append(q.scratch[:0], recordAck), q.name)
}

func (q *Queue) logAck(id uint64) (wal.Commit, error) {
	q.scratch = appendID(q.ackRecord(), id)
	return q.b.log.AppendReserved(q.scratch, nil)
}

func (q *Queue) logBury(m *message, to string, id uint64) (wal.Commit, error) {
	q.scratch = appendName(append(q.scratch[:0], recordBury), q.name)
	q.scratch = appendID(q.scratch, m.id)
	q.scratch = appendName(q.scratch, to)
	q.scratch = appendID(q.scratch, id)
	return q.b.log.AppendReserved(q.scratch, m.body)
}

func (q *Queue) logDelete() (wal.Commit, error) {
	return q.b.log.AppendReserved(appendName([]byte{recordDelete}, q.name), nil)
}

func lastRecord(q *Queue) []byte {
	return appendID(appendName([]byte{recordLast}, q.name), q.last.Load())
}

// decoder takes a record apart. After the first fault it yields zeros.
type decoder struct {
	rest  []byte
	fault error
}

func (d *decoder) fail(what string) {
	if d.fault == nil {
		d.fault = fmt.Errorf("%w: %s", ErrFormat, what)
	}
	d.rest = nil
}

func (d *decoder) number(most uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > most {
		d.fail("a number is missing or out of range")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) id() uint64 {
	id := d.number(math.MaxInt64)
	if id == 0 {
		d.fail("an ID is 0")
	}
	return id
}

func (d *decoder) attempts() int32 { return int32(d.number(math.MaxInt32)) }

func (d *decoder) name() string {
	n := int(d.number(MaxName))
	if n == 0 || n > len(d.rest) {
		d.fail("a name is missing")
		return ""
	}
	name := string(d.rest[:n])
	d.rest = d.rest[n:]
	return name
}
