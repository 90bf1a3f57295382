package sessiontest

import (
	"fmt"
	"sync/atomic"

	"tensile/stress/internal/payload"
)

// book is what the harness knows of N sessions: the last write of each that was
// acknowledged, and the last that was tried. Each session is written by one
// caller at a time, which does not go on before its write is acknowledged.
type book struct {
	acked, tried []atomic.Uint32 // numbers of writes, from 1; 0 for none
}

func newBook(n int) *book { return &book{make([]atomic.Uint32, n), make([]atomic.Uint32, n)} }

// next is the value of the next write of a session.
func (b *book) next(session int) (number uint32, value []byte) {
	number = b.acked[session].Load() + 1
	b.tried[session].Store(number)
	return number, payload.Value(session, number)
}

// acknowledged is how many sessions have a write that was acknowledged.
func (b *book) acknowledged() (n int) {
	for i := range b.acked {
		if b.acked[i].Load() > 0 {
			n++
		}
	}
	return n
}

// judge says what is wrong with a value that was read of a session after its
// last write, or "".
func (b *book) judge(session int, r result) (criterion, what string) {
	return b.judgeSince(session, b.acked[session].Load(), r)
}

// judgeSince judges a value that was read while the session may have been
// written, where acked was its last acknowledged write before the read began.
func (b *book) judgeSince(session int, acked uint32, r result) (criterion, what string) {
	tried := b.tried[session].Load()
	switch number, ok := payload.ReadValue(session, r.value); {
	case r.outcome == opAbsent && acked == 0:
		return "", ""
	case r.outcome == opAbsent:
		return "latest", fmt.Sprintf("%s is not there, write %d was acknowledged", keyOf(session), acked)
	case r.outcome != opDone:
		return "latest", fmt.Sprintf("%s cannot be read, write %d was acknowledged: %v", keyOf(session), acked, r.err)
	case !ok:
		return "phantom", fmt.Sprintf("%s has a value that nobody wrote to it: %x", keyOf(session), r.value)
	case number > tried:
		return "phantom", fmt.Sprintf("%s has write %d, which was never made", keyOf(session), number)
	case number < acked:
		return "latest", fmt.Sprintf("%s has write %d, after write %d was acknowledged", keyOf(session), number, acked)
	}
	return "", ""
}
