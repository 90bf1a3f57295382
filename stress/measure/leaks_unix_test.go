//go:build unix

package measure

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGoroutineLeakedInASystemCall, where goleak does not look.
func TestGoroutineLeakedInASystemCall(t *testing.T) {
	var pipe [2]int
	require.NoError(t, syscall.Pipe(pipe[:]))
	b := TakeBaseline()
	entered := make(chan struct{})
	go func() {
		close(entered)
		_, _ = syscall.Read(pipe[0], make([]byte, 1))
	}()
	<-entered
	l := leaks(t, b)
	assert.Equal(t, 1, l.Goroutines)
	assert.Contains(t, l.String(), "TestGoroutineLeakedInASystemCall")
	require.NoError(t, syscall.Close(pipe[1]))
	assert.True(t, b.Leaks(t.Context()).None())
	require.NoError(t, syscall.Close(pipe[0]))
}
