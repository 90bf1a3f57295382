package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that Acquire and New return, to be tested with errors.Is.
var (
	// ErrClosed is returned by Acquire once Close was called, and to those
	// who were waiting then.
	ErrClosed = errors.New("pool: closed")
	// ErrOverflow is returned by Acquire when MaxWaiters callers wait already.
	ErrOverflow = errors.New("pool: too many waiters")
	// ErrConfig is wrapped by every error of New.
	ErrConfig = errors.New("pool: bad configuration")
)

// Config says what a pool holds and within which bounds. Dial and MaxSize are
// required; every other zero value means "no such limit".
type Config[C any] struct {
	// Dial opens a connection. It is called by the goroutine whose Acquire
	// found room, with that caller's context, and never more than MaxSize
	// times at once. Dials that fill MinIdle get a context that ends with
	// the pool.
	Dial func(context.Context) (C, error)
	// Close closes a connection that the pool gives up. It is called without
	// any lock held, and for several connections at once. Its error is not the caller's concern and is dropped.
	Close func(C) error
	// Check tells whether a connection that was idle for CheckAfter or longer
	// is still fit to be lent; on an error the connection is closed and
	// another takes its place. It is called with the Acquire's context.
	Check func(context.Context, C) error

	// MaxSize is the number of connections never exceeded, at least 1.
	MaxSize int
	// MinIdle is the number of idle connections kept ready while the pool is
	// not full. Filling up happens in the background; a dial that fails there
	// is tried again at the next tick.
	MinIdle int
	// MaxWaiters bounds the callers waiting in Acquire; 0 leaves them
	// unbounded, and NoWaiters allows none.
	MaxWaiters int
	// MaxIdleTime closes a connection that nobody borrowed for that long.
	MaxIdleTime time.Duration
	// MaxLifetime closes a connection that old, when idle or when it comes
	// home. Each connection's own limit is drawn from the last tenth of it,
	// so that connections dialled together are not replaced together.
	MaxLifetime time.Duration
	// CheckAfter is the idle time from which Check is asked before lending;
	// 0 with a Check means one second.
	CheckAfter time.Duration
}

// NoWaiters as Config.MaxWaiters makes Acquire fail with ErrOverflow instead
// of waiting.
const NoWaiters = -1

func (c *Config[C]) validate() error {
	bad := func(name string, value any, accepted string) error {
		return fmt.Errorf("%w: %s is %v, must be %s", ErrConfig, name, value, accepted)
	}
	switch {
	case c.Dial == nil:
		return bad("Dial", "nil", "a function")
	case c.Close == nil:
		return bad("Close", "nil", "a function")
	case c.MaxSize < 1:
		return bad("MaxSize", c.MaxSize, "1 or more")
	case c.MinIdle < 0 || c.MinIdle > c.MaxSize:
		return bad("MinIdle", c.MinIdle, fmt.Sprintf("0 to MaxSize (%d)", c.MaxSize))
	case c.MaxWaiters < NoWaiters:
		return bad("MaxWaiters", c.MaxWaiters, "NoWaiters (-1), 0 for unbounded, or more")
	case c.MaxIdleTime < 0:
		return bad("MaxIdleTime", c.MaxIdleTime, "0 for none, or more")
	case c.MaxLifetime < 0:
		return bad("MaxLifetime", c.MaxLifetime, "0 for none, or more")
	case c.CheckAfter < 0:
		return bad("CheckAfter", c.CheckAfter, "0 for one second, or more")
	case c.CheckAfter > 0 && c.Check == nil:
		return bad("CheckAfter", c.CheckAfter, "0 while Check is nil")
	}
	return nil
}

// tickLength is an eighth of the shortest limit in time; 0 means that nothing
// needs ticks. A released connection bears the last tick that was told, which may
// be almost two ticks ago: so each limit acts within a quarter of itself.
func (c *Config[C]) tickLength() time.Duration {
	shortest := time.Duration(0)
	for _, limit := range []time.Duration{c.MaxIdleTime, c.MaxLifetime, c.CheckAfter} {
		if limit > 0 && (shortest == 0 || limit < shortest) {
			shortest = limit
		}
	}
	if shortest == 0 && c.MinIdle > 0 {
		shortest = time.Second
	}
	if shortest == 0 {
		return 0
	}
	return max(shortest/8, time.Millisecond)
}
