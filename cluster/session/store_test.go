package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// within runs a test in virtual time on a world of four nodes.
func within(t *testing.T, cfg Config, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 4, cfg)
		defer w.close()
		test(t, w)
	})
}

func TestPutGetDelete(t *testing.T) {
	within(t, Config{}, func(t *testing.T, w *world) {
		ctx := t.Context()
		a, b := w.store("a"), w.store("b")
		_, err := a.Get(ctx, "k")
		assert.ErrorIs(t, err, ErrNotFound)

		v1, err := a.Put(ctx, "k", []byte("one"), 0)
		require.NoError(t, err)
		got, err := b.Get(ctx, "k")
		require.NoError(t, err)
		assert.Equal(t, Session{Value: []byte("one"), Version: v1}, got)

		v2, err := b.Put(ctx, "k", nil, time.Minute)
		require.NoError(t, err)
		assert.Positive(t, v2.Compare(v1))
		got, err = a.Get(ctx, "k")
		require.NoError(t, err)
		assert.Empty(t, got.Value)
		assert.Equal(t, time.Minute, time.Until(got.Expires).Round(time.Second))

		v3, err := a.Delete(ctx, "k")
		require.NoError(t, err)
		assert.Positive(t, v3.Compare(v2))
		_, err = b.Get(ctx, "k")
		assert.ErrorIs(t, err, ErrNotFound)
	})
}
