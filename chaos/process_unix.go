//go:build unix

package chaos

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Processes returns the injectors of Kill and Pause. find returns the current process of a
// target. restart starts a target again that was killed. It undoes Kill, and may be nil.
//
// If a paused process has died, its pause counts as undone.
func Processes(find func(target string) (*os.Process, error), restart func(target string) error) map[Fault]Injector {
	return map[Fault]Injector{
		Kill: func(_ context.Context, target string) (func() error, error) {
			p, err := find(target)
			if err != nil {
				return nil, err
			}
			if err := p.Kill(); err != nil {
				return nil, err
			}
			if restart == nil {
				return nil, nil
			}
			return func() error { return restart(target) }, nil
		},
		Pause: func(_ context.Context, target string) (func() error, error) {
			p, err := find(target)
			if err != nil {
				return nil, err
			}
			if err := p.Signal(syscall.SIGSTOP); err != nil {
				return nil, err
			}
			return func() error {
				if err := p.Signal(syscall.SIGCONT); !errors.Is(err, os.ErrProcessDone) {
					return err
				}
				return nil
			}, nil
		},
	}
}
