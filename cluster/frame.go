package cluster

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// A frame is a header and a body, each sealed and followed by its tag. The header
// is the length of the body without its tag, a uint32, little endian. The body is
// one or more messages, each a kind, the length of its payload, an id and the
// payload. The header has a tag of its own because a damaged length would
// otherwise be waited for. Messages are sealed as they are written, by the frame:
// so the many that wait beside each other cost two tags together.
const (
	lengthSize    = 4
	frameHeader   = lengthSize + sealTag
	messageHeader = 1 + 4 + 8
	// frameTarget is the most that a frame carries unless it is one large
	// message: enough that the tags and the call of the kernel do not count,
	// little enough to be handled while it is in the cache. A payload of 64 KiB
	// fits.
	frameTarget = 65 << 10
	frameBuffer = frameHeader + frameTarget + sealTag
)

// kind tells what a message is.
type kind byte

const (
	kindRequest kind = iota + 1 // is answered with a reply or a refusal of the same id
	kindReply
	kindRefusal // payload is one byte: a refusal
	kindOneWay
	kindBeat  // tells only that the sender is alive
	kindLeave // like a request: the sender is about to leave
	// The payload of these is the identity of another node.
	kindKnown   // the sender is connected to it
	kindAccuse  // the sender does not hear it
	kindConfirm // answers an accusation: the sender takes it to be dead
	kindGone    // it has left
	kindEnd
)

// refusal tells why a request was not handled.
type refusal byte

const (
	refusedNoHandler refusal = iota + 1
	refusedPanic
)

func (r refusal) String() string {
	switch r {
	case refusedNoHandler:
		return "it has no handler"
	case refusedPanic:
		return "its handler panicked"
	}
	return fmt.Sprintf("refusal %d", byte(r))
}

// frames gathers messages into frames, each in a buffer of its own.
type frames [][]byte

// buffers are those of frames of the usual size. Queues grow and shrink by
// them, so that nothing is moved and nothing large allocated.
var buffers = sync.Pool{New: func() any { return new([frameBuffer]byte) }}

// put appends a message and returns by how much the whole has grown.
func (f *frames) put(k kind, id uint64, payload []byte) (grown int) {
	size := messageHeader + len(payload)
	last := len(*f) - 1
	if last < 0 || len((*f)[last])+size+sealTag > cap((*f)[last]) {
		*f = append(*f, newFrame(size))
		last++
		grown = frameHeader + sealTag
	}
	b := (*f)[last]
	b = append(b, byte(k))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint64(b, id)
	(*f)[last] = append(b, payload...)
	return grown + size
}

// newFrame returns a frame without a body, with room for size bytes and a tag.
func newFrame(size int) []byte {
	if size <= frameTarget {
		return buffers.Get().(*[frameBuffer]byte)[:frameHeader]
	}
	return make([]byte, frameHeader, frameHeader+size+sealTag)
}

// sealFrame fills in the header, and seals both in place.
func sealFrame(d *direction, frame []byte) ([]byte, error) {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	if _, err := d.seal(frame[:lengthSize:frameHeader]); err != nil {
		return nil, err
	}
	body, err := d.seal(frame[frameHeader:])
	return frame[:frameHeader+len(body)], err
}

// recycle gives the buffer of a frame that was written back.
func recycle(frame []byte) {
	if cap(frame) == frameBuffer {
		buffers.Put((*[frameBuffer]byte)(frame[:cap(frame)]))
	}
}

// message is one message of a frame; its payload lies in the buffer of the
// frame.
type message struct {
	kind    kind
	id      uint64
	payload []byte
}

// nextMessage cuts the first message off a body.
func nextMessage(body []byte) (m message, rest []byte, err error) {
	if len(body) < messageHeader {
		return m, nil, fmt.Errorf("%w: %d bytes are no message", errGarbled, len(body))
	}
	m.kind = kind(body[0])
	n := binary.LittleEndian.Uint32(body[1:])
	m.id = binary.LittleEndian.Uint64(body[5:])
	body = body[messageHeader:]
	if uint64(n) > uint64(len(body)) {
		return m, nil, fmt.Errorf("%w: a message of %d bytes in a frame with %d left", errGarbled, n, len(body))
	}
	if m.kind == 0 || m.kind >= kindEnd {
		return m, nil, fmt.Errorf("%w: message of unknown kind %d", errGarbled, m.kind)
	}
	m.payload = body[:n:n]
	return m, body[n:], nil
}

// frameReader reads frames of up to limit bytes of body. A length is not
// believed: memory grows only with the bytes that have really come.
type frameReader struct {
	from   io.Reader
	seal   *direction
	limit  int
	length int // of the body that comes next; 0 if it is a header
	buf    []byte
	r, w   int
}

const readBuffer = 256 << 10

func newFrameReader(from io.Reader, seal *direction, limit int) *frameReader {
	return &frameReader{from: from, seal: seal, limit: limit, buf: make([]byte, readBuffer)}
}

// next returns the body of the next frame, valid until the call after it.
func (f *frameReader) next() (body []byte, err error) {
	for {
		need := frameHeader
		if f.length > 0 {
			need = f.length + sealTag
		}
		if f.w-f.r < need {
			if err := f.read(need); err != nil {
				return nil, err
			}
			continue
		}
		part, err := f.seal.open(f.buf[f.r : f.r+need])
		if err != nil {
			return nil, err
		}
		f.r += need
		if f.length > 0 {
			f.length = 0
			return part, nil
		}
		length := binary.LittleEndian.Uint32(part)
		if length == 0 || uint64(length) > uint64(f.limit) {
			return nil, fmt.Errorf("%w: a frame of %d bytes, must be 1 to %d", errGarbled, length, f.limit)
		}
		f.length = int(length)
	}
}

// read reads some of the need bytes that are wanted.
func (f *frameReader) read(need int) error {
	f.makeRoom(need)
	n, err := f.from.Read(f.buf[f.w:])
	f.w += n
	if n > 0 || err == nil {
		return nil
	}
	if err == io.EOF && (f.w > f.r || f.length > 0) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// await waits until a frame begins.
func (f *frameReader) await() error {
	n, err := f.from.Read(f.buf[f.w:])
	f.w += n
	if n > 0 {
		return nil
	}
	return err
}

// makeRoom sees to it that something can be read, with need bytes wanted in all.
func (f *frameReader) makeRoom(need int) {
	if f.r == f.w {
		f.r, f.w = 0, 0
		if len(f.buf) > readBuffer && need <= readBuffer {
			f.buf = make([]byte, readBuffer)
		}
	}
	if f.r+need <= len(f.buf) && f.w < len(f.buf) {
		return
	}
	if have := f.w - f.r; need > len(f.buf) && have > len(f.buf)/2 {
		grown := make([]byte, min(need, 2*len(f.buf)))
		copy(grown, f.buf[f.r:f.w])
		f.buf = grown
	} else {
		copy(f.buf, f.buf[f.r:f.w])
	}
	f.r, f.w = 0, f.w-f.r
}
