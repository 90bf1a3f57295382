//go:build unix && !freebsd

package disk

import "syscall"

func setLimit(l *syscall.Rlimit, bytes int64) { l.Cur = uint64(bytes) }
