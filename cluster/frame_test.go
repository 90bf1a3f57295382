package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// framed is messages as they go over the wire.
func framed(messages ...message) []byte {
	var f frames
	for _, m := range messages {
		f.put(m.kind, m.id, m.payload)
	}
	var wire []byte
	for _, frame := range f {
		sealFrame(frame)
		wire = append(wire, frame...)
		recycle(frame)
	}
	return wire
}

// readAll reads messages until the wire ends or cannot be read.
func readAll(from io.Reader, limit int) (all []message, err error) {
	frames := newFrameReader(from, limit)
	for {
		body, err := frames.next()
		for err == nil && len(body) > 0 {
			var m message
			if m, body, err = nextMessage(body); err == nil {
				m.payload = bytes.Clone(m.payload)
				all = append(all, m)
			}
		}
		if err != nil {
			return all, err
		}
	}
}

func TestFramesThereAndBack(t *testing.T) {
	var sent []message
	for i, size := range []int{0, 1, 64, 64 << 10, 3, frameTarget - messageHeader, frameTarget, 300_000, 5, 1 << 20} {
		sent = append(sent, message{kindRequest + kind(i%6), uint64(i) << 33, bytes.Repeat([]byte{byte(i)}, size)})
	}
	wire := framed(sent...)
	for name, reader := range map[string]io.Reader{
		"at once":      bytes.NewReader(wire),
		"in halves":    iotest.HalfReader(bytes.NewReader(wire)),
		"with the end": iotest.DataErrReader(bytes.NewReader(wire)),
	} {
		got, err := readAll(reader, messageHeader+1<<20)
		assert.ErrorIs(t, err, io.EOF, name)
		require.Len(t, got, len(sent), name)
		for i := range sent {
			assert.True(t, sent[i].kind == got[i].kind && sent[i].id == got[i].id && bytes.Equal(sent[i].payload, got[i].payload),
				"%s: message %d is another", name, i)
		}
	}
}

func TestEveryDamageIsNoticed(t *testing.T) {
	wire := framed(message{kindRequest, 7, []byte("some payload")}, message{kindReply, 8, nil})
	for at := range wire {
		for _, bit := range []byte{0x01, 0x80} {
			damaged := bytes.Clone(wire)
			damaged[at] ^= bit
			_, err := readAll(bytes.NewReader(damaged), frameTarget)
			assert.ErrorIs(t, err, errGarbled, "byte %d", at)
		}
		_, err := readAll(bytes.NewReader(wire[:at]), frameTarget)
		if at == 0 {
			assert.Equal(t, io.EOF, err)
		} else {
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", at)
		}
	}
}

// header is one with a right checksum of its own.
func header(length, bodySum uint32) []byte {
	b := make([]byte, frameHeader)
	binary.LittleEndian.PutUint32(b, length)
	binary.LittleEndian.PutUint32(b[4:], bodySum)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[:8], castagnoli))
	return b
}

func TestALengthAllocatesNothing(t *testing.T) {
	for _, length := range []uint32{0, frameTarget + 1, 1 << 31, 1<<32 - 1} {
		head := header(length, 0)
		f := newFrameReader(bytes.NewReader(head), frameTarget)
		before := cap(f.buf)
		_, err := f.next()
		assert.ErrorIs(t, err, errGarbled, "%d", length)
		assert.Equal(t, before, cap(f.buf), "%d", length)
	}
	// A length within the limit is not believed either before the bytes come.
	const limit = 512 << 20
	f := newFrameReader(io.MultiReader(bytes.NewReader(header(limit, 0)), bytes.NewReader(make([]byte, 1000))), limit)
	_, err := f.next()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, readBuffer, cap(f.buf))
	f = newFrameReader(io.MultiReader(bytes.NewReader(header(limit, 0)), bytes.NewReader(make([]byte, 1<<20))), limit)
	_, err = f.next()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.LessOrEqual(t, cap(f.buf), 4<<20)
}

func FuzzFrames(f *testing.F) {
	f.Add(framed(message{kindRequest, 1, []byte("x")}))
	f.Add(header(1<<32-1, 5))
	f.Add(append(header(20, 0), make([]byte, 20)...))
	f.Add(framed(message{kindReply, 1, make([]byte, 70_000)}))
	f.Fuzz(func(t *testing.T, wire []byte) {
		const limit = 1 << 20
		reader := newFrameReader(iotest.HalfReader(bytes.NewReader(wire)), limit)
		for {
			body, err := reader.next()
			if cap(reader.buf) > readBuffer+4*len(wire) {
				t.Fatalf("%d bytes on the wire made a buffer of %d", len(wire), cap(reader.buf))
			}
			for err == nil && len(body) > 0 {
				_, body, err = nextMessage(body)
			}
			if err == nil {
				continue
			}
			if !errors.Is(err, errGarbled) && err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add(framed(message{kindRequest, 1, []byte("x")}, message{kindBeat, 0, nil})[frameHeader:])
	f.Fuzz(func(t *testing.T, body []byte) {
		var again []byte
		all := body
		for len(body) > 0 {
			m, rest, err := nextMessage(body)
			if err != nil {
				if !errors.Is(err, errGarbled) {
					t.Fatalf("error of another kind: %v", err)
				}
				return
			}
			again = append(again, framed(m)[frameHeader:]...)
			body = rest
		}
		if !bytes.Equal(all, again) {
			t.Fatalf("%x reads as messages that write as %x", all, again)
		}
	})
}
