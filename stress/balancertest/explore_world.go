package balancertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tensile/stress/internal/programs"
)

// model is a balancer of the subject, for one program, and what must hold of it.
type model struct {
	*programs.Program
	open     func(Config) Balancer
	strategy Strategy
	kind     kind
	weighted bool
	b        Balancer

	mu       programs.Lock // of what follows
	peers    []*peer
	held     []*picked
	order    []*peer // of joining, those that are there
	keys     uint64  // drawn so far
	begun    int     // calls of the subject
	underway int     // and those that have not returned
	working  int     // acts that have not ended
	moves    int     // counts what was seen to happen
	placed   []string
	at       string // the nodes of placed
}

// standing is where a node stands, for certain.
type standing int

const (
	gone standing = iota
	up
	down
	changing // a change of it is under way
)

// peer is a name that nodes may have.
type peer struct {
	name    string
	weight  int
	stands  standing
	changes int  // begun
	period  int  // counts the times that it came up
	claimed bool // a change of this stage is for it

	// What it holds by the books of the model: all that was not given back, of every
	// life, and those of them that were picked since it last came up.
	all, since int
}

// picked is a pick that is held.
type picked struct {
	Pick
	name    string
	peer    *peer
	period  int // 0: it may be of another than the one that was certain
	claimed bool
}

// The names of nodes: some begin with others.
var names = [...]string{"node-1", "node-11", "node-2", "node-111", "node-12", "node-3"}

// mostWeight is that of nodes in programs.
const mostWeight = 4

// newModel makes a balancer of which strategy, nodes and weights are drawn.
func newModel(
	p *programs.Program, tb testing.TB, open func(testing.TB, Config) Balancer, offered map[Strategy]kind,
) *model {
	m := &model{Program: p}
	var some []Strategy
	for _, s := range strategies {
		if _, ok := offered[s]; ok {
			some = append(some, s)
		}
	}
	m.strategy = some[p.Draw(len(some))]
	m.kind = offered[m.strategy]
	m.open = func(cfg Config) Balancer {
		cfg.Strategy, cfg.Load = m.strategy, boundedLoad
		return open(tb, cfg)
	}
	var cfg Config
	weights := p.Draw(2) * p.Draw(256)
	for i, n := 0, p.Draw(nodeCount+1); i < len(names); i++ {
		x := &peer{name: names[i], weight: 1 + weights>>(2*(i%nodeCount))%mostWeight}
		m.peers = append(m.peers, x)
		if i < n {
			x.stands, x.period = up, 1
			m.order = append(m.order, x)
			cfg.Nodes = append(cfg.Nodes, Node{x.name, x.weight})
		}
	}
	m.b = m.open(cfg)
	_, m.weighted = m.b.(Weighted)
	if !m.weighted {
		for _, x := range m.peers {
			x.weight = 1
		}
	}
	m.Step(fmt.Sprintf("%s over %s", m.strategy, m.list(cfg.Nodes)))
	return m
}

func (m *model) list(nodes []Node) string {
	if len(nodes) == 0 {
		return "no node"
	}
	var text []string
	for _, n := range nodes {
		one := n.Name
		if m.weighted {
			one += fmt.Sprintf(" of weight %d", n.Weight)
		}
		text = append(text, one)
	}
	return strings.Join(text, ", ")
}

// enters and returns are about a call of the subject.
func (m *model) enters() (number int, alone bool) {
	m.begun++
	m.underway++
	m.moves++
	return m.begun, m.underway == 1
}

func (m *model) returns(number int, alone bool) bool {
	m.underway--
	m.moves++
	return alone && m.begun == number
}

// nextKey is a key that no other pick of the program has.
func (m *model) nextKey() uint64 {
	m.keys++
	return m.keys * 0x9E3779B97F4A7C15
}

