package proc

import "syscall"

// Stop and Continue have no equal on Windows: Process.Signal returns an error for
// them. The numbers are those of Linux.
const (
	Stop     = syscall.Signal(0x13)
	Continue = syscall.Signal(0x12)
)
