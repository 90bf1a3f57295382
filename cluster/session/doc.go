// Package session is a replicated store for session state that stays
// linearizable while nodes are killed, paused and cut off.
//
//	store, err := session.New(session.Config{Name: "a", Nodes: []string{"a", "b", "c", "d"}})
//	node, err := cluster.Start(ctx, cluster.Config{Name: "a", Handler: store.Serve, ...})
//	store.Start(session.Over(node))
//
//	version, err := store.Put(ctx, "user-7", cart, 30*time.Minute)
//	found, err := store.Get(ctx, "user-7")
//	version, err = store.Delete(ctx, "user-7")
//
// # What it promises
//
//   - The operations on a session, at whatever nodes, are linearizable: each takes
//     effect at one instant between its begin and its end.
//   - An acknowledged write is there as long as no two nodes lose their memory
//     before what the first had was replicated anew, which takes about
//     Config.RepairAfter and the time to copy it.
//   - What was lost is said to be: [ErrLost] stands for it, and never an older
//     state. New sessions are written there again within seconds, and
//     [Store.DeclareLost] says that what was lost is lost. A node that is away may
//     be cut off, so nothing that it has is lost before [Store.DeclareDead] says so.
//   - One broken link changes nothing: a node is left out when most others
//     believe it dead, and asks those it cannot reach by way of others.
//   - Whoever can not reach a majority of a session's three replicas gets
//     [ErrNoQuorum] and has changed nothing; a write that was sent out and not
//     confirmed in time gets [ErrUncertain].
//   - A node that comes back without its memory does not vote before it has
//     caught up.
//   - Records carry the checksum that their writer gave them. A replica whose copy
//     is damaged counts as one that does not answer, in reads and in writes, until
//     it has taken over what both others have.
//   - A session that was deleted stays deleted until it is written again. Its memory
//     is free within a few [Config.TombstoneLife] once one of its replicas reaches
//     both others.
//
// Nothing is written to a disk: what all nodes lose together is lost. There is
// no compare-and-set, since majority registers cannot give one.
//
// # How
//
// Each session is a register on three nodes, chosen by rendezvous hashing, that
// is read and written as by Attiya, Bar-Noy and Dolev (1995). A majority of two
// answers; so one node may be dead, and nobody waits for the slowest.
//
// Who the nodes are is a view, numbered by an epoch, and members are lives of
// nodes: one that was restarted is another member. Views follow each other by
// agreement of a majority of the members of the one before. In a new view the
// replicas that had a session already vote at once, and a newcomer once it has
// taken over the state of a majority of those that voted before. Why this stays
// linearizable is argued in docs/sessions.md.
//
// # Time
//
// A session with a time to live carries the instant at which it expires, and is
// gone for a reader whose clock has passed it. So the clocks of the nodes must
// agree as closely as sessions are to expire. Order among writes does not depend
// on clocks.
//
// Clocks that are wrong for a while delete nothing: a session is forgotten only
// if all three replicas agree that it is gone, each by its clock and by the time
// that it has measured since the record came.
//
// Deleted and expired sessions are remembered for [Config.TombstoneLife], and until
// all three replicas have taken part in forgetting them. What is safe depends on no
// time: messages may be late, and nodes paused, for as long as they like. A write
// whose two phases lie further apart than TombstoneLife may end with
// [ErrUncertain].
package session
