package session

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestNothingIsSentLate has operations wait in line behind others that are slow,
// until their time is over. They must not be sent then, for what they say may be
// older than what is remembered of deletions.
func TestNothingIsSentLate(t *testing.T) {
	const timeout = 300 * time.Millisecond
	withNodes(t, 4, Config{Timeout: timeout}, func(t *testing.T, w *world) {
		began := time.Now()
		var late, sent atomic.Int64
		w.intercept(func(from, _ *Store, request []byte) ([]byte, bool) {
			if from.cfg.Name == "a" && request[0] == msgOperations {
				sent.Add(1)
				if time.Since(began)-time.Second > timeout {
					late.Add(1)
				}
			}
			return nil, false
		})
		w.shape(func(l *link) { l.min, l.max = time.Second, time.Second })
		for i := range 100 {
			go func() { _ = putOnly(t, w.store("a"), fmt.Sprint(i), nil, 0) }() // it fails
			time.Sleep(time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		assert.Positive(t, sent.Load())
		assert.Zero(t, late.Load(), "of %d messages some were sent after the last Timeout", sent.Load())
	})
}
