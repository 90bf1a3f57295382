package pipe

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

func TestIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		a, b = New()
		return a, b, func() { _, _ = a.Close(), b.Close() }, nil
	})
}

func TestWhatWasWrittenBeforeCloseCanBeRead(t *testing.T) {
	a, b := New()
	_, err := a.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	text, err := io.ReadAll(b)
	assert.NoError(t, err)
	assert.Equal(t, "last words", string(text))
	_, err = b.Write([]byte("x"))
	assert.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestBufferIsBoundedAndGoneWhenEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New()
		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 2*buffered))
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, buffered, n)
		readable, _ := b.Readable()
		assert.Equal(t, buffered, readable)
		n, err = io.ReadFull(b, make([]byte, buffered))
		assert.NoError(t, err)
		assert.Equal(t, buffered, n)
		readable, ended := b.Readable()
		assert.Zero(t, readable)
		assert.False(t, ended)
		assert.Nil(t, b.in, "an idle connection must hold no buffer")
	})
}

func TestEndsOfDifferentSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := NewSize(3, 100)
		for _, end := range []struct {
			*Conn
			takes int // by the other
		}{{a, 100}, {b, 3}} {
			require.NoError(t, end.SetWriteDeadline(time.Now().Add(time.Second)))
			n, err := end.Write(make([]byte, 2*buffered))
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.Equal(t, end.takes, n)
		}
		var all sync.WaitGroup
		require.NoError(t, b.SetWriteDeadline(time.Time{}))
		all.Go(func() {
			_, err := b.Write([]byte("more"))
			assert.NoError(t, err)
		})
		_, err := io.ReadFull(a, make([]byte, 3+len("more")))
		assert.NoError(t, err)
		all.Wait()
	})
}

func TestOnReadable(t *testing.T) {
	a, b := New()
	calls := 0
	_, err := a.Write([]byte("early"))
	require.NoError(t, err)
	b.OnReadable(func() { calls++ })
	assert.Equal(t, 1, calls, "bytes that were there before")
	_, err = a.Write([]byte("more"))
	require.NoError(t, err)
	assert.Equal(t, 2, calls)
	n, ended := b.Readable()
	assert.Equal(t, 9, n)
	assert.False(t, ended)
	require.NoError(t, a.Close())
	assert.Equal(t, 3, calls, "the end")
	n, ended = b.Readable()
	assert.Equal(t, 9, n)
	assert.True(t, ended)
	b.OnReadable(func() { calls++ })
	assert.Equal(t, 4, calls, "an end that was there before")
}

func TestNoticed(t *testing.T) {
	a, b := New()
	for _, look := range []func(){
		func() { _, _ = b.Read(make([]byte, 1)) },
		func() { _, _ = b.Readable() },
	} {
		_, err := a.Write([]byte("hello"))
		require.NoError(t, err)
		assert.False(t, a.Noticed())
		look()
		assert.True(t, a.Noticed())
	}
}

func TestReadyMayAnswer(t *testing.T) {
	a, b := New()
	b.OnReadable(func() {
		var word [4]byte
		for n, _ := b.Readable(); n >= len(word); n, _ = b.Readable() {
			_, _ = io.ReadFull(b, word[:]) // what is buffered can be read
			_, _ = b.Write(word[:])
		}
	})
	_, err := a.Write([]byte("ping"))
	require.NoError(t, err)
	var word [4]byte
	_, err = io.ReadFull(a, word[:])
	assert.NoError(t, err)
	assert.Equal(t, "ping", string(word[:]))
}

func TestListener(t *testing.T) {
	l := Listen()
	var all sync.WaitGroup
	all.Go(func() {
		c, err := l.Accept()
		if assert.NoError(t, err) {
			_, _ = c.Write([]byte("hello")) // the other end says whether it came
			_ = c.Close()
		}
	})
	c, err := l.Dial()
	require.NoError(t, err)
	text, err := io.ReadAll(c)
	assert.NoError(t, err)
	assert.Equal(t, "hello", string(text))
	all.Wait()

	waiting, err := l.Dial()
	require.NoError(t, err)
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				assert.ErrorIs(t, err, net.ErrClosed)
				return
			}
			_ = c.Close()
		}
	})
	assert.NoError(t, l.Close())
	assert.NoError(t, l.Close())
	all.Wait()
	_, err = waiting.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "a connection never accepted must end")
	_, err = l.Dial()
	assert.ErrorIs(t, err, net.ErrClosed)
}

func TestFootprint(t *testing.T) {
	// What the package promises: one object for both ends.
	assert.LessOrEqual(t, unsafe.Sizeof(pair{}), uintptr(176))
	per := testing.AllocsPerRun(100, func() { a, _ := New(); sink = a })
	assert.Equal(t, 1.0, per)
}

var sink *Conn
