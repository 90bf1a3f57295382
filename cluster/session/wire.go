package session

import (
	"encoding/binary"
	"errors"
)

// Kinds of messages. A request begins with its kind; a reply has the form that
// belongs to the request.
const (
	msgOperations byte = iota + 1 // a batch of operations on replicas
	msgBeat                       // who I am, and how far
	msgTell                       // the latest views, and by what founder's ballot
	msgPromise                    // agreement on the next view, phase 1
	msgAccept                     // and phase 2
	msgFound                      // promise to wait for a founder's view
	msgSync                       // compare partitions, and send what differs
	msgWitness                    // in which partitions do you vote
	msgHold                       // a round of forgetting, step 1
	msgMark                       // step 2
	msgForget                     // and step 3
	msgRelay                      // hand this on to another node
	msgRelayed                    // what that has answered
)

var errGarbled = errors.New("session: garbled message")

// decoder reads a message. After the first thing that does not fit it is bad,
// and everything else reads as zero.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fail() { d.rest, d.bad = nil, true }

func (d *decoder) byte() byte {
	if len(d.rest) < 1 {
		d.fail()
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) uint32() uint32 {
	if len(d.rest) < 4 {
		d.fail()
		return 0
	}
	n := binary.LittleEndian.Uint32(d.rest)
	d.rest = d.rest[4:]
	return n
}

func (d *decoder) uint64() uint64 {
	if len(d.rest) < 8 {
		d.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return n
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// count reads a number that must not exceed most.
func (d *decoder) count(most int) int {
	n := d.uvarint()
	if n > uint64(most) {
		d.fail()
		return 0
	}
	return int(n)
}

// bytes reads a length of up to most and so many bytes, which lie in the
// message.
func (d *decoder) bytes(most int) []byte {
	n := d.count(most)
	if n > len(d.rest) {
		d.fail()
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// end tells whether the message was read whole and nothing is wrong with it.
func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return errGarbled
	}
	return nil
}
