// Package recorder records what a child process does to the files under a folder, call by call,
// and can make these calls fail. It needs no special rights, and only one call of the child:
// [Enter] passes the child's system calls to its parent (package seccomp). The parent's [Start]
// then makes them for the child, one after the other. The record therefore has the order in which
// the calls took effect, and what they returned. Calls on other files are left alone.
//
// These calls are recorded: open with O_CREAT or O_TRUNC, write, writev, pwrite, pwritev, truncate,
// fallocate, rename, link, unlink, mkdir, rmdir, and the syncs. A sync is only recorded and not
// carried out, so programs that sync often run fast. Files opened with O_SYNC, O_DSYNC and O_APPEND
// are treated as such.
//
// Not offered: writes through a shared mapping (the record then has a Note), O_DIRECT, O_TMPFILE,
// reflinks, io_uring and copy_file_range (refused, so that programs do without), files moved across
// the border of the folder, and what the child's own children do.
//
// It is offered on Linux 5.19 and later, on amd64 and arm64.
package recorder

import (
	"errors"
	"time"

	"tensile/stress/internal/crashstates"
)

// ErrUnsupported says that the system does not offer what it takes.
var ErrUnsupported = errors.New("recorder: not supported here")

// Options of a recorder. The zero value records and lets everything pass.
type Options struct {
	// Linger is how long a sync takes at most, beside others that go on: what is
	// written during a sync is not covered by it.
	Linger time.Duration
	// Fault is asked before each call that would be recorded, with the event as
	// it would be, and before each read if Enter was told of reads. It is called on
	// one goroutine.
	Fault func(e *crashstates.Event) Fault
}

// Fault is what becomes of a call in place of success.
type Fault struct {
	Errno int // ends the call; 0 does not
	Short int // a write takes so many bytes fewer, at least 1 of them remains
}
