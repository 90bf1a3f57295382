package session

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// The errors of this package, for errors.Is. Messages carry the operation, the
// key and the reason.
var (
	// ErrNoQuorum: no majority of the key's replicas answered in time. Nothing was
	// written.
	ErrNoQuorum = errors.New("session: no quorum")
	// ErrUncertain: the write was sent, and no majority confirmed it in time. It may
	// have taken effect, may do so later, or may never.
	ErrUncertain = errors.New("session: outcome of the write is uncertain")
	// ErrLost: there may have been a session, and no node can tell any more. Two of its
	// replicas lost their memory before the loss of the first was repaired. A key is
	// lost until it is written again. A key that was never written, or whose deletion
	// is forgotten, is lost until DeclareLost.
	ErrLost = errors.New("session: lost")
	// ErrNotFound: the key was never written, was deleted, or has expired.
	ErrNotFound = errors.New("session: not found")
	// ErrTooLarge: a key or a value exceeds MaxKey or MaxValue.
	ErrTooLarge = errors.New("session: too large")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("session: store is closed")
	// ErrConfig: a field of Config is missing or not accepted.
	ErrConfig = errors.New("session: bad configuration")
)

// Bounds of what is stored, in bytes.
const (
	MaxKey   = 1 << 10
	MaxValue = 64 << 10
)

// MaxMessage is the size in bytes that no request and no reply exceeds.
const MaxMessage = 512 << 10

// Network carries requests to the stores of other nodes, where Handle answers them.
// It need not be reliable: requests and replies may be lost, delayed, reordered and
// duplicated.
type Network interface {
	// Go sends a request to a node, and calls done once, on any goroutine: with the
	// reply, or with an error if there will be none. Go must not block or retain
	// request. done does not block or retain reply.
	Go(to string, request []byte, done func(reply []byte, err error))
	// Alive reports whether a node is believed to be alive. A wrong answer costs time,
	// never safety.
	Alive(name string) bool
}

// Config configures a store. Name and Nodes are required.
type Config struct {
	// Name is the name of this node, one of Nodes.
	Name string
	// Nodes are the names of all nodes of the cluster, 3 to 64, the same at every node.
	// The store serves once all of them have been up at the same time with the same
	// Nodes. To add a node, restart the others with the longer list, one at a time,
	// and wait for Replicated after each.
	Nodes []string
	// Timeout bounds an operation whose context has no earlier deadline. 0 means
	// 2 s.
	Timeout time.Duration
	// RepairAfter is how long a node must be dead before other nodes replace its
	// replicas. 0 means 1 s.
	RepairAfter time.Duration
	// SyncEvery is the time between two comparisons with the other replicas. 0 means
	// 1 s.
	SyncEvery time.Duration
	// TombstoneLife is how long a deleted or expired session is remembered at least.
	// An operation that takes longer may be refused, so TombstoneLife must be at least
	// twice Timeout. 0 means 1 min.
	TombstoneLife time.Duration
	// Clock is the clock by which sessions expire. The clocks of all nodes should agree,
	// because a session expires by the clock of the node that is asked. nil means
	// time.Now.
	Clock func() time.Time
}

const (
	minNodes = replicas
	maxNodes = 64
	maxName  = 255

	defaultTimeout       = 2 * time.Second
	defaultRepairAfter   = time.Second
	defaultSyncEvery     = time.Second
	defaultTombstoneLife = time.Minute
)

// withDefaults fills in what is left out and checks the rest.
func (c Config) withDefaults() (Config, error) {
	c.Nodes = slices.Sorted(slices.Values(c.Nodes))
	switch {
	case len(c.Nodes) < minNodes || len(c.Nodes) > maxNodes:
		return c, fmt.Errorf("%w: %d Nodes, must be %d to %d", ErrConfig, len(c.Nodes), minNodes, maxNodes)
	case len(slices.Compact(slices.Clone(c.Nodes))) != len(c.Nodes):
		return c, fmt.Errorf("%w: Nodes %q, must be names that differ", ErrConfig, c.Nodes)
	case !slices.Contains(c.Nodes, c.Name):
		return c, fmt.Errorf("%w: Name %q, must be one of Nodes %q", ErrConfig, c.Name, c.Nodes)
	}
	for _, name := range c.Nodes {
		if name == "" || len(name) > maxName {
			return c, fmt.Errorf("%w: node %q, must be a name of 1 to %d bytes", ErrConfig, name, maxName)
		}
	}
	for _, d := range []struct {
		name   string
		value  *time.Duration
		unless time.Duration
	}{
		{"Timeout", &c.Timeout, defaultTimeout},
		{"RepairAfter", &c.RepairAfter, defaultRepairAfter},
		{"SyncEvery", &c.SyncEvery, defaultSyncEvery},
		{"TombstoneLife", &c.TombstoneLife, defaultTombstoneLife},
	} {
		if *d.value < 0 {
			return c, fmt.Errorf("%w: %s %v, must be 0 for %v, or more", ErrConfig, d.name, *d.value, d.unless)
		}
		if *d.value == 0 {
			*d.value = d.unless
		}
	}
	if c.TombstoneLife < 2*c.Timeout {
		return c, fmt.Errorf("%w: TombstoneLife %v, must be twice Timeout (%v) or more", ErrConfig, c.TombstoneLife,
			c.Timeout)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c, nil
}
