package fleet

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"tensile/stress/measure"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// perOperation is what a recorder exports for one operation, in bytes.
var perOperation = len(measure.NewRecorder(1).Export())

// piece is a part of the samples on its way. As bytes it is magic, checksum of
// what follows, offset, size, and the data; numbers are little endian.
type piece struct {
	offset, size uint64 // where it begins, and the size of all samples
	data         []byte
}

const (
	pieceMagic = "TFS1"
	sumAt      = len(pieceMagic)
	offsetAt   = sumAt + 4
	sizeAt     = offsetAt + 8
	dataAt     = sizeAt + 8
)

func (p piece) encode() []byte {
	b := make([]byte, dataAt, dataAt+len(p.data))
	copy(b, pieceMagic)
	binary.LittleEndian.PutUint64(b[offsetAt:], p.offset)
	binary.LittleEndian.PutUint64(b[sizeAt:], p.size)
	b = append(b, p.data...)
	binary.LittleEndian.PutUint32(b[sumAt:], checksum(b[offsetAt:]))
	return b
}

// decodePiece refuses what encode did not make.
func decodePiece(b []byte) (piece, error) {
	switch {
	case len(b) <= dataAt:
		return piece{}, fmt.Errorf("%w: a piece of %d bytes", ErrSamples, len(b))
	case string(b[:sumAt]) != pieceMagic:
		return piece{}, fmt.Errorf("%w: a piece that begins with %q", ErrSamples, b[:sumAt])
	case binary.LittleEndian.Uint32(b[sumAt:]) != checksum(b[offsetAt:]):
		return piece{}, fmt.Errorf("%w: a piece with a wrong checksum", ErrSamples)
	}
	p := piece{binary.LittleEndian.Uint64(b[offsetAt:]), binary.LittleEndian.Uint64(b[sizeAt:]), b[dataAt:]}
	if p.offset > p.size || uint64(len(p.data)) > p.size-p.offset {
		return piece{}, fmt.Errorf("%w: a piece beyond the end", ErrSamples)
	}
	return p, nil
}

// pieceOf cuts the piece at an offset out of the samples, so that it fits into a
// message of so many bytes.
func pieceOf(samples []byte, offset, most int) (piece, error) {
	if offset < 0 || offset >= len(samples) || most <= dataAt {
		return piece{}, fmt.Errorf("%w: no piece of at most %d bytes at %d of %d", ErrSamples, most, offset, len(samples))
	}
	end := min(offset+most-dataAt, len(samples))
	return piece{uint64(offset), uint64(len(samples)), samples[offset:end]}, nil
}

// audit takes the samples of a part into a recorder, if they are those that the
// account speaks of.
func audit(t task, a account, samples []byte) (*measure.Recorder, measure.Latency, error) {
	refuse := func(format string, args ...any) (*measure.Recorder, measure.Latency, error) {
		return nil, measure.Latency{}, fmt.Errorf("%w: %s", ErrSamples, fmt.Sprintf(format, args...))
	}
	switch {
	case len(samples) != t.Count*perOperation:
		return refuse("%d bytes for %d operations", len(samples), t.Count)
	case checksum(samples) != a.Sum:
		return refuse("the checksum of all is wrong")
	}
	r := measure.NewRecorder(0)
	r.Import(samples, 0)
	l := r.Latency()
	switch {
	case l.Min < 0:
		return refuse("a latency of %d ns", l.Min)
	case l.N != a.Succeeded || l.Failed != a.Failed:
		return refuse("%d operations that succeeded and %d that failed, where the account has %d and %d",
			l.N, l.Failed, a.Succeeded, a.Failed)
	}
	return r, l, nil
}
