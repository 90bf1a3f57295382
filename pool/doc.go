// Package pool lends a bounded number of connections to any number of goroutines.
//
// A [Pool] holds at most [Config.MaxSize] connections. [Pool.Acquire] lends an idle one,
// dials a new one while there is room, and otherwise waits. Waiters are served strictly in
// the order in which they came, and a connection that is released goes straight to the first
// of them. A [Lease] ends with [Lease.Release], which keeps the connection, or with
// [Lease.Discard], which closes a broken connection and lets the next waiter dial its
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
// # Promises
//
//   - No more than MaxSize connections are ever open or being dialled.
//   - A connection is lent to one holder at a time. Ending a lease twice panics, rather
//     than taking the connection away from its next holder.
//   - Waiters are served first come, first served, and none is forgotten. A waiter
//     whose context ends takes no connection with it. If a dial fails or a connection
//     is discarded, the next waiter may dial instead.
//   - With [Config.MaxWaiters] the number of waiters is bounded, and a caller beyond it
//     gets [ErrOverflow] at once.
//   - [Pool.Close] turns waiters away with [ErrClosed], closes idle connections, and
//     returns once the last lent connection is back and closed.
//
// # Time limits
//
// Two goroutines keep MaxIdleTime, MaxLifetime and CheckAfter in the background. They exist
// only if one of these, or MinIdle, is set. Time is counted in ticks, and a released
// connection is stamped with the current tick instead of the clock, because reading the clock
// would double the cost of a release. The limits are therefore coarse: each takes effect with
// an error of up to a quarter of its length, and none is checked more often than once a
// millisecond.
//
// # Cost
//
// Acquire and Release of an idle connection are two short critical sections under one mutex,
// and allocate nothing. The free list is not sharded: strict order among waiters needs one
// queue, and the comparison in stress/peers shows the one mutex ahead of other pools.
package pool
