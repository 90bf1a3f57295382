package pool_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/pool"
)

var errUnfit = errors.New("unfit")

// dialled is a configuration whose connections are kept in the order in which
// they were dialled.
func dialled(size int) (pool.Config[*thing], *list[*thing]) {
	cfg := config(size)
	all := new(list[*thing])
	cfg.Dial = func(context.Context) (*thing, error) {
		c := &thing{}
		all.add(c)
		return c, nil
	}
	return cfg, all
}

func acquire(t *testing.T, p *pool.Pool[*thing]) pool.Lease[*thing] {
	t.Helper()
	l, err := p.Acquire(t.Context())
	require.NoError(t, err)
	return l
}

// when returns how long it takes until happened, looked at every second.
func when(happened func() bool) time.Duration {
	from := time.Now()
	for !happened() && time.Since(from) < 24*time.Hour {
		time.Sleep(time.Second)
		synctest.Wait()
	}
	return time.Since(from)
}

func TestIdleConnectionIsClosedWithinItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(2)
		cfg.MaxIdleTime = 40 * time.Minute
		p := open(t, cfg)
		time.Sleep(7 * time.Minute) // between two ticks
		l := acquire(t, p)
		time.Sleep(3 * time.Hour)
		l.Release() // only now it is idle
		took := when(func() bool { return all.all()[0].closed.Load() })
		assert.GreaterOrEqual(t, took, 30*time.Minute, "no more than a quarter early")
		assert.LessOrEqual(t, took, 40*time.Minute+time.Second)
		assert.EqualValues(t, 1, p.Stats().Expired)
		assert.Zero(t, p.Stats().Open)
		assert.NoError(t, p.Close())
	})
}

// TestUseKeepsAConnectionFromBeingIdle: only the one not used goes.
func TestUseKeepsAConnectionFromBeingIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(2)
		cfg.MaxIdleTime = 40 * time.Minute
		p := open(t, cfg)
		first, second := acquire(t, p), acquire(t, p)
		first.Release()
		second.Release()
		for range 20 {
			time.Sleep(10 * time.Minute)
			acquire(t, p).Release()
		}
		closed := 0
		for _, c := range all.all() {
			if c.closed.Load() {
				closed++
			}
		}
		assert.Len(t, all.all(), 2)
		assert.Equal(t, 1, closed, "the one used last is lent first, and the other falls idle")
		assert.NoError(t, p.Close())
	})
}

// TestLifetimeIsDrawnFromItsLastTenth so that connections dialled together are
// not replaced together.
func TestLifetimeIsDrawnFromItsLastTenth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, life, tick = 40, 1000 * time.Minute, 10 * time.Minute
		cfg, all := dialled(size)
		cfg.MaxLifetime = life
		cfg.MaxIdleTime = 4 * tick // for a fine tick; nothing is ever idle for that long
		p := open(t, cfg)
		leases := make([]pool.Lease[*thing], size)
		for i := range leases {
			leases[i] = acquire(t, p)
		}
		from, ends := time.Now(), map[time.Duration]int{}
		for len(all.all()) < 2*size && time.Since(from) < 2*life {
			time.Sleep(tick)
			before := len(all.all())
			for i, l := range leases {
				l.Release()
				leases[i] = acquire(t, p)
			}
			ends[time.Since(from)] += len(all.all()) - before
		}
		replaced := 0
		for at, n := range ends {
			replaced += n
			if n > 0 {
				assert.GreaterOrEqual(t, at, life*9/10-tick)
				assert.LessOrEqual(t, at, life+2*tick)
				assert.Less(t, n, size, "all at once")
			}
		}
		assert.Equal(t, size, replaced)
		for _, l := range leases {
			l.Release()
		}
		assert.NoError(t, p.Close())
	})
}

func TestConnectionPastItsLifetimeIsNotLent(t *testing.T) {
	for _, idle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg, all := dialled(1)
			cfg.MaxLifetime = time.Hour
			p := open(t, cfg)
			l := acquire(t, p)
			if idle { // it is closed while nobody has it
				l.Release()
				time.Sleep(2 * time.Hour)
				assert.True(t, all.all()[0].closed.Load())
			} else { // and otherwise when it comes home
				time.Sleep(2 * time.Hour)
				assert.False(t, all.all()[0].closed.Load(), "somebody has it")
				l.Release()
				assert.True(t, all.all()[0].closed.Load())
			}
			l = acquire(t, p)
			assert.Same(t, all.all()[1], l.Conn())
			l.Release()
			assert.NoError(t, p.Close())
		})
	}
}

