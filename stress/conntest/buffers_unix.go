//go:build unix

package conntest

import (
	"errors"
	"syscall"
)

// smallBuffers has a socket, and those that it accepts, buffer few bytes, so that they are
// full soon.
func smallBuffers(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = errors.Join(
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, fewBytes),
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, fewBytes))
	})
	return errors.Join(err, set)
}
