package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMissedTicksMakeNothingOld: on a machine so busy that several ticks are
// missed, a connection that came home a moment ago bears the stamp of long before.
func TestMissedTicksMakeNothingOld(t *testing.T) {
	p, err := New(Config[int]{
		MaxSize: 2, MaxIdleTime: 1000 * time.Hour, // the real ticks are far away
		Dial:  func(context.Context) (int, error) { return 0, nil },
		Close: func(int) error { return nil },
	})
	require.NoError(t, err)
	long, err := p.Acquire(t.Context())
	require.NoError(t, err)
	recent, err := p.Acquire(t.Context())
	require.NoError(t, err)
	long.Release()
	p.advance(1)
	p.advance(2)
	recent.Release()
	p.advance(9) // seven ticks at once
	p.mu.Lock()
	assert.True(t, p.pastLimit(long.slot), "idle for eight ticks and more")
	assert.False(t, p.pastLimit(recent.slot), "came home at an instant not known")
	p.mu.Unlock()
	for now := int64(10); now < 16; now++ {
		p.advance(now)
		assert.False(t, p.pastLimit(recent.slot))
	}
	p.advance(16)
	assert.True(t, p.pastLimit(recent.slot), "no more than the missed ticks late")
	require.NoError(t, p.Close())
}

// TestWhatComesHomeToAClosedPoolIsClosed, whoever brings it: a waiter that was
// served, and whose context had ended, may come to that long after Close was called.
func TestWhatComesHomeToAClosedPoolIsClosed(t *testing.T) {
	for name, wait := range map[string]time.Duration{"plain": 0, "with limits": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				open := 0
				p, err := New(Config[int]{
					MaxSize: 1, MaxIdleTime: wait,
					Dial:  func(context.Context) (int, error) { open++; return 0, nil },
					Close: func(int) error { open--; return nil },
				})
				require.NoError(t, err)
				lease, err := p.Acquire(t.Context())
				require.NoError(t, err)
				p.mu.Lock()
				w, err := p.enqueue()
				p.mu.Unlock()
				require.NoError(t, err)
				lease.Release() // to the waiter
				closed := make(chan error, 1)
				go func() { closed <- p.Close() }()
				synctest.Wait()
				assert.Empty(t, closed, "Close waits for what was served")
				p.giveUp(w)
				require.NoError(t, <-closed)
				assert.Zero(t, open, "connections after Close")
			})
		})
	}
}
