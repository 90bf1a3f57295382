package sessiontest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Store is the subject of the sessions scenario: one node of a session store. Each node
// runs in a process of its own. Its methods are called concurrently.
type Store interface {
	// Put returns nil once the session will survive the loss of any one node. The
	// session expires ttl later. If ttl is 0, it does not expire.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Get returns NotFound if there is no session.
	Get(ctx context.Context, key string) ([]byte, error)
	// Delete returns nil even if there was no session.
	Delete(ctx context.Context, key string) error
	Close() error
	// Errors returns the errors of the other methods, for errors.Is.
	Errors() Errors
}

// Errors are the errors of a Store that the kit must tell apart.
type Errors struct {
	NotFound error
	// Refused means that an operation has had no effect and will have none. After
	// any other error of a write, the kit allows both.
	Refused error
}

// Replicated is a Store that repairs the loss of a node, and knows when everything has
// its full number of replicas again. If a store is not Replicated, the kit loses only one
// node at a time, and checks of replication are "not offered".
type Replicated interface {
	Store
	// Replicated returns nil once every session is fully replicated over the
	// nodes named, and each of them has its share.
	Replicated(ctx context.Context, on []string) error
}

// Shared is a Store whose nodes keep nothing themselves: they share a server that the
// kit does not see, such as a database. Links between nodes do not matter to them.
// Checks of a minority are therefore "not offered", a node that is cut off from the
// others must serve as they do, and a second node may be lost right after the first.
type Shared interface {
	Store
	Shared()
}

// Config describes the node that the kit needs.
type Config struct {
	Name   string
	Nodes  []string // names of all nodes, the same at every node
	Listen string   // address for the other nodes, TCP and UDP
	// Seeds are addresses of nodes that are members already. If there are none, the
	// node begins a new cluster.
	Seeds []string
	// Peers has the address at which this node reaches each other node, by name.
	// Connections to other addresses bypass the faults of links.
	Peers map[string]string
	// Reach reports whether a datagram to a node may be sent at this moment. Links
	// carry only TCP, so a subject that sends datagrams must ask.
	Reach func(name string) bool
	// Secret belongs to this cluster only, and is the same in all lives of its nodes.
	// There are several clusters at a time, so use it to name what is kept on a
	// server.
	Secret []byte
}

// The shape of the scenario.
const (
	nodeCount = 4
	// callerCount is how many operations are in flight in the throughput phase,
	// and killCallers while nodes are killed.
	callerCount = 512
	killCallers = 64
)

// tries is how long an operation that must succeed may be tried.
var tries = scenario.Settle

// TestStore tests the store whose nodes start starts in the sessions scenario. start is
// called in a process of its own for each node, and returns when the node can be called;
// the node need not have found the others yet. The test must do nothing else.
func TestStore(t *testing.T, start func(testing.TB, Config) Store) {
	site := openSite(t, start)
	if site == nil {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Sessions), site: site, clusters: new(clusters), survival: 100,
		repaired: make(chan bool, 1), tries: new(trials)}
	k.linked, k.direct = k.apart("linked", true), k.apart("direct", false)
	k.Take(k.phases()...)
	for c, why := range k.linked.lacks() {
		k.NotOffered(c, why)
	}
	k.direct.madeUp()
	k.clusters.end()
	if !k.Aborted {
		k.Audit(0)
	}
}

type phase = scenario.Phase

func (k *kit) phases() []phase {
	long := scenario.PhaseBound * time.Duration(k.Hundreds())
	faults := 3*long + time.Duration(k.Settings().Histories)*historyBound
	return []phase{
		{Name: "formation", Body: k.formation, Shows: "latest"},
		{Name: "small", Body: k.linked.few, Shows: "latest deleted phantom", Sound: true},
		{Name: "throughput", Body: k.direct.throughput, Sound: true,
			Shows: "latest phantom throughput throughput_reach slowness"},
		{Name: "steady", Body: k.direct.steady, Shows: "latest phantom p50 p95 p99 slowness", Sound: true},
		{Name: "kill", Body: k.direct.kill, Sound: true, Bound: 2 * long,
			Shows: "latest phantom recovery recovery_reach survival survival_reach"},
		// Most of the faults is waiting: so all of it goes on at once, on clusters that know
		// nothing of each other, and nothing in time is judged by less than seconds.
		{Name: "faults", Body: k.faults, Sound: true, Bound: faults,
			Shows: "latest phantom deleted stale replication restored linearizable histories histories_reach expiry minority " +
				"survival survival_reach"},
		{Name: "tries", Body: k.tryAgain, Sound: true, Bound: scenario.MostTries * long, Shows: "recovery restored"},
		{Name: "programs", Body: k.explorePrograms, Sound: true, Bound: programsBound,
			Shows: "latest phantom deleted replication linearizable expiry"},
		{Name: "end", Body: k.disbandAll},
	}
}

