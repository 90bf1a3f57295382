// Package session is a replicated store of sessions. It stays linearizable while nodes
// are killed, paused and cut off.
//
//	store, err := session.New(session.Config{Name: "a", Nodes: []string{"a", "b", "c", "d"}})
//	node, err := cluster.Start(ctx, cluster.Config{Name: "a", Handler: store.Serve, ...})
//	store.Start(session.Over(node))
//
//	version, err := store.Put(ctx, "user-7", cart, 30*time.Minute)
//	found, err := store.Get(ctx, "user-7")
//	version, err = store.Delete(ctx, "user-7")
//
// # Promises
//
//   - Linearizability. Each operation on a session, at any node, takes effect at one
//     instant between its call and its return.
//   - Durability. An acknowledged write survives the death of any one node. After
//     that it survives another death once the store has replicated it again, which
//     takes about [Config.RepairAfter] plus the time to copy it.
//   - Loss is reported. If a second replica of a session loses its memory before the
//     store has replicated the session again, a read returns [ErrLost], never an
//     older state. Sessions can be written to these replicas again within seconds.
//     After [Store.DeclareLost], reads of sessions that nobody has written since no
//     longer return ErrLost. A node that does not answer may only be cut off, so
//     what it alone has counts as lost only after [Store.DeclareDead].
//   - Time. An operation ends with its context, or after [Config.Timeout].
//     [ErrNoQuorum] means that no majority of the three replicas answered and that
//     nothing was written. [ErrUncertain] means that the write was sent, but not
//     confirmed in time.
//   - One broken link changes nothing. A node is left out only if a majority of the
//     nodes believes it dead. Nodes that cannot reach each other synchronize through
//     a third node.
//   - A node that comes back without its memory does not vote before it has caught up.
//   - Damage is detected. Each record carries the checksum that its writer computed.
//     A replica whose copy is damaged does not answer for that session, in reads and
//     in writes, until it has asked both other replicas and taken over the newer of
//     their copies.
//   - A session that was deleted stays deleted until it is written again. Once one of
//     its replicas reaches both others, they free its memory within a few
//     [Config.TombstoneLife].
//
// Nothing is written to disk: if all nodes lose their memory, everything is lost. There
// is no compare-and-set, because majority registers cannot provide one.
//
// # How it works
//
// Each session is a register on three nodes, chosen by rendezvous hashing, and is read
// and written by the algorithm of Attiya, Bar-Noy and Dolev (1995). Two answers are a
// majority, so one node may be dead, and no operation waits for the slowest node.
//
// The set of nodes is a view, numbered by an epoch. Its members are lives of nodes: a
// node that was restarted is another member. A majority of the members of one view
// agrees on the next. In a new view, replicas that already had a session vote at once,
// and a newcomer votes once it has taken over the state of a majority of those that
// voted before. docs/sessions.md has the proof that this is linearizable.
//
// # Clocks
//
// A session with a time to live carries the instant at which it expires. A reader whose
// clock has passed that instant does not find it. The clocks of the nodes must therefore
// agree as closely as the expiry of sessions needs to be exact. The order of writes does
// not depend on clocks.
//
// Clocks that are wrong for a while delete nothing. A session is forgotten only if all
// three replicas agree that it is gone, each by its clock and by the time that it has
// measured itself since the record arrived.
//
// Deleted and expired sessions are remembered for at least [Config.TombstoneLife], and
// until all three replicas have taken part in forgetting them. Safety does not depend on
// that time: messages may be late, and nodes paused, for any length of time. A write whose
// two phases are further apart than TombstoneLife may end with [ErrUncertain].
package session
