package cluster

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sealed is n short frames, each apart.
func sealed(t testing.TB, d *direction, n int) (all [][]byte) {
	for i := range n {
		all = append(all, framed(d, message{kindOneWay, uint64(i), []byte("pay the rent")}))
	}
	require.NotEmpty(t, all)
	return all
}

func TestNothingIsAddedLeftOutRepeatedOrMoved(t *testing.T) {
	for name, change := range map[string]func(f [][]byte) [][]byte{
		"added, as it went before": func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], f[0], f[2]} },
		"added, in the clear":      func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], inTheClear(), f[2]} },
		"left out":                 func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], f[3]} },
		"repeated":                 func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], f[1]} },
		"moved":                    func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], f[3], f[2]} },
		"a header with another body": func(f [][]byte) [][]byte {
			return [][]byte{f[0], f[1], f[2][:frameHeader], f[3][frameHeader:]}
		},
		"of the other direction":      func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], f[4], f[2]} },
		"of another connection's key": func(f [][]byte) [][]byte { return [][]byte{f[0], f[1], f[5], f[2]} },
	} {
		one, other := pair(t)
		frames := sealed(t, one.out, 4)
		frames = append(frames, sealed(t, other.out, 3)[2])
		stranger, err := newDirection(bytes.Repeat([]byte{7}, keySize))
		require.NoError(t, err)
		frames = append(frames, sealed(t, stranger, 3)[2])
		wire := append(bytes.Join(change(frames), nil), make([]byte, 100)...)
		got, err := readAll(bytes.NewReader(wire), other.in, frameTarget)
		assert.ErrorIs(t, err, errGarbled, name)
		assert.Len(t, got, 2, "%s: what came before it is sound", name)
	}
}

// inTheClear is a frame as it was before it was sealed.
func inTheClear() []byte {
	var f frames
	f.put(kindOneWay, 0, []byte("pay the attacker"))
	f[0][0] = byte(len(f[0]) - frameHeader)
	return f[0]
}

func TestKeysAreReplaced(t *testing.T) {
	one, other := pair(t)
	one.out.limit, other.in.limit = 1000, 1000
	first := bytes.Clone(one.out.key)
	var wire []byte
	keys := make(map[string]bool)
	for _, f := range sealed(t, one.out, 100) {
		wire = append(wire, f...)
		keys[string(one.out.key)] = true
		assert.LessOrEqual(t, one.out.bytes, one.out.limit)
	}
	keys[string(one.out.key)] = true
	got, err := readAll(bytes.NewReader(wire), other.in, frameTarget)
	require.Equal(t, io.EOF, err)
	assert.Len(t, got, 100)
	assert.NotEqual(t, first, one.out.key, "the key is never replaced")

	one, other = pair(t)
	one.out.limit = 1000
	wire = bytes.Join(sealed(t, one.out, 100), nil)
	_, err = readAll(bytes.NewReader(wire), other.in, frameTarget)
	assert.ErrorIs(t, err, errGarbled, "the old key opens what the new one sealed")
}

func TestAStreamOfGossipIsSealed(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	late := time.Now().Add(patience)
	require.NoError(t, near.SetDeadline(late))
	require.NoError(t, far.SetDeadline(late))
	one, other := pair(t)
	tap := &recorded{Conn: near}
	out, in := newStream(tap, one), newStream(far, other)
	sent := make([]byte, 3*frameTarget+17)
	_, _ = rand.Read(sent)
	copy(sent, "somewhere in here is a secret")
	done := make(chan error, 1)
	go func() { n, err := out.Write(sent); assert.Equal(t, len(sent), n); done <- err }()
	got := make([]byte, len(sent))
	_, err := io.ReadFull(in, got)
	require.NoError(t, err)
	require.NoError(t, <-done)
	assert.True(t, bytes.Equal(sent, got))
	assert.NotContains(t, tap.wrote.String(), "secret")

	go func() { _, _ = near.Write(make([]byte, 100)) }() // as one on the path would add it
	_, err = in.Read(got)
	assert.ErrorIs(t, err, errGarbled)
	require.NoError(t, in.Close())
	require.NoError(t, out.Close())
}

// recorded keeps what is written to a connection.
type recorded struct {
	net.Conn
	wrote bytes.Buffer
}

func (c *recorded) Write(b []byte) (int, error) {
	c.wrote.Write(b)
	return c.Conn.Write(b)
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			one, other := pair(b)
			payload := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				var f frames
				f.put(kindRequest, 1, payload)
				wire, err := sealFrame(one.out, f[0])
				if err != nil {
					b.Fatal(err)
				}
				if _, err = other.in.open(wire[:frameHeader]); err == nil {
					_, err = other.in.open(wire[frameHeader:])
				}
				if err != nil {
					b.Fatal(err)
				}
				recycle(f[0])
			}
		})
	}
}

func sizeName(n int) string {
	if n < 1<<10 {
		return "64B"
	}
	return map[int]string{1 << 10: "1KB", 64 << 10: "64KB"}[n]
}
