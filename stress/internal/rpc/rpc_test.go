package rpc_test

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/rpc"
)

// listen serves handle and connects to it.
func listen(t testing.TB, handle func([]byte, func([]byte))) (*rpc.Client, net.Listener) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go rpc.Serve(l, handle)
	c, err := rpc.Dial(t.Context(), l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(); _ = l.Close() })
	return c, l
}

func TestEachCallGetsItsReply(t *testing.T) {
	c, _ := listen(t, func(body []byte, reply func([]byte)) {
		n := binary.LittleEndian.Uint64(body)
		go func() { reply(binary.LittleEndian.AppendUint64(nil, n+1)) }()
	})
	var all sync.WaitGroup
	for i := range uint64(2000) {
		all.Go(func() {
			got, err := c.Call(context.Background(), binary.LittleEndian.AppendUint64(nil, i))
			if assert.NoError(t, err) {
				assert.Equal(t, i+1, binary.LittleEndian.Uint64(got))
			}
		})
	}
	all.Wait()
}

func TestCallsEnd(t *testing.T) {
	hold := make(chan func([]byte), 1)
	c, _ := listen(t, func(_ []byte, reply func([]byte)) { hold <- reply })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { _, err := c.Call(ctx, nil); ended <- err }()
	reply := <-hold
	cancel()
	assert.ErrorIs(t, <-ended, context.Canceled)
	reply([]byte("too late"))

	go func() { _, err := c.Call(t.Context(), nil); ended <- err }()
	<-hold
	c.Close()
	assert.ErrorIs(t, <-ended, rpc.ErrLost)
	_, err := c.Call(t.Context(), nil)
	assert.ErrorIs(t, err, rpc.ErrLost)
	<-c.Lost()
}

// TestFrames that are too long end the connection.
func TestFramesAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go rpc.Serve(l, func([]byte, func([]byte)) {})
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write(append(binary.LittleEndian.AppendUint32(nil, rpc.MaxBody+1), make([]byte, 8)...))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, context.DeadlineExceeded)
}

func BenchmarkCall(b *testing.B) {
	c, _ := listen(b, func(body []byte, reply func([]byte)) { reply(body) })
	b.SetParallelism(256)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		body := make([]byte, 100)
		for pb.Next() {
			if _, err := c.Call(context.Background(), body); err != nil {
				panic(err)
			}
		}
	})
}
