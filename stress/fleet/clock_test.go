package fleet

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestInstantsOfOtherClocks: whatever the way there and back takes, and however
// far apart the clocks are and run, the true instant is within what is said.
func TestInstantsOfOtherClocks(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		ahead := random.Int64N(1e12) - 5e11
		rate := 1 + (random.Float64()*2-1)*drift*0.99
		theirClock := func(ours int64) int64 { return ahead + int64(float64(ours)*rate) }
		asked := random.Int64N(1e6)
		there, back := random.Int64N(5e6), random.Int64N(5e6)
		o := read(asked, theirClock(asked+there), asked+there+back)
		event := asked + random.Int64N(20e9)
		found := o.ours(theirClock(event))
		off := found.at - event
		assert.LessOrEqual(t, max(off, -off), found.within+2)
		assert.LessOrEqual(t, found.within, (there+back)/2+int64(drift*21e9))
		assert.InDelta(t, event, o.ours(o.theirs(event)).at, 1)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	assert.Zero(t, spread(nil))
	assert.Zero(t, spread([]instant{{5, 3}}))
	assert.Equal(t, int64(10), spread([]instant{{100, 1}, {105, 2}, {107, 2}}))
	assert.Equal(t, int64(26), spread([]instant{{100, 1}, {105, 20}}), "what is known badly counts for as much")
}

func TestSleep(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	assert.NoError(t, sleep(ctx, time.Millisecond))
	assert.NoError(t, sleep(ctx, -1))
	cause := errors.New("enough")
	cancel(cause)
	assert.ErrorIs(t, sleep(ctx, time.Hour), cause)
	assert.ErrorIs(t, sleep(ctx, -1), cause)
}