// pick calls Pick and judges what it returns; nil if there was an error.
func (m *model) pick(key uint64) *picked {
	m.mu.Lock()
	number, alone := m.enters()
	type seen struct {
		stands          standing
		changes, period int
	}
	before := make([]seen, len(m.peers))
	for i, x := range m.peers {
		before[i] = seen{x.stands, x.changes, x.period}
	}
	m.mu.Unlock()
	p, err := m.b.Pick(key)
	name := ""
	if err == nil {
		name = p.Node()
	}
	m.mu.Lock()
	alone = m.returns(number, alone)
	was := func(x *peer, s standing) bool { // all the time
		b := before[slices.Index(m.peers, x)]
		return b.stands == s && b.changes == x.changes
	}
	if err != nil {
		i := slices.IndexFunc(m.peers, func(x *peer) bool { return was(x, up) })
		m.mu.Unlock()
		if i >= 0 {
			m.Violate("empty", "Pick returned %q while %s was up", err, m.peers[i].name)
		}
		if !errors.Is(err, m.b.NoNodes()) {
			m.Violate("empty", "Pick returned %q while no node was up: must be %q", err, m.b.NoNodes())
		}
		m.Tried("empty")
		return nil
	}
	i := slices.IndexFunc(m.peers, func(x *peer) bool { return x.name == name })
	none := !slices.ContainsFunc(m.peers, func(x *peer) bool { return !was(x, gone) && !was(x, down) })
	var x *peer
	var wrong string
	if i >= 0 {
		x = m.peers[i]
		wrong = m.unfit(x, alone)
	}
	switch {
	case i < 0 && none:
		m.mu.Unlock()
		m.Violate("empty", "Pick gave %q and no error while no node was up", name)
	case i < 0:
		m.mu.Unlock()
		m.Violate("dead", "Pick gave %q, which is not a node", name)
	case was(x, gone):
		m.mu.Unlock()
		m.Violate("dead", "Pick gave %s, which is not among the nodes", name)
	case was(x, down):
		m.mu.Unlock()
		m.Violate("dead", "Pick gave %s after Down of it had returned", name)
	case wrong != "":
		m.mu.Unlock()
		m.Violate("uneven", "%s: %s", m.strategy, wrong)
	}
	h := &picked{Pick: p, name: name, peer: x}
	x.all++
	if b := before[i]; b.stands == up && b.period == x.period {
		h.period = x.period
		x.since++
	}
	m.held = append(m.held, h)
	m.mu.Unlock()
	m.Tried("dead")
	return h
}

// unfit says why a node is not one that a strategy which counts may give, if nothing
// else happens; "" for none. Whether a node still holds what it held when it failed
// or left, the interface does not say: another may hold as many as all, and this one
// as few as since it came up.
func (m *model) unfit(x *peer, alone bool) string {
	if m.kind != counts || !alone {
		return ""
	}
	for _, y := range m.peers {
		if y == x || y.stands != up || x.since*y.weight <= y.all*x.weight || (x.since+1)*y.weight <= (y.all+1)*x.weight {
			continue
		}
		text := fmt.Sprintf("Pick gave %s, which holds %d, while %s holds %d", x.name, x.since, y.name, y.all)
		if m.weighted {
			text += fmt.Sprintf("; they weigh %d and %d", x.weight, y.weight)
		}
		return text
	}
	m.Tried("uneven")
	return ""
}

// done gives a pick back.
func (m *model) done(h *picked) {
	m.mu.Lock()
	number, alone := m.enters()
	earlier := h.period == 0 || h.period != h.peer.period || h.peer.stands != up
	m.mu.Unlock()
	if earlier {
		m.Event(earlierLife)
	}
	h.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.returns(number, alone)
	h.peer.all--
	if h.period == h.peer.period {
		h.peer.since--
	}
	m.held = slices.DeleteFunc(m.held, func(o *picked) bool { return o == h })
}

// change calls one of the methods that change a node.
func (m *model) change(x *peer, what string, to standing, call func() error) {
	m.mu.Lock()
	number, alone := m.enters()
	holds := x.all > 0
	x.stands = changing
	x.changes++
	if to == up {
		x.period++
		x.since = 0
	}
	m.mu.Unlock()
	if holds {
		m.Event(whileHolding)
	}
	err := call()
	m.mu.Lock()
	m.returns(number, alone)
	x.stands = to
	x.changes++
	m.order = slices.DeleteFunc(m.order, func(o *peer) bool { return o == x && (what == "Join" || what == "Leave") })
	if what == "Join" {
		m.order = append(m.order, x)
	}
	m.mu.Unlock()
	if err != nil {
		m.Violate("explored", "%s of %s returned %q", what, x.name, err)
	}
}

func (m *model) join(x *peer) {
	m.change(x, "Join", up, func() error { return m.b.Join(Node{x.name, x.weight}) })
}

func (m *model) leave(x *peer) {
	m.change(x, "Leave", gone, func() error { return m.b.Leave(x.name) })
}

func (m *model) fail(x *peer) {
	m.change(x, "Down", down, func() error { return m.b.Down(x.name) })
}

func (m *model) back(x *peer) {
	m.change(x, "Up", up, func() error { return m.b.Up(x.name) })
}
