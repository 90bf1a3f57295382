package wal

import (
	"errors"
	"syscall"
)

// Allocate implements File.
func (f systemFile) Allocate(size int64) error {
	err := retry(func() error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) {
		return f.Truncate(size)
	}
	return err
}

// Datasync implements File.
func (f systemFile) Datasync() error {
	return retry(func() error { return syscall.Fdatasync(int(f.Fd())) })
}

// retry repeats a call that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
