package pooltest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/wait"
)

// The limits in time that are asked of a Limited. They are short, so that
// the phase is, and judged with a wide margin: a pool may look at them only now
// and then, and the machine may be busy.
const (
	idleLimit     = 100 * time.Millisecond
	lifetimeLimit = 150 * time.Millisecond
	checkAfter    = 20 * time.Millisecond
	limitMargin   = 20 // times a limit, within which it must have acted
)

var errSick = errors.New("the kit has made this connection unhealthy")

// check is the health check that the kit hands to a pool.
func check(_ context.Context, c net.Conn) error {
	if at := unwrap[*conn](c); at != nil && at.sick.Load() {
		return errSick
	}
	return nil
}

// limits: connections that were idle for too long, are too old or unhealthy are
// not lent any more, and others are not closed for it.
func (k *kit) limits(ctx context.Context, t *testing.T) {
	const size = 4
	limited, ok := k.probe(t).(Limited)
	var offered Limits
	if ok {
		offered = limited.Limits()
	}
	var all sync.WaitGroup
	for _, l := range []struct {
		name   string
		offers bool
		cfg    Config
		test   func(context.Context, Pool, *dialler)
	}{
		{"idle", offered.Idle, Config{MaxIdleTime: idleLimit}, k.idle},
		{"lifetime", offered.Lifetime, Config{MaxLifetime: lifetimeLimit}, k.lifetime},
		{"health", offered.Health, Config{Check: check, CheckAfter: checkAfter}, k.health},
	} {
		if !l.offers {
			k.NotOffered(l.name, "the subject does not say that it keeps this limit")
			continue
		}
		l.cfg.Size = size
		p, d := k.start(t, l.cfg)
		all.Go(func() {
			defer k.Recovered("limits")
			l.test(ctx, p, d)
			d.early.Store(nil)
			k.closePool(p)
		})
	}
	all.Wait()
}

// probe opens a pool, to see which abilities it has, and closes it.
func (k *kit) probe(t testing.TB) Pool {
	p, _ := k.start(t, Config{Size: 1})
	k.closePool(p)
	return p
}

// idle leaves connections alone: they must be closed, or at least not be lent
// again; one that is used all the while must stay.
func (k *kit) idle(ctx context.Context, p Pool, d *dialler) {
	d.closesEarly(func(c *conn) {
		if idle := c.idleFor(); c.holder.Load() == 0 && idle < idleLimit/2 {
			k.Violate("idle", "a connection was closed after it had been idle for %v, the limit is %v", idle, idleLimit)
		}
	})
	k.capacity(ctx, p, d.size, "idle")
	old := d.all()
	wait.Until(ctx, limitMargin*idleLimit, func() bool { return d.open.Load() == 0 })
	k.lend(ctx, p, "idle", func(c *conn) {
		if idle := c.idleFor(); slices.Contains(old, c) && idle > limitMargin/2*idleLimit {
			k.Violate("idle", "a connection was lent that had been idle for %v, the limit is %v", idle, idleLimit)
		}
	})
	began := time.Now()
	for time.Since(began) < 2*idleLimit && ctx.Err() == nil {
		k.lend(ctx, p, "idle", func(*conn) {})
		time.Sleep(idleLimit / 5) // a connection that is used, but not all the time
	}
}

// lifetime uses a connection until another takes its place, and holds one for
// longer than it may live.
func (k *kit) lifetime(ctx context.Context, p Pool, d *dialler) {
	d.closesEarly(func(c *conn) {
		if age := c.age(); age < lifetimeLimit/2 {
			k.Violate("lifetime", "a connection was closed at the age of %v, the limit is %v", age, lifetimeLimit)
		}
	})
	replaced := wait.Until(ctx, limitMargin*lifetimeLimit, func() bool {
		k.lend(ctx, p, "lifetime", func(*conn) {})
		return len(d.all()) > 1
	})
	if l, err := k.acquire(ctx, p); err == nil {
		c := k.hold(l, 0) // a holder keeps what it has, however old that gets
		time.Sleep(2 * lifetimeLimit)
		k.release(l, c)
	}
	if !replaced {
		k.Violate("lifetime", "a connection is still lent at the age of %v, the limit is %v",
			limitMargin*lifetimeLimit, lifetimeLimit)
	}
}

// health makes idle connections unhealthy: none of them may be lent.
func (k *kit) health(ctx context.Context, p Pool, d *dialler) {
	k.capacity(ctx, p, d.size, "health")
	for _, c := range d.all() {
		c.sick.Store(true)
	}
	time.Sleep(limitMargin * checkAfter) // so that every one is due for a check
	for range d.size {
		k.lend(ctx, p, "health", func(c *conn) {
			if c.sick.Load() {
				k.Violate("health",
					"a connection was lent that its health check calls unhealthy, after %v idle; checks are due after %v",
					c.idleFor(), checkAfter)
			}
		})
	}
	k.capacity(ctx, p, d.size, "health")
}

// lend borrows a connection, looks at it and gives it back.
func (k *kit) lend(ctx context.Context, p Pool, criterion string, look func(*conn)) {
	l, err := k.acquire(ctx, p)
	if err != nil {
		k.Violate(criterion, "Acquire returned %v, where another connection should have been dialled", err)
		return
	}
	c := k.hold(l, 0)
	if c != nil {
		look(c)
	}
	k.release(l, c)
}
