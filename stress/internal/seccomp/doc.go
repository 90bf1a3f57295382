// Package seccomp lets a process put its own system calls under the control of a supervisor
// (seccomp(2), seccomp_unotify(2)). It needs no special rights. It is offered on Linux, on
// amd64 and arm64.
//
//   - [Program] lists how calls are answered: passed to the supervisor, or ended at once with an
//     error number, which may be 0.
//   - [Install] applies it to all threads of this process, for good.
//   - [Listener] is the supervisor's side. This process can use it or, after [Adopt], its parent
//     can.
package seccomp

import "errors"

// errUnsupported says that the system does not let a process do this to itself.
var errUnsupported = errors.New("seccomp: not supported here")
