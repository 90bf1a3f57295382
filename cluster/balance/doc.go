// Package balance picks one of several nodes for each connection or request.
//
// A [Balancer] holds weighted nodes. [Balancer.Pick] chooses one by the [Strategy] that the
// balancer was made with, and [Pick.Done] gives it back.
//
//	b, err := balance.New(balance.Config{Nodes: []balance.Node{{Name: "a"}, {Name: "b", Weight: 2}}})
//	p, err := b.Pick(balance.Key("user 7"))
//	conn, err := net.Dial("tcp", addresses[p.Node()])
//	defer p.Done()
//
// Nodes come and go with [Balancer.Join], [Balancer.Leave], [Balancer.Down] and
// [Balancer.Up]. A Pick that begins after Down or Leave has returned does not return that
// node.
//
// # Strategies
//
//   - [RoundRobin], the default, gives each node its exact share of the picks, in turns as
//     even as possible, whatever the callers do. It is the cheapest strategy, and the only
//     one whose shares depend neither on chance nor on timely calls of Done.
//   - [LeastConnections] evens out the connections that are held, rather than the picks. It
//     is for connections whose lengths differ much. It looks at every node.
//   - [PowerOfTwo] approaches that by looking at only two nodes, and does not send all
//     callers to the same node if counts are out of date.
//   - [Rendezvous] gives the same node for the same key. A node that joins takes over only
//     the keys of its own share, and a node that leaves gives up only its own.
//   - [BoundedLoad] does the same as long as no node holds more than Config.Load times its
//     share, so that a few hot keys cannot overload a node.
//
// All five honour weights, are safe for concurrent use, and allocate nothing in Pick and
// Done.
package balance
