package measure

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The runtime has a descriptor of this kind itself, which is no leak.
func TestLeakedPollerIsFound(t *testing.T) {
	b := TakeBaseline()
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	require.NoError(t, err)
	l := leaks(t, b)
	assert.Equal(t, 1, l.Descriptors)
	assert.Contains(t, l.String(), "anon_inode:[eventpoll]")
	require.NoError(t, syscall.Close(fd))
	assert.True(t, b.Leaks(t.Context()).None())
}
