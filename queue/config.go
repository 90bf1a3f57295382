package queue

import (
	"errors"
	"fmt"
	"math"
	"time"

	"tensile/queue/wal"
)

// Errors of a broker and its queues, to be tested with errors.Is. Those of
// queues carry the name of the queue.
var (
	// ErrClosed says that the broker was closed, or for Publish, that it is
	// being drained.
	ErrClosed = errors.New("broker closed")
	// ErrFull says that the queue holds Config.MaxLen messages.
	ErrFull = errors.New("queue full")
	// ErrUnknownQueue says that no queue of that name was declared.
	ErrUnknownQueue = errors.New("unknown queue")
	// ErrDeleted says that the queue was deleted.
	ErrDeleted = errors.New("queue deleted")
	// ErrInUse says that the queue cannot be deleted, as others give their dead
	// letters to it.
	ErrInUse = errors.New("queue in use")
	// ErrExists says that the queue was declared before with another Config.
	ErrExists = errors.New("queue exists with another configuration")
	// ErrLeaseEnded says that the message is not held any more: it was
	// acknowledged or refused, or its time-out ended and it came back.
	ErrLeaseEnded = errors.New("lease ended")
	// ErrTooLarge says that a body is longer than MaxBody.
	ErrTooLarge = errors.New("message too large")
	// ErrDiscarded says that a broker in memory was closed while it held
	// messages.
	ErrDiscarded = errors.New("messages discarded")
	// ErrInvalid says that an option or argument is out of range.
	ErrInvalid = errors.New("invalid value")

	// ErrFormat says that the log holds a record that this package did not
	// write.
	ErrFormat = errors.New("record is not understood")

	// ErrFailed says that the log has failed, now or earlier. It is that of
	// package wal.
	ErrFailed = wal.ErrFailed
	// ErrNoSpace says that the disk has no room for another segment of the log.
	// Nothing was changed. It is that of package wal.
	ErrNoSpace = wal.ErrNoSpace
	// ErrLocked says that the log is open elsewhere. It is that of package wal.
	ErrLocked = wal.ErrLocked
)

// queueError is one of the errors above with the name of its queue. It is
// formatted only when read: a publisher that meets a full queue and tries again
// must not pay for text that nobody sees.
type queueError struct {
	err   error
	queue string
}

func (e *queueError) Error() string { return fmt.Sprintf("queue %q: %v", e.queue, e.err) }
func (e *queueError) Unwrap() error { return e.err }

func invalid(name string, value any, accepted string) error {
	return fmt.Errorf("queue: %w: %s is %v, must be %s", ErrInvalid, name, value, accepted)
}

const (
	// MaxName is the length of the longest name of a queue, in bytes.
	MaxName = 255
	// MaxBody is the length of the longest body, in bytes: what fits into a
	// record of the log beside the rest of it.
	MaxBody = wal.MaxRecord - 1024
	// MaxBatch is the most messages that one call publishes, receives or
	// acknowledges.
	MaxBatch = 1 << 16
)

// Options say where the messages of a broker are. The zero value keeps them in
// memory.
type Options struct {
	// Dir is the folder of the log, which is made if need be; "" is for none.
	Dir string
	// SegmentSize is the size of its files in bytes; 0 means
	// wal.DefaultSegmentSize.
	SegmentSize int64
	// FS is where Dir is; nil means the operating system.
	FS wal.FS
}

// Overflow says what Publish does while a bounded queue is full.
type Overflow int

const (
	// Block has Publish wait in line for room, or for the end of its context.
	Block Overflow = iota
	// Reject has Publish return ErrFull.
	Reject
)

func (o Overflow) String() string {
	switch o {
	case Block:
		return "Block"
	case Reject:
		return "Reject"
	}
	return fmt.Sprintf("Overflow(%d)", int(o))
}

// DefaultVisibility is the visibility time-out where Config.Visibility is 0.
const DefaultVisibility = 30 * time.Second

// Config is how a queue behaves. The zero value is usable: unbounded, with the
// default time-out and without a dead-letter queue.
type Config struct {
	// Visibility is how long a message that was received stays invisible to
	// others; 0 means DefaultVisibility.
	Visibility time.Duration
	// MaxLen bounds the messages that the queue holds, ready, delayed, in
	// flight and parked; 0 is for no bound. Dead letters that it leaves no room
	// for wait in the queue that they come from, parked: they count there, and
	// are not delivered any more.
	MaxLen int
	// Overflow is what Publish does at that bound.
	Overflow Overflow
	// MaxAttempts is how often a message is delivered; one that comes back
	// after that goes to the queue DeadLetter, which must have been declared
	// before. 0 is for no limit.
	MaxAttempts int
	DeadLetter  string
}

func (c *Config) validate() error {
	switch {
	case c.Visibility < 0:
		return invalid("Visibility", c.Visibility, fmt.Sprintf("0 for %v, or more", DefaultVisibility))
	case c.MaxLen < 0:
		return invalid("MaxLen", c.MaxLen, "0 for no bound, or more")
	case c.Overflow != Block && c.Overflow != Reject:
		return invalid("Overflow", c.Overflow, "Block or Reject")
	case c.Overflow != Block && c.MaxLen == 0:
		return invalid("Overflow", c.Overflow, "Block while MaxLen is 0")
	case c.MaxAttempts < 0 || c.MaxAttempts > math.MaxInt32:
		return invalid("MaxAttempts", c.MaxAttempts, fmt.Sprintf("0 for no limit, or up to %d", math.MaxInt32))
	case c.MaxAttempts > 0 && c.DeadLetter == "":
		return invalid("DeadLetter", `""`, "the name of a queue while MaxAttempts is set")
	case c.MaxAttempts == 0 && c.DeadLetter != "":
		return invalid("MaxAttempts", 0, "1 or more while DeadLetter is set")
	}
	if c.Visibility == 0 {
		c.Visibility = DefaultVisibility
	}
	return nil
}
