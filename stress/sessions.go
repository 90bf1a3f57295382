package stress

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tensile/stress/validate"
)

// Sessions is one node of a session store, as the sessions scenario drives it.
// Each runs in a process of its own. Its methods are called concurrently.
type Sessions interface {
	// Put returns nil once the session will survive the loss of any one node. It
	// is gone ttl later; with a ttl of 0 it stays.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Get returns NotFound where there is no session.
	Get(ctx context.Context, key string) ([]byte, error)
	// Delete returns nil where there was no session, too.
	Delete(ctx context.Context, key string) error
	Close() error
	// Errors are those that the other methods return, for errors.Is.
	Errors() SessionErrors
}

// SessionErrors are the errors of Sessions that the kit must tell apart.
type SessionErrors struct {
	NotFound error
	// Refused says that an operation has had no effect and will have none. After
	// any other error of a write the kit takes both for possible.
	Refused error
}

// ReplicatedSessions are Sessions that know when everything has its full number
// of replicas. Where they do not, the kit waits as long as that may take.
type ReplicatedSessions interface {
	Sessions
	// Replicated returns nil once every session is fully replicated over the
	// nodes named, and each of them has its share.
	Replicated(ctx context.Context, on []string) error
}

// SessionConfig is what the kit asks of a node.
type SessionConfig struct {
	Name   string
	Nodes  []string // names of all, the same at every node
	Listen string   // address for the other nodes, TCP and UDP
	// Seeds are addresses of nodes that are members already; none has the node
	// begin a new cluster.
	Seeds []string
	// Peers is where this node reaches each other one, by name. What is dialled
	// anywhere else does not meet the faults of links.
	Peers map[string]string
	// Reach tells whether a datagram to a node may go out at this moment. Links
	// carry TCP only: a subject that sends datagrams asks here.
	Reach  func(name string) bool
	Secret []byte // of the cluster
}

// The shape of the scenario.
const (
	sessionNodes = 4
	sessionSize  = 64 // bytes of a value
	// sessionCallers is how many operations are on their way at once in the
	// throughput phase, and killCallers while nodes are killed.
	sessionCallers = 512
	killCallers    = 64
	// fullReplication is how long it may take until a loss is made up for.
	fullReplication = 10 * time.Second
	// tries is how long an operation that must succeed may be tried.
	tries = 10 * time.Second
)

// TestSessions takes the store whose nodes start starts through the sessions
// scenario. start is called in a process of its own for each node, and returns
// when the node may be called; it need not have found the others. The test must
// do nothing else.
func TestSessions(t *testing.T, start func(testing.TB, SessionConfig) Sessions) {
	site := sessionSite(t, start)
	if site == nil {
		return
	}
	k := &sessionKit{scenario: begin(t, validate.Sessions), survival: 100}
	k.sessionCluster = &sessionCluster{site: site, secret: sessionSecret, output: k.logFile, onKill: k.onInterrupt}
	k.small()
	if !k.failed() {
		k.load()
	} else {
		k.note("No load was offered, as correctness failed at small contention.")
	}
	k.sessionCluster.end()
	if !k.aborted {
		k.audit(0)
	}
}

// sessionKit is the scenario with its nodes.
type sessionKit struct {
	*scenario
	*sessionCluster
	deleted  []string // keys
	runs     []historyRun
	rate     float64 // measured
	sessions int     // N, but no less than it takes
	loaded   *book   // of them
	survival float64 // in percent, the worst
	killedAt time.Time
	restored time.Duration // the longest
}

// small is everything that needs links between nodes, and little load.
func (k *sessionKit) small() {
	ok := k.phase("formation", func(ctx context.Context, _ *testing.T) { k.found(ctx, true) })
	ok = ok && k.phase("small", k.few)
	ok = ok && k.phase("expiry", k.expiry)
	ok = ok && k.phase("minority", k.minority)
	ok = ok && k.phase("amnesia", k.amnesia)
	_ = ok && k.longPhase("histories", phaseBound+time.Duration(k.run.settings.Histories)*historyBound, k.histories)
	k.judgeHistories()
	k.shown("deleted", "phantom", "expiry", "minority")
	k.phase("disband", func(context.Context, *testing.T) { k.must(k.disband()) })
}

// load is N sessions, and the loss of nodes that hold them.
func (k *sessionKit) load() {
	ok := k.phase("formation without links", func(ctx context.Context, _ *testing.T) { k.found(ctx, false) })
	ok = ok && k.phase("throughput", k.throughput)
	ok = ok && k.phase("steady", k.steady)
	ok = ok && k.phase("kill", k.kill)
	ok = ok && k.phase("replication", k.replication)
	_ = ok && k.phase("return", k.comeback)
	k.shown("latest", "stale", "replication", "phantom")
	k.phase("end", func(context.Context, *testing.T) { k.must(k.disband()) })
}

// must fails the scenario if err is not nil.
func (k *sessionKit) must(err error) bool {
	if err != nil {
		k.fail("sessions: %v", err)
	}
	return err == nil
}

// found starts the nodes.
func (k *sessionKit) found(ctx context.Context, linked bool) {
	k.must(k.form(ctx, linked))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.result.Subject = k.state.subject
}

// sessionSecret is what the nodes share.
var sessionSecret = []byte("what the nodes of a test all know")

// sessionKey is the key of the i-th session.
func sessionKey(i int) string { return fmt.Sprintf("session-%d", i) }
