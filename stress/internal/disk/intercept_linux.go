//go:build amd64 || arm64

package disk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tensile/stress/internal/seccomp"
)

// Intercept begins to pass every call on to the Syncs that it returns. It can
// be called once in a process.
func Intercept() (*Syncs, error) {
	var p seccomp.Program
	for _, number := range []uint32{
		unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_MSYNC, unix.SYS_SYNC_FILE_RANGE, unix.SYS_SYNCFS,
	} {
		p = append(p, seccomp.Rule{Number: number, Action: seccomp.Notify})
	}
	l, err := seccomp.Install(p, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	s := newSyncs()
	go s.listen(l)
	return s, nil
}

// listen answers what the kernel asks, each on a goroutine of its own, as it
// may be held up.
func (s *Syncs) listen(l seccomp.Listener) {
	for {
		var n seccomp.Notification
		if err := l.Receive(&n); err != nil {
			panic(errors.Join(ErrUnsupported, err)) // every sync would wait for ever
		}
		go func() {
			if s.decide() {
				l.Continue(n.ID)
			} else {
				l.Return(n.ID, 0, unix.EIO)
			}
		}()
	}
}
