package balancertest

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// Balancer is the subject of the balancing scenario. Its methods are called
// concurrently. What it holds at most is judged, without what the kit does: see
// docs/criteria.md, "Memory of the subject".
type Balancer interface {
	// Pick chooses a node that is up. A strategy without keys ignores the key. A
	// Pick that begins after Down or Leave has returned does not return that node.
	Pick(key uint64) (Pick, error)
	Join(Node) error
	Leave(name string) error
	Down(name string) error // the node has failed
	Up(name string) error   // and is back
	// NoNodes returns the error of Pick while no node is up, for errors.Is.
	NoNodes() error
}

// Pick is a node that was picked. Done is called once, when the connection has ended. A
// Pick that is a pointer, or holds only one, is returned without an allocation.
type Pick interface {
	Node() string
	Done()
}

// Weighted is a Balancer that honours Node.Weight.
type Weighted interface {
	Balancer
	Weighted()
}

// Node is a node with its weight, 1 or more. All weights are the same unless the
// balancer is a Weighted.
type Node struct {
	Name   string
	Weight int
}

// Strategy is a way to balance.
type Strategy string

// The strategies of the scenario. DefaultStrategy is the one that the subject uses if
// none is set.
const (
	DefaultStrategy    Strategy = "default"
	RoundRobin         Strategy = "round robin"
	LeastConnections   Strategy = "least connections"
	PowerOfTwoChoices  Strategy = "power of two choices"
	RendezvousHashing  Strategy = "rendezvous hashing"
	BoundedLoadHashing Strategy = "bounded-load hashing"
)

var strategies = []Strategy{
	DefaultStrategy, RoundRobin, LeastConnections, PowerOfTwoChoices, RendezvousHashing, BoundedLoadHashing,
}

// The shape of the scenario.
const (
	nodeCount   = 4
	boundedLoad = 1.25
	pickerCount = 4
	mostPicks   = 2_000_000 // held at once in memory
)

// keyed strategies give the same node for the same key. While nothing is held, the node
// depends only on the key and the nodes: it is the same in every instance and process,
// whatever the order of the nodes.
func (s Strategy) keyed() bool { return s == RendezvousHashing || s == BoundedLoadHashing }

// exact strategies take turns or count, so chance has no effect.
func (s Strategy) exact() bool {
	return s == RoundRobin || s == LeastConnections || s == PowerOfTwoChoices
}

// Config describes the balancer that the kit needs.
type Config struct {
	Strategy Strategy
	Nodes    []Node
	// Load is only for BoundedLoadHashing. A node may hold at most Load times its
	// share of all connections, rounded up.
	Load float64
}

// TestBalancer tests the balancers that open returns in the balancing scenario. For a
// strategy that is not offered, open returns nil. It must return a balancer for
// DefaultStrategy.
func TestBalancer(t *testing.T, open func(testing.TB, Config) Balancer) {
	site := proc.At(t, "placement")
	if site.Child() {
		site.Serve(place(t, open))
		return
	}
	offered := kinds(t, open)
	parts := explorations(open, offered)
	if programs.Alone(t, parts, func(t *testing.T) []string { return packages(t, open, offered) }) {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Balancing), open: open, site: site, kinds: offered}
	var explored *programs.Phase
	if len(offered) > 0 {
		explored = programs.Prepare(k.Scenario, parts, packages(t, open, offered))
	}
	k.Take(
		explored.Soon(),
		phase{Name: "empty", Body: k.empty, Shows: "empty"},
		phase{Name: "weights", Body: k.weights, Shows: "weights"},
		phase{Name: "keys", Body: k.keys, Shows: "moved"},
		phase{Name: "placement", Body: k.placements, Shows: "placement"},
		phase{Name: "skew", Body: k.skew, Shows: "skew"},
		phase{Name: "spread", Body: k.spread, Shows: "uneven dead in_flight spread default_spread failure_spread " +
			"join_spread keyed_reach"},
		explored.Whenever(),
		phase{Name: "concurrent", Body: k.concurrent, Shows: "dead uneven throughput slowness", Sound: true},
		phase{Name: "cost", Body: k.cost, Shows: "allocations pick_reach", Sound: true},
		phase{Name: "connections", Body: k.connections, Shows: "uneven dead connections connections_spread survival",
			Sound: true},
	)
	if !k.Aborted {
		k.Audit(0)
	}
}

type phase = scenario.Phase

type kit struct {
	*scenario.Scenario
	open     func(testing.TB, Config) Balancer
	site     *proc.Site // of another process
	kinds    map[Strategy]kind
	plain    bool    // it is the control, which the report does not name
	worst    float64 // deviation from a share, of all strategies, in connections of N
	keyed    float64 // that of keyed strategies at ten times N, in percent
	heldPeak int     // most picks held at once
	room     [pickerCount]held
}

// start opens a balancer over nodes, or returns nil if the strategy is not
// offered.
func (k *kit) start(t testing.TB, s Strategy, names []string, weights ...int) Balancer {
	cfg := Config{Strategy: s, Load: boundedLoad}
	for i, name := range names {
		n := Node{name, 1}
		if weights != nil {
			n.Weight = weights[i]
		}
		cfg.Nodes = append(cfg.Nodes, n)
	}
	b := k.open(t, cfg)
	if b == nil {
		if s == DefaultStrategy {
			k.Fault("there is no balancer for the strategy %q, there must be one", s)
		}
		return nil
	}
	if !k.plain {
		k.Subject(b)
	}
	return b
}

