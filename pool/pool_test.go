package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/pool"
)

type thing struct{ closed atomic.Bool }

// list is filled by several goroutines.
type list[T any] struct {
	mu    sync.Mutex
	items []T
}

func (l *list[T]) add(item T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
}

func (l *list[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

func config(size int) pool.Config[*thing] {
	return pool.Config[*thing]{
		MaxSize: size,
		Dial:    func(context.Context) (*thing, error) { return &thing{}, nil },
		Close:   func(c *thing) error { c.closed.Store(true); return nil },
	}
}

func open(t *testing.T, cfg pool.Config[*thing]) *pool.Pool[*thing] {
	t.Helper()
	p, err := pool.New(cfg)
	require.NoError(t, err)
	return p
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*pool.Config[*thing]){
		"Dial":        func(c *pool.Config[*thing]) { c.Dial = nil },
		"Close":       func(c *pool.Config[*thing]) { c.Close = nil },
		"MaxSize":     func(c *pool.Config[*thing]) { c.MaxSize = 0 },
		"MinIdle":     func(c *pool.Config[*thing]) { c.MinIdle = 3 },
		"MaxWaiters":  func(c *pool.Config[*thing]) { c.MaxWaiters = -2 },
		"MaxIdleTime": func(c *pool.Config[*thing]) { c.MaxIdleTime = -1 },
		"MaxLifetime": func(c *pool.Config[*thing]) { c.MaxLifetime = -1 },
		"CheckAfter":  func(c *pool.Config[*thing]) { c.CheckAfter = 1 },
	} {
		cfg := config(2)
		spoil(&cfg)
		_, err := pool.New(cfg)
		assert.ErrorIs(t, err, pool.ErrConfig, name)
		assert.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, "must be")
	}
}

func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, config(1))
		first, err := p.Acquire(t.Context())
		require.NoError(t, err)
		var served list[int]
		for i := range 5 {
			go func() {
				l, err := p.Acquire(context.Background())
				if assert.NoError(t, err) {
					served.add(i)
					l.Release()
				}
			}()
			synctest.Wait()
		}
		first.Release()
		synctest.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4}, served.all())
		assert.NoError(t, p.Close())
	})
}

func TestDeadlineWhileWaitingLeaksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, config(1))
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.Acquire(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		l.Release()
		l, err = p.Acquire(t.Context())
		require.NoError(t, err)
		l.Release()
		assert.NoError(t, p.Close())
	})
}

func TestOverflow(t *testing.T) {
	cfg := config(1)
	cfg.MaxWaiters = pool.NoWaiters
	p := open(t, cfg)
	l, err := p.Acquire(t.Context())
	require.NoError(t, err)
	_, err = p.Acquire(t.Context())
	assert.ErrorIs(t, err, pool.ErrOverflow)
	l.Release()
	assert.NoError(t, p.Close())
	_, err = p.Acquire(t.Context())
	assert.ErrorIs(t, err, pool.ErrClosed)
}

func TestDiscardReplacesAndDoubleEndPanics(t *testing.T) {
	p := open(t, config(1))
	l, err := p.Acquire(t.Context())
	require.NoError(t, err)
	broken := l.Conn()
	l.Discard()
	assert.True(t, broken.closed.Load())
	assert.Panics(t, l.Release)
	l, err = p.Acquire(t.Context())
	require.NoError(t, err)
	assert.NotSame(t, broken, l.Conn())
	l.Release()
	assert.Panics(t, l.Release)
	assert.NoError(t, p.Close())
}

func TestFailedDialPassesItsRoomOn(t *testing.T) {
	down := errors.New("down")
	cfg := config(1)
	failures := 1
	dial := cfg.Dial
	cfg.Dial = func(ctx context.Context) (*thing, error) {
		if failures--; failures >= 0 {
			return nil, down
		}
		return dial(ctx)
	}
	p := open(t, cfg)
	_, err := p.Acquire(t.Context())
	assert.ErrorIs(t, err, down)
	l, err := p.Acquire(t.Context())
	require.NoError(t, err)
	l.Release()
	assert.NoError(t, p.Close())
}

func TestLimitsInTime(t *testing.T) {
	for name, set := range map[string]func(*pool.Config[*thing]){
		"idle time": func(c *pool.Config[*thing]) { c.MaxIdleTime = time.Minute },
		"lifetime":  func(c *pool.Config[*thing]) { c.MaxLifetime = time.Minute },
		"check": func(c *pool.Config[*thing]) {
			c.CheckAfter = time.Minute
			c.Check = func(context.Context, *thing) error { return errors.New("unfit") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config(1)
				set(&cfg)
				p := open(t, cfg)
				l, err := p.Acquire(t.Context())
				require.NoError(t, err)
				old := l.Conn()
				l.Release()
				time.Sleep(30 * time.Second)
				l, err = p.Acquire(t.Context())
				require.NoError(t, err)
				assert.Same(t, old, l.Conn(), "within the limit")
				l.Release()
				time.Sleep(2 * time.Minute)
				l, err = p.Acquire(t.Context())
				require.NoError(t, err)
				assert.NotSame(t, old, l.Conn(), "beyond the limit")
				assert.True(t, old.closed.Load())
				l.Release()
				assert.NoError(t, p.Close())
			})
		})
	}
}

func TestCloseWaitsForWhatIsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, config(1))
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		closed := false
		go func() {
			assert.NoError(t, p.Close())
			closed = true
		}()
		synctest.Wait()
		assert.False(t, closed)
		l.Release()
		synctest.Wait()
		assert.True(t, closed)
		assert.Zero(t, p.Stats().Open)
	})
}
