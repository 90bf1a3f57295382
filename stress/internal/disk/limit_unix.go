//go:build unix

package disk

import (
	"os/signal"
	"syscall"
)

// LimitFileSize has every write of this process to a file fail beyond that
// many bytes from its beginning, or lifts the limit if bytes is negative.
func LimitFileSize(bytes int64) error {
	signal.Ignore(syscall.SIGXFSZ) // writes return EFBIG then
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if bytes >= 0 {
		setLimit(&limit, bytes)
	}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}
