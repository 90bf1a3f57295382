package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestSealed: what ends after the books were closed is unfinished, and stays so.
func TestSealed(t *testing.T) {
	t.Parallel()
	stuck, started := make(chan struct{}), make(chan struct{})
	l := quick()
	l.Do = func(_ context.Context, i int) error {
		if i == 1 {
			close(started)
			<-stuck
		}
		return nil
	}
	o := newOffering(l, task{Count: 3, Rate: 1000, Patience: time.Second})
	o.do(t.Context(), 0, 0)
	ended := make(chan struct{})
	go func() { defer close(ended); o.do(t.Context(), 1, 0) }()
	<-started
	var a account
	o.seal(&a)
	close(stuck)
	<-ended
	assert.Equal(t, account{Started: 2, Succeeded: 1, Unfinished: 1}, a)
	assert.Equal(t, 1, o.recorder.Latency().N)
}
