// Package programtb has the testing.TB of one program of many that a test runs: it
// fails the program alone, and ends with it.
package programtb

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Host is what a program runs on.
type Host interface {
	Errorf(format string, args ...any)
	Check(ok bool, format string, args ...any)
	FailNow()
}

// TB is the testing.TB of one program. It logs nothing, as there are thousands of
// programs.
type TB struct {
	testing.TB
	host     Host
	mu       sync.Locker
	cleanups []func()
}

// New returns a TB for a program on host. The rest of it is that of the test; mu
// guards the list of what Cleanup is given.
func New(tb testing.TB, host Host, mu sync.Locker) *TB { return &TB{TB: tb, host: host, mu: mu} }

// End calls what Cleanup was given, the last first.
func (b *TB) End() {
	for i := len(b.cleanups) - 1; i >= 0; i-- {
		b.cleanups[i]()
	}
}

func (b *TB) Cleanup(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

func (b *TB) Helper()                   {}
func (b *TB) Error(args ...any)         { b.host.Errorf("%s", line(args)) }
func (b *TB) Errorf(f string, a ...any) { b.host.Errorf(f, a...) }
func (b *TB) Fail()                     { b.host.Errorf("the test has failed") }
func (b *TB) FailNow()                  { b.host.FailNow() }
func (b *TB) Fatal(args ...any)         { b.host.Check(false, "%s", line(args)) }
func (b *TB) Fatalf(f string, a ...any) { b.host.Check(false, f, a...) }
func (b *TB) Log(...any)                {}
func (b *TB) Logf(string, ...any)       {}

func line(args []any) string { return strings.TrimSuffix(fmt.Sprintln(args...), "\n") }