// offered runs f for every strategy that there is, with the names of the nodes
// of its balancer.
func (k *kit) offered(ctx context.Context, t testing.TB, f func(s Strategy, b Balancer, names []string)) {
	for _, s := range strategies {
		names := proc.NodeNames(nodeCount)
		if b := k.start(t, s, names); b != nil && ctx.Err() == nil {
			f(s, b, names)
		}
	}
}

// must fails the phase with what was tried if err is not nil.
func (k *kit) must(err error, s Strategy, what string) bool {
	if err != nil {
		k.Fault("%s: %s returned %v", s, what, err)
	}
	return err == nil
}

// key is the i-th key of the scenario.
func (k *kit) key(i int) uint64 { return payload.Mix(k.Seed + uint64(i)) }

// picks is how many are made in memory. However small N is they are as many
// as it takes to tell a skew from chance.
func (k *kit) picks() int { return max(k.N, validate.BaseScale) }

// held is what was picked and not given back. The zero value is ready.
type held struct {
	first  int // key of the first
	picks  []Pick
	counts map[string]int
}

// pick makes n picks with the keys from the first on, and holds them. It
// returns false if one failed.
func (k *kit) pick(s Strategy, b Balancer, h *held, first, n int) bool {
	h.first, h.picks, h.counts = first, slices.Grow(h.picks[:0], n), make(map[string]int)
	for i := range n {
		p, err := b.Pick(k.key(first + i))
		if !k.must(err, s, "Pick") {
			return false
		}
		h.picks = append(h.picks, p)
		h.counts[p.Node()]++
	}
	return true
}

// release gives back what is held, and keeps its room.
func (h *held) release() {
	for _, p := range h.picks {
		p.Done()
	}
	clear(h.picks)
	h.picks, h.counts = h.picks[:0], nil
}

// spreadAtBase is how many connections of 100,000 a node may be away from its
// share, and tightPercent what a strategy may that leaves nothing to chance.
const (
	spreadAtBase = 2000
	tightPercent = 0.6
)

// nHeld is when every strategy is shown in the report.
const nHeld = "N held"

// even judges how picks are spread over nodes that weigh the same, and returns
// the largest deviation from a share in percent of it.
func (k *kit) even(s Strategy, when string, counts map[string]int, names []string) float64 {
	total := 0
	for _, n := range counts {
		total += n
	}
	share, widest := float64(total)/float64(len(names)), 0.0
	if limit := float64(total) * spreadAtBase / validate.BaseScale; s == DefaultStrategy && !k.hashes() {
		k.balance(s, when, counts, names, share*tightPercent/100)
	} else if s == DefaultStrategy || when == nHeld {
		k.balance(s, when, counts, names, limit)
	}
	for _, name := range names {
		off := math.Abs(float64(counts[name]) - share)
		widest = max(widest, 100*off/share)
		k.worst = max(k.worst, off*float64(k.N)/float64(total))
		if limit := float64(total) * spreadAtBase / validate.BaseScale; off > limit {
			k.Violate("uneven", "%s, %s: %s has %d of %d, its share is %.0f ± %.0f",
				s, when, name, counts[name], total, share, limit)
		} else if limit := share * tightPercent / 100; s.exact() && off > limit {
			k.Violate("uneven", "%s, %s: %s has %d of %d, its share is %.0f ± %.0f: this strategy leaves nothing to chance",
				s, when, name, counts[name], total, share, limit)
		}
	}
	for name, n := range counts {
		if !slices.Contains(names, name) {
			k.Violate("dead", "%s, %s: %d picks of %q, which is not a node that is up", s, when, n, name)
		}
	}
	return widest
}

// tight measures a spread that the default strategy has to keep, unless it hashes.
func (k *kit) tight(criterion string, percent float64) {
	if k.hashes() {
		k.NotOffered(criterion, "the default strategy hashes: its spread depends on chance")
		return
	}
	k.Measured(criterion, percent)
}

// hashes tells whether the default strategy does: chance has part in its spread.
func (k *kit) hashes() bool { return k.kinds[DefaultStrategy].keyed() }

// balance keeps for the report how picks were spread.
func (k *kit) balance(s Strategy, when string, counts map[string]int, names []string, allowed float64) {
	total := 0
	for _, n := range counts {
		total += n
	}
	b := report.Balance{Name: string(s) + ", " + when, Unit: "connections", Allowed: &allowed}
	for _, name := range names {
		b.Nodes = append(b.Nodes, report.NodeShare{Node: name, Got: float64(counts[name]),
			Fair: float64(total) / float64(len(names))})
	}
	k.Record(func(r *report.Scenario) { r.Balances = append(r.Balances, b) })
}

// BenchmarkBalancer measures a pick and giving it back, for every strategy that
// is offered.
func BenchmarkBalancer(b *testing.B, open func(testing.TB, Config) Balancer) {
	for _, s := range strategies {
		cfg := Config{Strategy: s, Load: boundedLoad}
		for _, name := range proc.NodeNames(nodeCount) {
			cfg.Nodes = append(cfg.Nodes, Node{name, 1})
		}
		balancer := open(b, cfg)
		if balancer == nil {
			continue
		}
		b.Run(strings.ReplaceAll(string(s), " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				p, err := balancer.Pick(i)
				if err != nil {
					b.Fatal(err)
				}
				p.Done()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "picks/s")
		})
	}
}
