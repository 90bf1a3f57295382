// Package balance picks one of several nodes for each connection or request.
//
// A [Balancer] holds weighted nodes. [Balancer.Pick] chooses one by the
// [Strategy] it was made with, and [Pick.Done] gives back what was picked.
//
//	b, err := balance.New(balance.Config{Nodes: []balance.Node{{Name: "a"}, {Name: "b", Weight: 2}}})
//	p, err := b.Pick(balance.Key("user 7"))
//	conn, err := net.Dial("tcp", addresses[p.Node()])
//	defer p.Done()
//
// Nodes come and go with [Balancer.Join], [Balancer.Leave], [Balancer.Down] and
// [Balancer.Up]. A Pick that begins after Down or Leave has returned does not
// give that node.
//
// # Which strategy
//
//   - [RoundRobin], the default, gives each node its exact share of the picks, in
//     turns as even as they can be, whatever the callers do. It is the only one
//     whose share does not depend on chance or on Done being called in time, and
//     the cheapest.
//   - [LeastConnections] evens out what is held rather than what is given. It is
//     for connections whose lengths differ much. It looks at every node.
//   - [PowerOfTwo] comes close to that by looking at two nodes only, and does
//     not send everybody to the same node when counts are out of date.
//   - [Rendezvous] gives the same node for the same key. A node that joins takes
//     over only keys of its own share, and a node that goes gives up only its own.
//   - [BoundedLoad] does the same as long as no node holds more than Config.Load
//     times its share: so a few hot keys can not overload a node.
//
// All five honour weights, are safe for concurrent use, and allocate nothing in
// Pick and Done.
package balance
