package registry

import (
	"errors"
	"fmt"
	"math"
)

// Errors of a registry, to be tested with errors.Is. Those of Register,
// Unregister and Send carry the name they are about.
var (
	// ErrUnknown says that no handler is registered under the name.
	ErrUnknown = errors.New("unknown name")
	// ErrTaken says that the name is registered already.
	ErrTaken = errors.New("name taken")
	// ErrFull says that the mailbox of the name holds Config.Mailbox messages.
	ErrFull = errors.New("mailbox full")
	// ErrClosed says that the registry was closed.
	ErrClosed = errors.New("registry closed")
	// ErrConfig is wrapped by every error of New.
	ErrConfig = errors.New("registry: bad configuration")
)

// nameError is one of the errors above with its name. It is formatted only
// when read: a sender that finds a mailbox full and tries again must not pay for text
// that is never read.
type nameError struct {
	err  error
	name string
}

func (e *nameError) Error() string { return fmt.Sprintf("registry: %v: %q", e.err, e.name) }
func (e *nameError) Unwrap() error { return e.err }

// DefaultMailbox is the bound of a mailbox where Config.Mailbox is 0.
const DefaultMailbox = 1024

// Config bounds a registry. The zero value is usable.
type Config struct {
	// Mailbox is the number of messages a name may hold that its handler has
	// not finished with; 0 means DefaultMailbox.
	Mailbox int
	// OnPanic is told of every panic of a handler, on the goroutine that
	// called it; the message that caused it counts as handled, and the name
	// goes on with the next. Where OnPanic is nil, slog gets an error record.
	OnPanic func(name string, value any, stack []byte)
}

func (c *Config) validate() error {
	if c.Mailbox < 0 || c.Mailbox > math.MaxInt32 {
		return fmt.Errorf("%w: Mailbox is %d, must be 0 for %d, or 1 to %d",
			ErrConfig, c.Mailbox, DefaultMailbox, math.MaxInt32)
	}
	return nil
}
