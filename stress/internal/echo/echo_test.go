package echo

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplyAnswersItsRequest(t *testing.T) {
	s, err := Start()
	require.NoError(t, err)
	c, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	var f Frame
	for id := range uint64(10) {
		f.Request(id)
		_, ok := f.Answers()
		assert.False(t, ok && id != 0, "a request is no reply")
		_, err = c.Write(f[:])
		require.NoError(t, err)
		_, err = io.ReadFull(c, f[:])
		require.NoError(t, err)
		got, ok := f.Answers()
		assert.True(t, ok)
		assert.Equal(t, id, got)
	}
	stats, err := s.Stats()
	require.NoError(t, err)
	assert.Equal(t, 1, stats.Open)
	assert.EqualValues(t, 10, stats.Served)

	cut, err := s.Cut(5, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, cut, "no more than there are")
	_, err = c.Read(f[:])
	assert.Error(t, err)
	assert.NoError(t, c.Close())
	assert.NoError(t, s.Close())
}

// BenchmarkDedicated is the bound for any pool: 1,024 goroutines with a
// connection each.
func BenchmarkDedicated(b *testing.B) {
	s, err := Start()
	require.NoError(b, err)
	defer func() { _ = s.Close() }()
	const conns = 1024
	all := make([]net.Conn, conns)
	for i := range all {
		all[i], err = net.Dial("tcp", s.Addr)
		require.NoError(b, err)
	}
	var done sync.WaitGroup
	b.ResetTimer()
	for i, c := range all {
		done.Go(func() {
			var f Frame
			for n := i; n < b.N; n += conns {
				f.Request(uint64(n))
				_, err := c.Write(f[:])
				if err == nil {
					_, err = io.ReadFull(c, f[:])
				}
				if id, ok := f.Answers(); err != nil || !ok || id != uint64(n) {
					b.Errorf("operation %d: reply to %d, error %v", n, id, err)
					return
				}
			}
		})
	}
	done.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	for _, c := range all {
		_ = c.Close()
	}
}
