// Package disk makes the disk fail for this process only, with the errors of the
// kernel. Any code that writes can be tested in this way, without a file system of its
// own and without special rights.
//
//   - [LimitFileSize] simulates a full disk: a write beyond the limit is cut short and
//     then fails.
//   - [Intercept] passes every fsync, fdatasync and msync to the caller, which may hold it
//     up, delay it or make it fail (seccomp user notification, seccomp(2); Linux 5.7 and
//     later).
//
// Neither can be undone completely, so they are for child processes that are killed
// afterwards.
package disk

import (
	"errors"
	"sync"
	"time"
)

// ErrUnsupported says that the system does not let a process do this to itself.
var ErrUnsupported = errors.New("disk: not supported here")

// Syncs are the calls of this process that bring files to the disk. Safe for
// concurrent use.
type Syncs struct {
	mu      sync.Mutex
	cond    sync.Cond
	calls   int // ever made
	holding bool
	fail    int           // calls that are still to fail; all if negative
	slow    time.Duration // what each takes beside its own time
}

func newSyncs() *Syncs {
	s := &Syncs{}
	s.cond.L = &s.mu
	return s
}

// Calls is the number of calls so far, those under way included.
func (s *Syncs) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Hold has calls wait until Release.
func (s *Syncs) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// Release lets go on what Hold holds up.
func (s *Syncs) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = false
	s.cond.Broadcast()
}

// Fail has the next n calls to be decided fail with EIO, or all from now on if
// n is negative. One that is held up is decided at its release.
func (s *Syncs) Fail(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = n
}

// Slow has each call take that long, beside what it takes by itself.
func (s *Syncs) Slow(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slow = d
}

// decide tells whether a call goes through, once nobody holds it up.
func (s *Syncs) decide() (through bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if slow := s.slow; slow > 0 {
		s.mu.Unlock()
		time.Sleep(slow)
		s.mu.Lock()
	}
	for s.holding {
		s.cond.Wait()
	}
	if s.fail == 0 {
		return true
	}
	if s.fail > 0 {
		s.fail--
	}
	return false
}
