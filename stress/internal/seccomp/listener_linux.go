//go:build amd64 || arm64

package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Uninterrupted is a flag of Install. A call that the supervisor has received
// then waits for its answer whatever signals come, but for those that kill
// (Linux 5.19). Without it a call that is interrupted is made again, also where
// the supervisor has made it already.
const Uninterrupted = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

// Notification is struct seccomp_notif of seccomp_unotify(2): a call that
// waits for its answer.
type Notification struct {
	ID    uint64
	PID   uint32 // of the thread
	Flags uint32
	Data  struct {
		Number, Arch uint32
		Pointer      uint64
		Args         [6]uint64
	}
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// addFD is struct seccomp_notif_addfd.
type addFD struct {
	id           uint64
	flags        uint32
	from, to     uint32
	toDescriptor uint32
}

// Listener receives the calls of a process and answers them. Its methods may be
// called concurrently.
type Listener struct{ fd int }

// Install applies a program to this process: all its threads, those to come, and
// its children. It cannot be undone. Without a rule that notifies there is no
// listener, and the one returned is of no use.
func Install(p Program, flags uint) (Listener, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return Listener{}, fmt.Errorf("%w: prctl: %w", errUnsupported, err)
	}
	code := p.assemble()
	filter := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	flags |= unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	if slices.ContainsFunc(p, func(r Rule) bool { return r.Action == Notify }) {
		flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags),
		uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return Listener{}, fmt.Errorf("%w: seccomp: %w", errUnsupported, errno)
	}
	return Listener{int(fd)}, nil
}

// FD is the number of the descriptor, by which a parent adopts the listener.
func (l Listener) FD() int { return l.fd }

// Adopt takes a listener over from a child that has it under a number.
func Adopt(pid, fd int) (Listener, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return Listener{}, fmt.Errorf("%w: pidfd_open: %w", errUnsupported, err)
	}
	defer func() { _ = unix.Close(process) }()
	own, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return Listener{}, fmt.Errorf("%w: pidfd_getfd: %w", errUnsupported, err)
	}
	l := Listener{own}
	// The process that waits runs at once on the processor that answers it
	// (Linux 6.6). Where that is unknown, it only takes longer.
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(own), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	return l, nil
}

func (l Listener) control(request uint, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), uintptr(request), uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// Errors of Wait and Receive.
var (
	ErrEnded   = errors.New("seccomp: the process has ended")
	ErrTimeout = errors.New("seccomp: no call in time")
)

// Wait returns once there is a call to be received, with ErrEnded if there never
// will be, or with ErrTimeout.
func (l Listener) Wait(most time.Duration) error {
	set := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(set, int((most+time.Millisecond-1)/time.Millisecond))
	switch {
	case errors.Is(err, unix.EINTR):
		return ErrTimeout
	case err != nil:
		return err
	case n == 0:
		return ErrTimeout
	case set[0].Revents&unix.POLLIN != 0:
		return nil
	}
	return ErrEnded
}

// Receive waits for a call.
func (l Listener) Receive(n *Notification) error {
	for {
		*n = Notification{}
		err := l.control(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
		// ENOENT: the caller was interrupted meanwhile.
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
}

// Continue has a call made as if nobody had looked at it.
func (l Listener) Continue(id uint64) {
	l.send(response{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// Return ends a call with a value, or with an error number if that is not 0.
func (l Listener) Return(id uint64, value int64, errno unix.Errno) {
	if errno != 0 {
		value = 0
	}
	l.send(response{id: id, value: value, errno: -int32(errno)})
}

// send fails only where the caller is gone, or interrupted and asks again.
func (l Listener) send(r response) { _ = l.control(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)) }

// ReturnFile ends a call with a new descriptor for a file of this process, which
// keeps its own.
//
// The descriptor is added first and returned by a call of its own. The kernel offers both in one
// (SECCOMP_ADDFD_FLAG_SEND), but a signal that comes meanwhile, as the Go runtime sends them to its
// own threads, ends that one with the caller answered and nothing added: the caller gets 0.
func (l Listener) ReturnFile(id uint64, fd int, closeOnExec bool) error {
	a := addFD{id: id, from: uint32(fd)}
	if closeOnExec {
		a.toDescriptor = unix.O_CLOEXEC
	}
	for {
		added, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.fd), unix.SECCOMP_IOCTL_NOTIF_ADDFD,
			uintptr(unsafe.Pointer(&a)))
		switch errno {
		case 0:
			l.Return(id, int64(added), 0)
			return nil
		case unix.EINTR: // before it was added
			continue
		}
		return errno
	}
}

// Close ends the supervision: calls that would be passed on fail with ENOSYS.
func (l Listener) Close() error { return unix.Close(l.fd) }
