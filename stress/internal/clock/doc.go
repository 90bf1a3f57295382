// Package clock puts back the clock of one process, without special rights and without
// the help of the code that asks for the time: as after a restart of a machine whose
// clock has lost its battery, or was ahead and has been corrected.
//
// A program asks the kernel's vDSO for the time: functions that the kernel maps into each
// process. [Back] puts a detour into the private copy that this process has of them. What is
// put back is the time of day (CLOCK_REALTIME); the monotonic clock, by which durations
// are measured, begins anew with each machine anyway, and stays as it is.
//
// It is offered on Linux, on amd64.
package clock

import "errors"

// ErrUnsupported says that the system does not let a process do this to itself.
var ErrUnsupported = errors.New("clock: not supported here")
