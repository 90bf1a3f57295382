package pool_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/pool"
)

// TestPanicOfACallbackLosesNoRoom: whatever the pool calls may panic; that goes
// to the caller, and the room to the next.
func TestPanicOfACallbackLosesNoRoom(t *testing.T) {
	for name, spoil := range map[string]func(cfg *pool.Config[*thing], armed *bool){
		"Dial": func(cfg *pool.Config[*thing], armed *bool) {
			dial := cfg.Dial
			cfg.Dial = func(ctx context.Context) (*thing, error) {
				if *armed {
					panic("on purpose")
				}
				return dial(ctx)
			}
		},
		"Dial that ends its goroutine": func(cfg *pool.Config[*thing], armed *bool) {
			dial := cfg.Dial
			cfg.Dial = func(ctx context.Context) (*thing, error) {
				if *armed {
					runtime.Goexit()
				}
				return dial(ctx)
			}
		},
		"Check": func(cfg *pool.Config[*thing], armed *bool) {
			cfg.CheckAfter = time.Minute
			cfg.Check = func(context.Context, *thing) error {
				if *armed {
					panic("on purpose")
				}
				return nil
			}
		},
		"Close": func(cfg *pool.Config[*thing], armed *bool) {
			cfg.CheckAfter = time.Minute
			cfg.Check = func(context.Context, *thing) error {
				if *armed {
					return errUnfit
				}
				return nil
			}
			closeIt := cfg.Close
			cfg.Close = func(c *thing) error {
				_ = closeIt(c)
				if *armed {
					panic("on purpose")
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, all := dialled(1)
				armed := false
				spoil(&cfg, &armed)
				p := open(t, cfg)
				if cfg.Check != nil { // it takes a connection that was idle
					acquire(t, p).Release()
					time.Sleep(time.Hour)
				}
				armed = true
				ended := make(chan any)
				go func() {
					defer func() { ended <- recover() }()
					_, _ = p.Acquire(context.Background())
				}()
				if value := <-ended; name != "Dial that ends its goroutine" {
					assert.Equal(t, "on purpose", value)
				}
				armed = false
				l := acquire(t, p)
				assert.False(t, l.Conn().closed.Load())
				for _, c := range all.all() {
					assert.Equal(t, c != l.Conn(), c.closed.Load())
				}
				l.Release()
				assert.NoError(t, p.Close())
			})
		})
	}
}

func TestPanicWhileDiscardingLosesNoRoom(t *testing.T) {
	cfg := config(1)
	cfg.Close = func(*thing) error { panic("on purpose") }
	p := open(t, cfg)
	l := acquire(t, p)
	assert.PanicsWithValue(t, "on purpose", l.Discard)
	l = acquire(t, p)
	assert.PanicsWithValue(t, "on purpose", l.Discard)
	assert.NoError(t, p.Close())
}

// TestFailedDialGoesOnToTheNextWaiter, in order, each by its own dial.
func TestFailedDialGoesOnToTheNextWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(1)
		dial := cfg.Dial
		var failures atomic.Int32
		cfg.Dial = func(ctx context.Context) (*thing, error) {
			if failures.Add(-1) >= 0 {
				return nil, errDial
			}
			return dial(ctx)
		}
		p := open(t, cfg)
		l := acquire(t, p)
		var failed, served list[int]
		for i := range 4 {
			go func() {
				l, err := p.Acquire(context.Background())
				if err != nil {
					assert.ErrorIs(t, err, errDial)
					failed.add(i)
					return
				}
				served.add(i)
				l.Release()
			}()
			synctest.Wait()
		}
		failures.Store(2)
		l.Discard()
		synctest.Wait()
		assert.Equal(t, []int{0, 1}, failed.all())
		assert.Equal(t, []int{2, 3}, served.all())
		assert.Len(t, all.all(), 2)
		assert.NoError(t, p.Close())
	})
}

func TestEveryCloseWaitsForTheSameEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, config(1))
		l := acquire(t, p)
		var closed atomic.Int32
		for range 3 {
			go func() {
				assert.NoError(t, p.Close())
				closed.Add(1)
			}()
		}
		synctest.Wait()
		assert.Zero(t, closed.Load())
		l.Discard()
		synctest.Wait()
		assert.EqualValues(t, 3, closed.Load())
		assert.NoError(t, p.Close())
	})
}

// TestCloseIsOverOnlyWhenConnectionsAre: one that takes long to close is waited
// for too.
func TestCloseIsOverOnlyWhenConnectionsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(2)
		cfg.Close = func(c *thing) error {
			time.Sleep(time.Minute)
			c.closed.Store(true)
			return nil
		}
		p := open(t, cfg)
		lent, idle := acquire(t, p), acquire(t, p)
		idle.Release()
		time.AfterFunc(time.Hour, lent.Release)
		from := time.Now()
		assert.NoError(t, p.Close())
		assert.Equal(t, time.Hour+time.Minute, time.Since(from))
		for _, c := range all.all() {
			assert.True(t, c.closed.Load())
		}
	})
}

// TestTurmoil has many callers acquire, give up, release, discard and fail to
// dial at once. Whatever happens, the bound holds, no connection has two holders,
// and in the end all room is there.
func TestTurmoil(t *testing.T) {
	const size, callers, each = 4, 32, 400
	var dialling atomic.Int64
	cfg := pool.Config[*atomic.Bool]{
		MaxSize: size, MaxWaiters: callers / 2, MinIdle: 1,
		MaxIdleTime: 4 * time.Millisecond, MaxLifetime: 8 * time.Millisecond, CheckAfter: 4 * time.Millisecond,
		Check: func(context.Context, *atomic.Bool) error {
			if rand.IntN(2) == 0 {
				return errUnfit
			}
			return nil
		},
		Dial: func(context.Context) (*atomic.Bool, error) {
			if n := dialling.Add(1); n > size {
				t.Errorf("%d connections are open", n)
			}
			if rand.IntN(20) == 0 {
				dialling.Add(-1)
				return nil, errDial
			}
			return new(atomic.Bool), nil
		},
		Close: func(c *atomic.Bool) error {
			if c.Load() {
				t.Error("a connection was closed while somebody held it")
			}
			dialling.Add(-1)
			return nil
		},
	}
	p, err := pool.New(cfg)
	require.NoError(t, err)
	var all sync.WaitGroup
	var served atomic.Int64
	for caller := range callers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(9, uint64(caller)))
			for range each {
				ctx, cancel := context.WithCancel(context.Background())
				switch random.IntN(4) {
				case 0:
					time.AfterFunc(time.Duration(random.IntN(200))*time.Microsecond, cancel)
				case 1:
					go cancel()
				}
				l, err := p.Acquire(ctx)
				if err == nil {
					served.Add(1)
					if l.Conn().Swap(true) {
						t.Error("a connection has two holders")
					}
					runtime.Gosched()
					l.Conn().Store(false)
					if random.IntN(5) == 0 {
						l.Discard()
					} else {
						l.Release()
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
	assert.Positive(t, served.Load())
	var leases []pool.Lease[*atomic.Bool]
	for len(leases) < size {
		if l, err := p.Acquire(t.Context()); err == nil {
			leases = append(leases, l)
		} else {
			require.ErrorIs(t, err, errDial)
		}
	}
	assert.Equal(t, size, p.Stats().InUse)
	for _, l := range leases {
		l.Release()
	}
	assert.NoError(t, p.Close())
	assert.Zero(t, dialling.Load(), "connections open after Close")
}