func TestCheckIsAskedOnlyAfterIdling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(1)
		asked, verdict := 0, error(nil)
		cfg.CheckAfter = time.Minute
		cfg.Check = func(ctx context.Context, c *thing) error {
			asked++
			return verdict
		}
		p := open(t, cfg)
		acquire(t, p).Release()
		time.Sleep(30 * time.Second)
		acquire(t, p).Release()
		assert.Zero(t, asked, "neither a new one nor one that was used just now")
		time.Sleep(2 * time.Minute)
		acquire(t, p).Release()
		assert.Equal(t, 1, asked)
		assert.Len(t, all.all(), 1, "it was fit")

		verdict = errUnfit
		time.Sleep(2 * time.Minute)
		l := acquire(t, p)
		assert.Equal(t, 2, asked)
		assert.True(t, all.all()[0].closed.Load())
		assert.Same(t, all.all()[1], l.Conn())
		l.Release()
		assert.NoError(t, p.Close())
	})
}

func TestCheckIsAskedAfterASecondUnlessSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(1)
		asked := 0
		cfg.Check = func(context.Context, *thing) error { asked++; return nil }
		p := open(t, cfg)
		acquire(t, p).Release()
		time.Sleep(500 * time.Millisecond)
		acquire(t, p).Release()
		assert.Zero(t, asked)
		time.Sleep(1300 * time.Millisecond)
		acquire(t, p).Release()
		assert.Equal(t, 1, asked)
		assert.NoError(t, p.Close())
	})
}

func TestMinIdleIsKeptReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(4)
		cfg.MinIdle = 2
		p := open(t, cfg)
		synctest.Wait()
		assert.Equal(t, 2, p.Stats().Idle, "before anybody asks")

		leases := []pool.Lease[*thing]{acquire(t, p), acquire(t, p), acquire(t, p)}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Idle, "there is no more room")
		assert.Len(t, all.all(), 4)
		for _, l := range leases {
			l.Discard()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 2, p.Stats().Idle)
		assert.Equal(t, 2, p.Stats().Open)
		assert.NoError(t, p.Close())
		assert.Equal(t, 0, p.Stats().Open)
	})
}

func TestMinIdleTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, _ := dialled(2)
		dial := cfg.Dial
		var down atomic.Bool
		down.Store(true)
		cfg.Dial = func(ctx context.Context) (*thing, error) {
			if down.Load() {
				return nil, errDial
			}
			return dial(ctx)
		}
		cfg.MinIdle = 2
		p := open(t, cfg)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Zero(t, p.Stats().Open)
		assert.Greater(t, p.Stats().Failed, uint64(10))
		down.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 2, p.Stats().Idle)
		assert.NoError(t, p.Close())
	})
}

// TestCloseEndsDialsOfItsOwn: a dial that fills MinIdle is told by its context,
// and what it brings all the same is closed.
func TestCloseEndsDialsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(1)
		dial := cfg.Dial
		cfg.MinIdle = 1
		cfg.Dial = func(ctx context.Context) (*thing, error) {
			<-ctx.Done()
			return dial(ctx)
		}
		p := open(t, cfg)
		synctest.Wait()
		assert.NoError(t, p.Close())
		require.Len(t, all.all(), 1)
		assert.True(t, all.all()[0].closed.Load())
		assert.Zero(t, p.Stats().Open)
	})
}

// TestWaiterGetsWhatMinIdleDials: it has waited for room, whoever fills it.
func TestWaiterGetsWhatMinIdleDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(1)
		dial := cfg.Dial
		cfg.MinIdle = 1
		cfg.Dial = func(ctx context.Context) (*thing, error) {
			time.Sleep(time.Minute)
			return dial(ctx)
		}
		p := open(t, cfg)
		synctest.Wait() // the only place is taken by the pool's own dial
		l := acquire(t, p)
		assert.Same(t, all.all()[0], l.Conn())
		l.Release()
		assert.NoError(t, p.Close())
	})
}

// TestMinIdleAgesFromItsDial, not from when its place was last released.
func TestMinIdleAgesFromItsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(1)
		cfg.MinIdle = 1
		cfg.MaxIdleTime = 40 * time.Minute
		p := open(t, cfg)
		time.Sleep(6*time.Hour + time.Minute)
		synctest.Wait()
		assert.Len(t, all.all(), 10, "a new one every 40 minutes")
		assert.NoError(t, p.Close())
	})
}

