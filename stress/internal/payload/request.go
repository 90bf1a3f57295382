package payload

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

const MinRequest = 24

const SmallRequest = 64

const FlagHold = 1 // reply when the kit says so

type RequestID uint64

// NewRequestID numbers nodes by the last part of their names.
func NewRequestID(load, from, to int, seq uint64) RequestID {
	return RequestID(uint64(load)<<56 | uint64(from&0xff)<<48 | uint64(to&0xff)<<40 | seq)
}

func (i RequestID) Load() int { return int(i >> 56) }

func (i RequestID) From() int { return int(i >> 48 & 0xff) }

func (i RequestID) To() int { return int(i >> 40 & 0xff) }

func (i RequestID) Seq() uint64 { return uint64(i) & (1<<40 - 1) }

func (i RequestID) String() string {
	return fmt.Sprintf("message %d of node-%d to node-%d", i.Seq(), i.From(), i.To())
}

// NodeNumber is the number at the end of a node's name, or -1.
func NodeNumber(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return -1
	}
	return n
}

func requestSum(id RequestID, flags uint64, size int) uint64 {
	return (uint64(id)*Golden+flags)*Golden ^ uint64(size)
}

// FillRequest writes a request over all of b.
func FillRequest(b []byte, id RequestID, flags uint64) {
	binary.LittleEndian.PutUint64(b, uint64(id))
	binary.LittleEndian.PutUint64(b[8:], flags)
	binary.LittleEndian.PutUint64(b[16:], requestSum(id, flags, len(b)))
	rest, word := b[MinRequest:], uint64(id)
	for ; len(rest) >= 8; rest = rest[8:] {
		word += Golden
		binary.LittleEndian.PutUint64(rest, word)
	}
	for i := range rest {
		rest[i] = byte(word) + byte(i)
	}
}

// ReadRequest checks every byte; inverted is all ones for a reply.
func ReadRequest(b []byte, inverted uint64) (id RequestID, flags uint64, ok bool) {
	if len(b) < MinRequest {
		return 0, 0, false
	}
	id = RequestID(binary.LittleEndian.Uint64(b) ^ inverted)
	flags = binary.LittleEndian.Uint64(b[8:]) ^ inverted
	bad := binary.LittleEndian.Uint64(b[16:]) ^ inverted ^ requestSum(id, flags, len(b))
	rest, word := b[MinRequest:], uint64(id)
	for ; len(rest) >= 8; rest = rest[8:] {
		word += Golden
		bad |= binary.LittleEndian.Uint64(rest) ^ inverted ^ word
	}
	for i := range rest {
		bad |= uint64(rest[i] ^ byte(inverted) ^ (byte(word) + byte(i)))
	}
	return id, flags, bad == 0
}

const Inverted = ^uint64(0)

// Invert writes the reply to a request.
func Invert(to, request []byte) {
	for len(request) >= 8 {
		binary.LittleEndian.PutUint64(to, ^binary.LittleEndian.Uint64(request))
		to, request = to[8:], request[8:]
	}
	for i, b := range request {
		to[i] = ^b
	}
}
