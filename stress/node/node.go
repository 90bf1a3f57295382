package node

import (
	"context"
	"net"
	"time"
)

// Node is what the scenarios of cluster formation and of messages between nodes
// drive: one process as a member of a cluster. Each node is a process of its
// own; the kit starts, kills, stops and continues them with real signals, and
// runs the subject's node in them.
type Node interface {
	// Addr is where others reach this node, fit to be a seed: host:port.
	Addr() string
	// Members are the others that the node knows, with what it holds of them. A
	// suspicion is no state: such a member is still alive.
	Members() []Member
	// Call sends a request to a member, which is copied, and has done called
	// exactly once with the reply, valid until done returns, or an error. done
	// may be called before Call returns, and may call Call. While no more may be
	// on the way to the member Call waits, or done is given the error for that.
	Call(to string, request []byte, done func(reply []byte, err error))
	// Send sends a message to which there is no reply. It may wait as Call does.
	Send(to string, message []byte) error
	// Leave tells the others that the node goes, and closes it.
	Leave(context.Context) error
	// Close ends the node at once, and returns when everything it started has
	// ended.
	Close() error
	// Errors are those that start and the other methods return, for errors.Is.
	Errors() Errors
}

// Errors are the distinct errors of a Node.
type Errors struct {
	// Of the start of a node.
	Unauthenticated, NameTaken, AddressTaken error
	// Of a call to a member that is dead or was lost meanwhile.
	Unreachable error
	// Of a call for which there is no room. It was not sent. nil if Call waits.
	Overloaded error
}

// Member is a node as another sees it.
type Member struct {
	Name  string
	State State
}

// State is what a node holds of another.
type State string

// The states of a member.
const (
	Alive  State = "alive"
	Failed State = "failed"
	Left   State = "left"
)

// Config is what the kit asks of a node.
type Config struct {
	Name   string
	Bind   string   // IP address and port, which may be 0 for a free one
	Seeds  []string // addresses of members; none for the first node
	Secret []byte   // shared by all nodes: 32 bytes or more
	// Window is how many bytes may be on the way to one member, unanswered.
	Window int
	// CallTimeout is after how long a call that was not answered ends with an
	// error.
	CallTimeout time.Duration
	// Handle is called with each request and, with a nil reply, each one-way
	// message of another node. It does not block. reply is called once, before
	// Handle returns or later, from any goroutine; request is valid until Handle
	// returns.
	Handle func(from string, request []byte, reply func([]byte))
	// Dial opens the connections to other nodes; the kit damages what goes over
	// them. A node that cannot make use of it is not tested for that.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// MaySend is asked before each datagram to another node whether the network
	// lets it through. A node that sends none has no use for it.
	MaySend func(addr string) bool
}