// kit is the scenario, at work on one cluster.
type kit struct {
	*scenario.Scenario
	*cluster
	site           *proc.Site
	clusters       *clusters
	linked, direct *kit // on the cluster with links between nodes, and on the one without

	mesh     bool      // its cluster has links between nodes
	deleted  []string  // keys
	control  bool      // it is at work on the controls of the nodes
	controls *kit      // that one, beside this; nil before it was needed
	rate     float64   // of subject or control, which is lower; 0 before it was measured
	sessions int       // N, but no less than it takes
	loaded   *book     // of them; nil before they were written
	killed   bool      // a node of the cluster was, under load
	survival float64   // in percent, the worst
	swept    []uint32  // number of the write that was read of each after the loss of a node
	repaired chan bool // told once whether that was made up for
	tries    *trials
}

// clusters are all there are, so that each is ended.
type clusters struct {
	mu  sync.Mutex
	all []*cluster
}

func (s *clusters) list() []*cluster {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

func (s *clusters) end() {
	for _, c := range s.list() {
		c.end()
	}
}

// apart is the kit at work on a cluster of its own, which is yet to be formed, with
// links between its nodes if mesh is set.
// Its nodes print to files named after it.
func (k *kit) apart(name string, mesh bool) *kit {
	other := *k
	other.mesh = mesh
	other.cluster = &cluster{site: k.site, secret: newSecret(), onKill: k.OnInterrupt,
		output: func(node string) *os.File { return k.LogFile(name + "-" + node) }}
	k.clusters.mu.Lock()
	defer k.clusters.mu.Unlock()
	k.clusters.all = append(k.clusters.all, other.cluster)
	return &other
}

// formation forms the cluster with links and the one without, at the same time.
func (k *kit) formation(ctx context.Context, _ *testing.T) {
	k.together(2, func(i int) bool { return []*kit{k.linked, k.direct}[i].formed(ctx) })
}

// faults is everything in which nodes or links are at fault.
func (k *kit) faults(ctx context.Context, _ *testing.T) {
	histories := k.newHistories()
	defer histories.judge(k.Scenario)
	lanes := []lane{
		{"replication", k.direct.losses},
		{"links", k.linked.linkFaults},
		{"minority", func(ctx context.Context) { k.alone(ctx, "minority", (*kit).cutOff) }},
		{"amnesia", func(ctx context.Context) { k.alone(ctx, "amnesia", (*kit).amnesia) }},
	}
	for i := range min(historyLanes, k.Settings().Histories) {
		name := fmt.Sprintf("histories %d", i+1)
		lanes = append(lanes, lane{name, func(ctx context.Context) { k.alone(ctx, name, histories.run) }})
	}
	k.atOnce(ctx, lanes)
}

func (k *kit) linkFaults(ctx context.Context) {
	if k.formed(ctx) {
		k.uneven(ctx)
		k.expiry(ctx)
	}
}

// lane is a part of a phase.
type lane struct {
	name string
	body func(context.Context)
}

// atOnce runs lanes at the same time.
func (k *kit) atOnce(ctx context.Context, lanes []lane) {
	var all sync.WaitGroup
	for _, l := range lanes {
		all.Go(func() {
			began := time.Now()
			defer k.Recovered(l.name)
			l.body(ctx)
			state := report.Passed
			if k.Failed() {
				state = report.Failed
			}
			k.RecordPhase(l.name, state, began)
		})
	}
	all.Wait()
}

// alone has body work on a cluster of its own, with links.
func (k *kit) alone(ctx context.Context, name string, body func(*kit, context.Context)) {
	own := k.apart(name, true)
	if own.formed(ctx) {
		body(own, ctx)
	}
}

// disbandAll ends all clusters, as they end by themselves.
func (k *kit) disbandAll(ctx context.Context, t *testing.T) {
	k.formation(ctx, t)
	k.direct.madeUp()
	all := k.clusters.list()
	k.together(len(all), func(i int) bool {
		err := all[i].disband()
		if err != nil {
			k.Violate("leaks", "%v", err)
		}
		return err == nil
	})
}

// brief tells whether the scenario is to be over soon: with -short, and where N is
// no more than that would make it.
func (k *kit) brief() bool { return testing.Short() || k.N <= validate.BaseScale/10 }

// fullReplication is after what time a loss that is not made up for never will be: far
// longer than it takes, which is judged by a criterion of its own.
func (k *kit) fullReplication() time.Duration {
	return 4 * scenario.Settle * time.Duration(k.Hundreds())
}

// must fails the phase if err is not nil.
func (k *kit) must(err error) bool {
	if err != nil {
		k.Fault("%v", err)
	}
	return err == nil
}

// formed starts the nodes, unless they were, and tells whether they are there.
func (k *kit) formed(ctx context.Context) bool {
	if len(k.nodes) > 0 {
		return !k.Failed()
	}
	ok := k.must(k.form(ctx, k.mesh))
	k.Record(func(r *report.Scenario) { r.Subject = k.state.subject })
	return ok
}

// newSecret is what the nodes of one cluster share.
func newSecret() []byte { return []byte(rand.Text() + rand.Text()) }

// keyOf is the key of the i-th session.
func keyOf(i int) string { return fmt.Sprintf("session-%d", i) }
