package plain_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tensile/stress/internal/plain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with who has asked, and what.
func serve(t testing.TB) (*plain.Client, net.Listener) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go plain.Serve(l, func(r plain.Request) []byte { return append([]byte(r.From+": "), r.Body...) })
	c, err := plain.Dial(t.Context(), "me", l.Addr().String(), 1000)
	require.NoError(t, err)
	return c, l
}

func TestEachCallGetsItsReply(t *testing.T) {
	c, l := serve(t)
	defer l.Close()
	defer c.Close()
	replies := make(chan string, 1000)
	for range cap(replies) / 2 {
		c.Go([]byte("one"), func(reply []byte, err error) {
			assert.NoError(t, err)
			c.Go([]byte("two"), func([]byte, error) { replies <- string(reply) })
		})
	}
	for range cap(replies) / 2 {
		assert.Equal(t, "me: one", <-replies)
	}
}

func TestALostConnectionEndsCalls(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := plain.Dial(context.Background(), "me", l.Addr().String(), 10)
	require.NoError(t, err)
	ended := make(chan error, 2)
	c.Go(nil, func(_ []byte, err error) { ended <- err })
	conn, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.Error(t, <-ended)
	<-c.Lost()
	c.Go(nil, func(_ []byte, err error) { ended <- err })
	assert.Error(t, <-ended)
	c.Close()
}

func BenchmarkCall(b *testing.B) {
	c, l := serve(b)
	defer l.Close()
	defer c.Close()
	room, body := make(chan struct{}, 500), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		room <- struct{}{}
		c.Go(body, func([]byte, error) { <-room })
	}
	for range cap(room) {
		room <- struct{}{}
	}
}
