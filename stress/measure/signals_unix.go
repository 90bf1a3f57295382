//go:build unix

package measure

import (
	"os"
	"os/signal"
	"syscall"
)

// startSignals starts the goroutine of os/signal, which stays once it is there:
// otherwise who asks for signals first would be taken to leak it.
func startSignals() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGCONT)
	signal.Stop(c)
}
