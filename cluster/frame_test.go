package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// framed is messages as they go over the wire.
func framed(d *direction, messages ...message) []byte {
	var f frames
	for _, m := range messages {
		f.put(m.kind, m.id, m.payload)
	}
	var wire []byte
	for _, frame := range f {
		sealed, err := sealFrame(d, frame)
		if err != nil {
			panic(err)
		}
		wire = append(wire, sealed...)
		recycle(frame)
	}
	return wire
}

// bodyOf is messages in a frame.
func bodyOf(messages ...message) []byte {
	var f frames
	for _, m := range messages {
		f.put(m.kind, m.id, m.payload)
	}
	return f[0][frameHeader:]
}

// readAll reads messages until the wire ends or cannot be read.
func readAll(from io.Reader, d *direction, limit int) (all []message, err error) {
	frames := newFrameReader(from, d, limit)
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
	for name, read := range map[string]func(io.Reader) io.Reader{
		"at once":      func(r io.Reader) io.Reader { return r },
		"in halves":    iotest.HalfReader,
		"with the end": iotest.DataErrReader,
	} {
		one, other := pair(t)
		got, err := readAll(read(bytes.NewReader(framed(one.out, sent...))), other.in, messageHeader+1<<20)
		assert.ErrorIs(t, err, io.EOF, name)
		require.Len(t, got, len(sent), name)
		for i := range sent {
			same := sent[i].kind == got[i].kind && sent[i].id == got[i].id && bytes.Equal(sent[i].payload, got[i].payload)
			assert.True(t, same, "%s: message %d is another", name, i)
		}
	}
}

func TestEveryDamageIsNoticed(t *testing.T) {
	wire := func() ([]byte, *direction) {
		one, other := pair(t)
		return framed(one.out, message{kindRequest, 7, []byte("some payload")}, message{kindReply, 8, nil}), other.in
	}
	whole, _ := wire()
	for at := range whole {
		for _, bit := range []byte{0x01, 0x80} {
			damaged, d := wire()
			damaged[at] ^= bit
			// More follows, so that a length that was damaged is not merely waited for.
			_, err := readAll(io.MultiReader(bytes.NewReader(damaged), blocks{t}), d, frameTarget)
			assert.ErrorIs(t, err, errGarbled, "byte %d", at)
		}
		cut, d := wire()
		_, err := readAll(bytes.NewReader(cut[:at]), d, frameTarget)
		if at == 0 {
			assert.Equal(t, io.EOF, err)
		} else {
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", at)
		}
	}
}

// blocks is a connection on which nothing more comes.
type blocks struct{ t *testing.T }

func (b blocks) Read([]byte) (int, error) {
	b.t.Error("more is waited for after damage")
	return 0, io.ErrNoProgress
}

// header is a sealed one.
func header(t testing.TB, d *direction, length uint32) []byte {
	b, err := d.seal(binary.LittleEndian.AppendUint32(nil, length))
	require.NoError(t, err)
	return b
}

func TestALengthAllocatesNothing(t *testing.T) {
	for _, length := range []uint32{0, frameTarget + 1, 1 << 31, 1<<32 - 1} {
		one, other := pair(t)
		f := newFrameReader(bytes.NewReader(header(t, one.out, length)), other.in, frameTarget)
		before := cap(f.buf)
		_, err := f.next()
		assert.ErrorIs(t, err, errGarbled, "%d", length)
		assert.Equal(t, before, cap(f.buf), "%d", length)
	}
	// A length within the limit is not believed either before the bytes come.
	const limit = 512 << 20
	one, other := pair(t)
	begun := func(d *direction, size int) io.Reader {
		return io.MultiReader(bytes.NewReader(header(t, d, limit)), bytes.NewReader(make([]byte, size)))
	}
	f := newFrameReader(begun(one.out, 1000), other.in, limit)
	_, err := f.next()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, readBuffer, cap(f.buf))
	one, other = pair(t)
	f = newFrameReader(begun(one.out, 1<<20), other.in, limit)
	_, err = f.next()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.LessOrEqual(t, cap(f.buf), 4<<20)
}

// FuzzFrames has a member, who can seal, send what it likes.
func FuzzFrames(f *testing.F) {
	f.Add(uint32(13), bodyOf(message{kindBeat, 0, nil}), true)
	f.Add(uint32(1<<19), make([]byte, 70_000), true)
	f.Add(uint32(5), []byte("noise"), false)
	f.Fuzz(func(t *testing.T, length uint32, body []byte, sealed bool) {
		const limit = 1 << 20
		one, other := pair(t)
		wire := header(t, one.out, length)
		size := len(body)
		if sealed {
			var err error
			body, err = one.out.seal(bytes.Clone(body))
			require.NoError(t, err)
		}
		wire = append(wire, body...)
		reader := newFrameReader(iotest.HalfReader(bytes.NewReader(wire)), other.in, limit)
		for {
			body, err := reader.next()
			if cap(reader.buf) > readBuffer+4*len(wire) {
				t.Fatalf("%d bytes on the wire made a buffer of %d", len(wire), cap(reader.buf))
			}
			if err == nil && (!sealed || len(body) != size || uint32(size) != length) {
				t.Fatalf("%d bytes were believed as a frame of %d", size, length)
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
	f.Add(bodyOf(message{kindRequest, 1, []byte("x")}, message{kindBeat, 0, nil}))
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
			again = append(again, bodyOf(m)...)
			body = rest
		}
		if !bytes.Equal(all, again) {
			t.Fatalf("%x reads as messages that write as %x", all, again)
		}
	})
}
