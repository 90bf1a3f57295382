package pool

import (
	"context"
	"testing"
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
