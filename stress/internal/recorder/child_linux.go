//go:build amd64 || arm64

package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"tensile/stress/internal/seccomp"
)

// markFD stands for no file: what is written to it is a mark.
const markFD = 1 << 30

// Enter puts this process into the hands of its parent, for good. The parent
// must call Start with the descriptor returned: until then calls that are
// recorded wait. With reads, those can be made to fail too, and take longer. The
// descriptors in own are left alone for good: through them child and parent speak to
// each other.
func Enter(reads bool, own ...int) (descriptor int, err error) {
	// The runtime must have the descriptor by which it wakes its poller.
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	if err := r.Close(); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	leave := []uint32{0, 1, 2}
	for _, fd := range own {
		leave = append(leave, uint32(fd))
	}
	l, err := seccomp.Install(program(append(leave, eventDescriptors()...), reads), seccomp.Uninterrupted)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return l.FD(), nil
}

// eventDescriptors are those that only wake somebody.
func eventDescriptors() (all []uint32) {
	names, _ := filepath.Glob("/proc/self/fd/*")
	for _, name := range names {
		if target, err := os.Readlink(name); err == nil && target == "anon_inode:[eventfd]" {
			if fd, err := strconv.Atoi(filepath.Base(name)); err == nil {
				all = append(all, uint32(fd))
			}
		}
	}
	return all
}

// program lists the calls that are recorded.
func program(leave []uint32, reads bool) seccomp.Program {
	var p seccomp.Program
	others := []seccomp.Cond{{Arg: 0, Not: leave}}
	streams := []uint32{unix.SYS_WRITE, unix.SYS_WRITEV}
	if reads {
		streams = append(streams, unix.SYS_READ, unix.SYS_READV, unix.SYS_PREAD64, unix.SYS_PREADV, unix.SYS_PREADV2)
	}
	for _, number := range streams {
		p = append(p, seccomp.Rule{Number: number, If: others, Action: seccomp.Notify})
	}
	const makes = unix.O_CREAT | unix.O_TRUNC
	p = append(p, seccomp.Rule{Number: unix.SYS_OPENAT, If: []seccomp.Cond{{Arg: 2, AnyOf: makes}},
		Action: seccomp.Notify})
	for _, number := range append(everywhere, onlyHere...) {
		p = append(p, seccomp.Rule{Number: number, Action: seccomp.Notify})
	}
	if openCall != 0 {
		p = append(p, seccomp.Rule{Number: openCall, If: []seccomp.Cond{{Arg: 1, AnyOf: makes}}, Action: seccomp.Notify})
	}
	for _, number := range []uint32{unix.SYS_OPENAT2, unix.SYS_COPY_FILE_RANGE, unix.SYS_IO_URING_SETUP} {
		p = append(p, seccomp.Rule{Number: number, Action: seccomp.Errno(int(unix.ENOSYS))})
	}
	for _, clone := range []uint32{unix.FICLONE, unix.FICLONERANGE} {
		p = append(p, seccomp.Rule{Number: unix.SYS_IOCTL, If: []seccomp.Cond{{Arg: 1, Is: clone}},
			Action: seccomp.Errno(int(unix.EOPNOTSUPP))})
	}
	shared := []seccomp.Cond{
		{Arg: 2, AnyOf: unix.PROT_WRITE}, {Arg: 3, AnyOf: unix.MAP_SHARED}, {Arg: 4, Not: []uint32{1<<32 - 1}},
	}
	return append(p, seccomp.Rule{Number: unix.SYS_MMAP, If: shared, Action: seccomp.Notify})
}

// everywhere are the calls of all architectures; others are in the files of
// each.
var everywhere = []uint32{
	unix.SYS_PWRITE64, unix.SYS_PWRITEV, unix.SYS_PWRITEV2, unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
	unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SYNCFS, unix.SYS_SYNC,
}

// Say puts a mark into the record, between the calls that have returned and
// those that come. Without Enter it does nothing.
func Say(text string) {
	if text == "" {
		return
	}
	b := []byte(text)
	_, _, _ = unix.Syscall(unix.SYS_WRITE, markFD, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
}

// WithoutSyncs has all syncs of this process succeed at once and do nothing, for
// good: for a process whose files nobody will miss.
func WithoutSyncs() error {
	var p seccomp.Program
	for _, number := range []uint32{
		unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SYNCFS, unix.SYS_SYNC, unix.SYS_MSYNC,
	} {
		p = append(p, seccomp.Rule{Number: number, Action: seccomp.Errno(0)})
	}
	if _, err := seccomp.Install(p, 0); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil
}
