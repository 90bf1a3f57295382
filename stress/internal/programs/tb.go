package programs

import (
	"fmt"
	"strings"
	"testing"
)

// programTB is the testing.TB of one program: it fails the schedule, and ends with
// it.
type programTB struct {
	testing.TB
	e        Host
	mu       Lock
	cleanups []func()
}

func newTB(t *testing.T, e Host) *programTB { return &programTB{TB: t, e: e} }

func (b *programTB) Cleanup(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cleanups = append(b.cleanups, f)
}

func (b *programTB) end() {
	for i := len(b.cleanups) - 1; i >= 0; i-- {
		b.cleanups[i]()
	}
}

func (b *programTB) Helper()                   {}
func (b *programTB) Error(args ...any)         { b.e.Errorf("%s", said(args)) }
func (b *programTB) Errorf(f string, a ...any) { b.e.Errorf(f, a...) }
func (b *programTB) Fail()                     { b.e.Errorf("the test has failed") }
func (b *programTB) FailNow()                  { b.e.FailNow() }
func (b *programTB) Fatal(args ...any)         { b.e.Check(false, "%s", said(args)) }
func (b *programTB) Fatalf(f string, a ...any) { b.e.Check(false, f, a...) }
func (b *programTB) Log(...any)                {} // there are thousands of programs
func (b *programTB) Logf(string, ...any)       {}

func said(args []any) string { return strings.TrimSuffix(fmt.Sprintln(args...), "\n") }
