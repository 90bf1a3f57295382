//go:build unix

package proc

import "syscall"

// keepFromChildren has descriptors closed in programs that this process starts.
func keepFromChildren(descriptors ...int) {
	for _, fd := range descriptors {
		syscall.CloseOnExec(fd)
	}
}
