//go:build unix

package cluster

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyContinued tells when this process goes on after it was stopped, by
// SIGSTOP or a terminal. end stops that.
func notifyContinued() (continued <-chan os.Signal, end func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGCONT)
	return c, func() { signal.Stop(c) }
}
