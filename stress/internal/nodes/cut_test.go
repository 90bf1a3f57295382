package nodes

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tapped is a connection of a damager, and its other end.
func tapped(t *testing.T) (d *damager, conn, other net.Conn, addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	d, addr = &damager{}, listener.Addr().String()
	conn, err = d.dial(t.Context(), addr)
	require.NoError(t, err)
	other, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = conn.Close(), other.Close() })
	return d, conn, other, addr
}

const aMoment = 20 * time.Millisecond

// nothing shows that a connection has nothing to be read.
func nothing(t *testing.T, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(aMoment)))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}

func TestWhatIsCutComesLater(t *testing.T) {
	d, conn, other, addr := tapped(t)
	d.set([]string{addr}, nil)
	for _, text := range []string{"some", "thing"} {
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
	}
	nothing(t, other)
	_, err := other.Write([]byte("back"))
	require.NoError(t, err)
	mustRead(t, conn, "back")
	d.set(nil, nil)
	mustRead(t, other, "something")
	_, err = conn.Write([]byte(" more"))
	require.NoError(t, err)
	mustRead(t, other, " more")
}

func TestNothingComesFromWhatIsCut(t *testing.T) {
	d, conn, other, addr := tapped(t)
	d.set(nil, []string{addr})
	_, err := other.Write([]byte("something"))
	require.NoError(t, err)
	nothing(t, conn)
	nothing(t, conn)
	require.NoError(t, other.Close())
	nothing(t, conn)
	_, err = conn.Write([]byte("there"))
	require.NoError(t, err)
	d.set(nil, nil)
	mustRead(t, conn, "something")
}

func TestACloseIsNotSeenWhileItIsCut(t *testing.T) {
	d, conn, other, addr := tapped(t)
	read := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		read <- err
	}()
	d.set([]string{addr}, []string{addr})
	_, err := conn.Write([]byte("last"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.ErrorIs(t, <-read, net.ErrClosed)
	nothing(t, other)
	d.set(nil, nil)
	mustRead(t, other, "last")
	_, err = other.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
}

func TestADialWaitsForTheWay(t *testing.T) {
	d, _, _, addr := tapped(t)
	d.set(nil, []string{addr})
	ctx, cancel := context.WithTimeout(t.Context(), aMoment)
	defer cancel()
	_, err := d.dial(ctx, addr)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	time.AfterFunc(aMoment, func() { d.set(nil, nil) })
	conn, err := d.dial(t.Context(), addr)
	require.NoError(t, err)
	assert.NoError(t, conn.Close())
	assert.True(t, d.maySend(addr))
}
