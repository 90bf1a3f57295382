// Package node declares the interface of a cluster node, and its configuration. The
// kits clustertest, transporttest and chaostest drive nodes through this interface.
package node

import (
	"context"
	"net"
	"time"
)

// Node is the subject of the scenarios of cluster formation and of messages between
// nodes: one process as a member of a cluster. Each node runs in a process of its own.
// The kit starts, kills, stops and continues these processes with real signals. Its
// methods are called concurrently.
//
// A stranger, which is a peer that has not proved that it has the secret, must cost a node
// little, whatever it sends. While n strangers are connected, the process may take at most
// 64 MB + n * 64 KB more memory, and have at most 64 + n * 4 more goroutines, than when it
// was idle. It releases all of that when they are gone.
type Node interface {
	// Addr returns the address at which others reach this node, as host:port. It can
	// be used as a seed.
	Addr() string
	// Members returns the other nodes that this one knows, with their states. A
	// member that is only suspected is still Alive.
	Members() []Member
	// Call sends a request to a member; the request is copied. It calls done exactly
	// once, with the reply, which is valid until done returns, or with an error. done
	// may be called before Call returns, and may call Call. While the window to the
	// member is full, Call waits or calls done with Overloaded. A request is handled at
	// most once, and exactly once if there is a reply.
	Call(to string, request []byte, done func(reply []byte, err error))
	// Send sends a message that has no reply. It may wait as Call does, or return
	// Overloaded. A message for which it returns nil arrives exactly once, unless the
	// connection to the member ends first.
	Send(to string, message []byte) error
	// Leave tells the others that the node leaves, and closes it. A node that cannot
	// leave returns errors.ErrUnsupported, and runs on.
	Leave(context.Context) error
	// Close ends the node at once, and returns when everything that it started has
	// ended.
	Close() error
	// Errors returns the errors of start and the other methods, for errors.Is.
	Errors() Errors
}

// Errors are the distinct errors of a Node.
type Errors struct {
	// Errors of start. One is nil if the node does not offer that: it has no
	// secret, accepts a name twice, or does not say that an address is taken.
	Unauthenticated, NameTaken, AddressTaken error
	// Of a call to a member that is dead, or was lost during the call.
	Unreachable error
	// Of a call that was not sent because the window was full. nil if Call waits.
	Overloaded error
}

// Member is a node as another sees it.
type Member struct {
	Name  string
	State State
}

// State is the state in which a node lists another.
type State string

// The states of a member.
const (
	Alive  State = "alive"
	Failed State = "failed"
	Left   State = "left"
)

// Config describes the node that the kit needs.
type Config struct {
	Name   string
	Bind   string   // IP address and port, which may be 0 for a free one
	Seeds  []string // addresses of members; none for the first node
	Secret []byte   // shared by all nodes: 32 bytes or more
	// Window is how many bytes may be in flight to one member, unanswered.
	Window int
	// CallTimeout is how long a call may take. A call that was not answered then ends
	// with an error.
	CallTimeout time.Duration
	// The subject calls Handle with each request of another node and, with a nil
	// reply function, with each one-way message. Handle does not block. It calls reply
	// once, before it returns or later, from any goroutine. A reply that comes after the
	// call has ended, or a second time, must have no effect. request is valid until Handle
	// returns.
	Handle func(from string, request []byte, reply func([]byte))
	// Dial opens connections to other nodes, on which the kit damages data. A node
	// that does not use Dial is not tested with damaged data.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// MaySend reports whether the network lets a datagram to another node through. The
	// subject calls it before it sends one. A node that sends none does not need it.
	MaySend func(addr string) bool
}
