package fleet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded are samples as a recorder exports them: each operation ended and took
// so many ns.
func recorded(latencies ...int64) []byte {
	var b []byte
	for i, l := range latencies {
		b = binary.LittleEndian.AppendUint64(b, uint64(i+1))
		b = binary.LittleEndian.AppendUint64(b, uint64(l))
	}
	return b
}

func TestPiecesMakeTheWhole(t *testing.T) {
	t.Parallel()
	samples := recorded(make([]int64, 1000)...)
	for _, most := range []int{dataAt + 1, 100, 4096, 1 << 20} {
		var got []byte
		for len(got) < len(samples) {
			p, err := pieceOf(samples, len(got), most)
			require.NoError(t, err)
			b := p.encode()
			assert.LessOrEqual(t, len(b), most)
			back, err := decodePiece(b)
			require.NoError(t, err)
			assert.Equal(t, p, back)
			got = append(got, back.data...)
		}
		assert.True(t, bytes.Equal(samples, got))
	}
	for _, c := range [][2]int{{-1, 100}, {len(samples), 100}, {0, dataAt}} {
		_, err := pieceOf(samples, c[0], c[1])
		assert.ErrorIs(t, err, ErrSamples)
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	t.Parallel()
	b := piece{16, 64, recorded(5, 7)}.encode()
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		_, err := decodePiece(b)
		assert.ErrorIs(t, err, ErrSamples, "bit %d", i)
		b[i/8] ^= 1 << (i % 8)
	}
	_, err := decodePiece(b)
	assert.NoError(t, err)
	for n := range b {
		_, err := decodePiece(b[:n])
		assert.ErrorIs(t, err, ErrSamples, "cut to %d", n)
	}
}

func FuzzDecodePiece(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(piece{0, 16, recorded(5)}.encode())
	f.Add(piece{1 << 63, 1 << 63, []byte{1}}.encode())
	f.Add(piece{^uint64(0), ^uint64(0), []byte{1}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePiece(b)
		if err != nil {
			if !errors.Is(err, ErrSamples) {
				t.Fatalf("%q: error of another kind: %v", b, err)
			}
			return
		}
		if p.offset+uint64(len(p.data)) > p.size || p.offset > p.size {
			t.Fatalf("%q was taken", b)
		}
		if !bytes.Equal(p.encode(), b) {
			t.Fatalf("%q does not come out as it went in", b)
		}
	})
}

func TestAudit(t *testing.T) {
	t.Parallel()
	good := recorded(5, 7, -1, 9)
	a := account{Succeeded: 3, Failed: 1, Sum: checksum(good)}
	r, l, err := audit(task{Count: 4}, a, good)
	require.NoError(t, err)
	assert.Equal(t, 3, l.N)
	assert.Equal(t, l, r.Latency())
	for what, c := range map[string]struct {
		account account
		samples []byte
	}{
		"one too few":      {account{Succeeded: 3, Sum: checksum(good[:48])}, good[:48]},
		"another checksum": {account{Succeeded: 3, Failed: 1, Sum: a.Sum + 1}, good},
		"more succeeded":   {account{Succeeded: 4, Sum: a.Sum}, good},
		"fewer failed":     {account{Succeeded: 3, Sum: a.Sum}, good},
		"a time before zero": {account{Succeeded: 3, Failed: 1, Sum: checksum(recorded(5, 7, -1, -2))},
			recorded(5, 7, -1, -2)},
	} {
		_, _, err := audit(task{Count: 4}, c.account, c.samples)
		assert.ErrorIs(t, err, ErrSamples, what)
	}
}
