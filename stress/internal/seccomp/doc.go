// Package seccomp lets a process put its own system calls under the control of
// a supervisor (seccomp(2), seccomp_unotify(2)): no special rights are needed.
// It is offered on Linux, amd64 and arm64.
//
//   - [Program] lists which calls are answered how: passed on to the
//     supervisor, or ended at once with an error number, which may be 0.
//   - [Install] applies it to all threads of this process, for good.
//   - [Listener] is the supervisor's side. It may be used by this process or,
//     after [Adopt], by its parent.
package seccomp

import "errors"

// ErrUnsupported says that the system does not let a process do this to itself.
var ErrUnsupported = errors.New("seccomp: not supported here")
