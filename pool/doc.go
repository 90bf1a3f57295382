// Package pool lends a bounded number of connections to any number of
// goroutines.
//
// A [Pool] holds at most [Config.MaxSize] connections. [Pool.Acquire] lends an
// idle one, dials a new one while there is room, and otherwise waits: waiters
// are served strictly in the order in which they came, and a connection that
// is released goes straight to the first of them. A [Lease] ends with
// [Lease.Release], which keeps the connection, or with [Lease.Discard], which
// closes it because it is broken and lets the next in line dial its
// replacement.
//
//	p, err := pool.New(pool.Config[net.Conn]{
//		MaxSize: 8,
//		Dial: func(ctx context.Context) (net.Conn, error) {
//			return new(net.Dialer).DialContext(ctx, "tcp", addr)
//		},
//		Close: net.Conn.Close,
//	})
//
// # What it promises
//
//   - Never more than MaxSize connections open or being dialled.
//   - A connection is lent to one holder at a time. A lease that was ended is
//     dead: ending it again panics rather than taking the connection away from
//     its next holder.
//   - Waiters are served first come, first served, and none is forgotten: a
//     waiter that gives up when its context ends takes nothing with it, and a
//     failed dial or a discarded connection passes its place on.
//   - With [Config.MaxWaiters] the queue is bounded and a caller beyond it gets
//     [ErrOverflow] at once.
//   - [Pool.Close] turns waiters away with [ErrClosed], closes what is idle and
//     returns once the last connection lent out is home and closed.
//
// # Limits in time
//
// MaxIdleTime, MaxLifetime and CheckAfter are kept in the background, by two
// goroutines that exist only where one of them, or MinIdle, is set. Time is
// counted in ticks, and a released connection is stamped with the current tick
// instead of the clock, because reading the clock would double the cost of a
// release. These limits are therefore coarse: each acts within a quarter of
// itself, and none acts more often than once a millisecond.
//
// # Cost
//
// Acquire and Release of an idle connection are two short critical sections
// under one mutex and allocate nothing. Sharding the free list was not needed:
// strict order among waiters wants one queue, and the comparison with other
// pools in stress/peers shows the one mutex ahead of them.
package pool
