package explore

import (
	"errors"
	"sync"
)

// ErrClosed is the error of a closed feed.
var ErrClosed = errors.New("feed is closed")

// Feed passes values to one reader. If Faulty, it releases the lock before it sends, so
// the channel may be closed in between.
type Feed struct {
	Faulty bool
	mu     sync.Mutex
	closed bool
	values chan int
}

// NewFeed returns a feed with room for a number of values that were not read yet.
func NewFeed(room int, faulty bool) *Feed { return &Feed{Faulty: faulty, values: make(chan int, room)} }

// Send passes on a value if there is room, and drops it otherwise.
func (f *Feed) Send(v int) error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return ErrClosed
	}
	if f.Faulty {
		f.mu.Unlock()
	} else {
		defer f.mu.Unlock()
	}
	select {
	case f.values <- v:
	default:
	}
	return nil
}

// Values ends when the feed is closed.
func (f *Feed) Values() <-chan int { return f.values }

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.values)
	}
}
