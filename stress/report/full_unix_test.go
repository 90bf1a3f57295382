//go:build unix

package report

import "syscall"

const canFillDisk = true

// fillDisk has every write beyond the first kilobyte of a file fail.
func fillDisk() {
	limit := syscall.Rlimit{Cur: 1024, Max: 1024}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
}
