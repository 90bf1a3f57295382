// Package cluster makes a process a node: it finds the others, learns at once
// when one dies, and calls them over authenticated connections.
//
//	node, err := cluster.Start(ctx, cluster.Config{
//		Name: "a", Bind: "127.0.0.1:0", Seeds: []string{"127.0.0.1:7001"}, Secret: secret,
//		Handler: func(r cluster.Request) { r.Reply(r.Body) },
//	})
//	reply, err := node.Call(ctx, "b", []byte("hello"))
//
// # Membership
//
// Nodes find each other through hashicorp/memberlist: one seed address is
// enough, and its gossip is encrypted with a key derived from the shared
// secret. A node is listed as alive once there is a connection to it; so what
// is listed can be called.
//
// Each life of a node has an incarnation, a number that is higher than those of
// its earlier lives. What is meant for, or comes from, an earlier life is
// refused.
//
// # Failure
//
// Two things are evidence of death. A connection that drops and a dial that is
// then refused: the process is gone, and that is known as soon as the kernel
// has closed its sockets. And silence: nodes send a beat every 50 ms, and one
// from which nothing came for 350 ms is suspected. A process that hangs can not
// be told from one that waits for a processor but by time, so silence is counted
// with care:
//
//   - Only time in which this node itself listened counts. Of the time between
//     two looks no more than 100 ms is taken to be such: so a node that was
//     stopped, or is starved, accuses nobody for that.
//   - Where this node runs late, or beats came late, in the last seconds, the
//     limit grows by six times the delay, up to 2 s. The one is the local health
//     of Lifeguard (Dadgar, Phillips and Currey, DSN Workshops 2018), the other the
//     estimate of Chen, Toueg and Aguilera (IEEE Transactions on Computers 51,
//     2002). Time in which this process was stopped is no delay: SIGCONT tells.
//   - A majority of those that can still be heard must agree. SWIM (Das, Gupta
//     and Motivala, DSN 2002) asks others to look; here all look anyway, and tell.
//
// # Connections
//
// Each node dials each other, so there are two connections between two nodes,
// one for the calls of each. A connection begins with a challenge and a
// response in both directions (HMAC-SHA256 over both nonces, names and
// incarnations); with TLS it is also bound to the TLS session (RFC 9266). Then
// come frames: a length, a CRC-32C, and as many messages as were waiting when
// the frame was written.
package cluster