// TestLimitsHoldWhileADialHangs: the housekeeping waits, and time does not.
func TestLimitsHoldWhileADialHangs(t *testing.T) {
	for name, limit := range map[string]func(cfg *pool.Config[*thing]){
		"lifetime": func(cfg *pool.Config[*thing]) { cfg.MaxLifetime = time.Hour },
		"check": func(cfg *pool.Config[*thing]) {
			cfg.CheckAfter = time.Hour
			cfg.Check = func(context.Context, *thing) error { return errUnfit }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, all := dialled(2)
				limit(&cfg)
				cfg.MinIdle = 2
				dial := cfg.Dial
				var dials atomic.Int32
				cfg.Dial = func(ctx context.Context) (*thing, error) {
					if dials.Add(1) == 2 { // by the housekeeping
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return dial(ctx)
				}
				p := open(t, cfg)
				time.Sleep(3 * time.Hour)
				l := acquire(t, p)
				assert.True(t, all.all()[0].closed.Load())
				assert.NotSame(t, all.all()[0], l.Conn(), "the one past its limit")
				l.Release()
				assert.NoError(t, p.Close())
			})
		})
	}
}

// TestLimitsBeyondAllTime are no limits: they neither overflow nor act.
func TestLimitsBeyondAllTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, all := dialled(1)
		cfg.MaxLifetime, cfg.MaxIdleTime = math.MaxInt64, math.MaxInt64
		cfg.CheckAfter = time.Minute // for a tick that comes round
		cfg.Check = func(context.Context, *thing) error { return nil }
		p := open(t, cfg)
		for range 5 {
			acquire(t, p).Release()
			time.Sleep(24 * time.Hour)
		}
		assert.Len(t, all.all(), 1)
		assert.NoError(t, p.Close())
	})
}

// TestWaiterDeadlines: each waiter is told in its own time, the others keep
// their places.
func TestWaiterDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, config(1))
		l := acquire(t, p)
		from := time.Now()
		told := make([]time.Duration, 6)
		var served list[int]
		for i := range 6 {
			go func() {
				ctx := context.Background()
				if i%2 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Duration(10-i)*time.Second)
					defer cancel()
				}
				l, err := p.Acquire(ctx)
				if i%2 == 0 {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					told[i] = time.Since(from)
					return
				}
				assert.NoError(t, err)
				served.add(i)
				l.Release()
			}()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []time.Duration{10 * time.Second, 0, 8 * time.Second, 0, 6 * time.Second, 0}, told)
		assert.EqualValues(t, 3, p.Stats().Cancelled)
		l.Release()
		synctest.Wait()
		assert.Equal(t, []int{1, 3, 5}, served.all())
		assert.NoError(t, p.Close())
	})
}

func TestContextThatHasEndedIsNotServed(t *testing.T) {
	p := open(t, config(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Acquire(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, p.Stats().Open)
	assert.NoError(t, p.Close())
}

// TestSlowClosesHoldTheirOwnPlaces: connections that are closed together are closed
// at once, so that a peer that is gone and takes its time holds nobody up for longer.
func TestSlowClosesHoldTheirOwnPlaces(t *testing.T) {
	const size, slow = 50, time.Minute
	for name, after := range map[string]func(*testing.T, *pool.Pool[*thing]){
		"past a limit": func(t *testing.T, p *pool.Pool[*thing]) {
			for p.Stats().Idle > 0 {
				time.Sleep(time.Second)
			}
			began := time.Now()
			for range size {
				lease := acquire(t, p)
				defer lease.Release()
			}
			assert.LessOrEqual(t, time.Since(began), slow)
		},
		"at the end": func(t *testing.T, p *pool.Pool[*thing]) {
			began := time.Now()
			require.NoError(t, p.Close())
			assert.Equal(t, slow, time.Since(began))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg, _ := dialled(size)
				cfg.MaxIdleTime = time.Hour
				closeIt := cfg.Close
				cfg.Close = func(c *thing) error { time.Sleep(slow); return closeIt(c) }
				p := open(t, cfg)
				var leases []pool.Lease[*thing]
				for range size {
					leases = append(leases, acquire(t, p))
				}
				for _, lease := range leases {
					lease.Release()
				}
				after(t, p)
				require.NoError(t, p.Close())
			})
		})
	}
}
