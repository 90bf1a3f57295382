// Package cluster makes a process a node. A node finds the others, detects at once when
// one dies, and calls them over authenticated connections.
//
//	node, err := cluster.Start(ctx, cluster.Config{
//		Name: "a", Bind: "127.0.0.1:0", Seeds: []string{"127.0.0.1:7001"}, Secret: secret,
//		Handler: func(r cluster.Request) { r.Reply(r.Body) },
//	})
//	reply, err := node.Call(ctx, "b", []byte("hello"))
//
// # Membership
//
// Nodes find each other with hashicorp/memberlist. One seed address is enough, and gossip is
// encrypted with a key derived from the shared secret. A node is listed as alive once there is
// a connection to it, so a node that is listed can be called.
//
// Each life of a node has an incarnation, a number that is higher than those of its earlier
// lives. A message that is meant for an earlier life, or comes from one, is refused.
//
// # Failure
//
// There are two kinds of evidence that a node is dead. The first is a connection that drops and
// a dial that is then refused: the process is gone, which is known as soon as the kernel has
// closed its sockets. The second is silence: nodes send a beat every 50 ms, and a node from which
// nothing has arrived for 350 ms is suspected. Only time can distinguish a process that hangs from
// one that waits for a processor, so silence is counted with care:
//
//   - Only time in which this node itself listened counts. At most 100 ms of the time between
//     two checks counts. A node that was stopped, or gets no processor, therefore suspects no
//     other node.
//   - If this node has run late, or beats have come late, in the last seconds, the limit grows
//     by six times the delay, up to 2 s. The first adjustment is the local health of Lifeguard
//     (Dadgar, Phillips and Currey, DSN Workshops 2018). The second is the estimate of Chen,
//     Toueg and Aguilera (IEEE Transactions on Computers 51, 2002). Time in which this process
//     was stopped does not count as delay; the process learns of it by SIGCONT.
//   - A majority of the nodes that can still be heard must agree. In SWIM (Das, Gupta and
//     Motivala, DSN 2002), a node asks others to check. Here, every node checks every other, and
//     tells the rest what it finds.
//
// # Connections
//
// Each node dials each other node, so there are two connections between two nodes, one for the
// calls of each. A connection begins with a handshake in which both sides prove that they have the
// secret, the dialler with its first message. The handshake yields keys for this connection only
// (X25519, HKDF with the secret; the pattern NNpsk0 of Noise). With TLS, they are also bound to
// the TLS session (RFC 9266). Frames follow. A frame carries all messages that were waiting when
// it was written, and is sealed with AES-256-GCM under a nonce that counts. A key is replaced
// after 64 GiB.
//
// # Promises
//
// Time. Call, Send and Reply return within Config.CallTimeout plus 50 ms, not counting time in
// which the process does not run. This includes the wait for room in the window. It also holds for
// calls whose connection fails or whose node is closed.
//
// The path. Consider an attacker who can read and change the traffic between two nodes, but does
// not have the secret. The attacker reads nothing, cannot add, omit, repeat or move a message
// within a connection, and cannot pass for any node. Recorded traffic stays secret even if the
// shared secret becomes known later. The attacker can delay and cut connections. Streams of gossip
// are connections too. Packets of gossip are sealed by memberlist, with a key of the whole cluster
// and a random nonce. They can be repeated, which leads only to a dial. At most 2^32 packets
// should be sent under one secret, which is two months of 100 nodes.
//
// Strangers. A peer that does not have the secret holds at most 512 connections of a node, each for
// at most 1 s, and each costs a goroutine and a few KB. By replaying first messages of members that
// it has overheard, it can hold 256 more, for 2 s. Beyond that, each new connection displaces a
// random one of the address that has the most. A connection from another address is therefore never
// displaced, and a flood from the address of a member only makes that member dial more than once.
//
// The secret. It is a key of 32 random bytes or more, not a password. An attacker who records the
// first message of a dialler and its answer can test secrets offline. Only the number of possible
// secrets makes this hopeless. For the same reason, it does not matter which side proves itself
// first. All nodes that have the secret are equal: a member can impersonate any other, and the
// others believe its reports. To replace the secret, see Config.AcceptedSecrets.
package cluster
