//go:build amd64 || arm64

package disk

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
)

// notification is struct seccomp_notif, response struct seccomp_notif_resp of
// seccomp_unotify(2).
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	data  struct {
		number, arch uint32
		pointer      uint64
		arguments    [6]uint64
	}
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// Intercept begins to pass every call on to the Syncs that it returns. It can
// be called once in a process.
func Intercept() (*Syncs, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("%w: prctl: %w", ErrUnsupported, err)
	}
	program := filter()
	listing := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// For all threads, those to come included.
	listener, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&listing)))
	if errno != 0 {
		return nil, fmt.Errorf("%w: seccomp: %w", ErrUnsupported, errno)
	}
	s := newSyncs()
	go s.listen(listener)
	return s, nil
}

// filter asks the listener about calls that sync, and lets all others pass.
func filter() []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	verdict := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	calls := []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_MSYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SYNCFS}
	program := []unix.SockFilter{
		load(dataArch),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: arch},
		verdict(unix.SECCOMP_RET_ALLOW),
		load(dataNumber),
	}
	for i, number := range calls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K,
			Jt: uint8(len(calls) - i), K: number}) // to the last instruction
	}
	return append(program, verdict(unix.SECCOMP_RET_ALLOW), verdict(unix.SECCOMP_RET_USER_NOTIF))
}

// listen answers what the kernel asks, each on a goroutine of its own, as it
// may be held up.
func (s *Syncs) listen(listener uintptr) {
	for {
		var n notification
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		if errno == unix.EINTR || errno == unix.ENOENT { // ENOENT: the caller was interrupted meanwhile
			continue
		}
		if errno != 0 {
			panic(errors.Join(ErrUnsupported, errno)) // every sync would wait for ever
		}
		go func() {
			r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			if !s.decide() {
				r.flags, r.errno = 0, -int32(unix.EIO)
			}
			// It fails only where the caller was interrupted, and then asks again.
			_, _, _ = unix.Syscall(unix.SYS_IOCTL, listener, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
		}()
	}
}
