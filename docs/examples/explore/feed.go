package explore

import (
	"errors"
	"sync"
)

// ErrClosed is what a closed feed says.
var ErrClosed = errors.New("feed is closed")

// Feed hands values to one reader. Faulty, it lets go of the lock before it sends,
// so that the channel may be closed in between.
type Feed struct {
	Faulty bool
	mu     sync.Mutex
	closed bool
	values chan int
}

// NewFeed has room for so many values that nobody has read.
func NewFeed(room int, faulty bool) *Feed { return &Feed{Faulty: faulty, values: make(chan int, room)} }

// Send hands over a value, if there is room; it drops it otherwise.
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
