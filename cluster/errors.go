package cluster

import "errors"

// The errors of this package, for errors.Is. Messages carry the member, the
// value and the cause.
var (
	// ErrConfig: a field of Config is missing or not accepted.
	ErrConfig = errors.New("cluster: bad configuration")
	// ErrAddressTaken: another socket is bound to the address.
	ErrAddressTaken = errors.New("cluster: address is taken")
	// ErrNameTaken: a live node has the name.
	ErrNameTaken = errors.New("cluster: name is taken")
	// ErrUnauthenticated: one side could not prove that it has the secret.
	ErrUnauthenticated = errors.New("cluster: not authenticated")
	// ErrSuperseded: a later life of the node has taken its place.
	ErrSuperseded = errors.New("cluster: superseded by a later incarnation")
	// ErrUnknownMember: no member has the name, or it is this node itself.
	ErrUnknownMember = errors.New("cluster: unknown member")
	// ErrUnreachable: the member has failed or left, or its connection broke. A
	// call that was on the way may have been carried out, or not.
	ErrUnreachable = errors.New("cluster: member is unreachable")
	// ErrOverloaded: the member does not keep up, and the window of what may be
	// on the way to it is full. The call was not sent.
	ErrOverloaded = errors.New("cluster: member is overloaded")
	// ErrTimeout: no reply in time. The call may have been carried out, or not.
	ErrTimeout = errors.New("cluster: no reply in time")
	// ErrTooLarge: a message exceeds Config.MaxMessage. It was not sent.
	ErrTooLarge = errors.New("cluster: message is too large")
	// ErrRemote: the member has no handler, or its handler panicked.
	ErrRemote = errors.New("cluster: member could not handle the request")
	// ErrClosed: this node is closed.
	ErrClosed = errors.New("cluster: node is closed")
)

// errGarbled is what a connection is closed with when a frame or a message on
// it cannot be read.
var errGarbled = errors.New("garbled frame")
