//go:build unix

package measure

import "syscall"

// descriptorLimit is the number of descriptors this process may have open.
func descriptorLimit() *uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return nil
	}
	n := uint64(limit.Cur)
	return &n
}
