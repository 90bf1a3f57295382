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
// one for the calls of each. A connection begins with a handshake in which both
// prove that they have the secret, the dialler with its first word. It yields
// keys for this connection alone (X25519, HKDF with the secret; the pattern NNpsk0
// of Noise); with TLS they are also bound to the TLS session (RFC 9266). Then come
// frames, of as many messages as were waiting when the frame was written, each
// sealed with AES-256-GCM under a nonce that counts. A key is replaced after 64 GiB.
//
// # Promises
//
// Time. No call, Send or Reply takes longer than Config.CallTimeout by more than
// 50 ms in which the process runs: not while it waits for room in the window, and
// not when its connection fails or the node is closed meanwhile.
//
// The path. Who can read and change what goes between two nodes, but has not the
// secret, reads nothing, and gets nothing of his own believed: nothing added, left
// out, repeated or moved within a connection, and no name but that of one who has
// the secret. What was recorded stays closed if the secret becomes known later. He
// can delay and cut connections. Streams of gossip are connections too. Packets of
// gossip are sealed by memberlist, with a key of the whole cluster and a random
// nonce: they can be repeated, which leads to no more than a dial, and 2^32 of them,
// two months of 100 nodes, are what should go under one secret.
//
// Strangers. Who has not the secret holds at most 512 connections of a node, each for
// at most 1 s and the price of a goroutine and some KB; and 256 more, for 2 s, with
// the first words of members that he overheard. Beyond that each new one puts out
// another, of the address from which there are most, at random. So none that comes
// from elsewhere is put out, and a flood from the very address of a member only makes
// it dial more than once.
//
// The secret. It is a key of 32 random bytes or more, not a password: the first word
// of a dialler, and the answer, let one who records them try secrets without asking
// anybody, and only the number of secrets makes that hopeless. For the same reason
// it does not matter who proves itself first. All who have it are equal: a member
// may speak for any name, and is believed in what it says of others. To replace it,
// see Config.AcceptedSecrets.
package cluster
