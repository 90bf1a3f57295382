package session

import (
	"flag"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The protocol of reading, writing and forgetting as a small model of one key on
// three replicas, all states of which are visited, breadth first. A few
// operations run in any interleaving, and the network is as bad as can be: what
// was ever sent, and what any replica ever held, may arrive at any replica at any
// later time, any number of times, or never. No step waits for time.
//
// What it leaves out: all replicas enter a view at once, and a newcomer has taken
// over by then.

const (
	modelMost  = 2 // highest counter of a version
	modelEpoch = 4 // the token of the second epoch; numbers of rounds are below
)

// ver is a version: counter<<2 | writer, and 0 for none.
type ver uint8

func (v ver) counter() uint8 { return uint8(v >> 2) }
func (v ver) writer() uint8  { return uint8(v & 3) }

var writers = map[byte]uint8{'p': 1, 'd': 2, 'P': 3}

// deletes tells whether the writer of the version deletes; the others put.
func (v ver) deletes() bool { return v.writer() == 2 }

type modelReplica struct {
	has         ver
	floor       uint8
	mark, fence uint8 // tokens
	older       uint8 // by the old rule: peers that had nothing older, by index
	busy        uint8 // by the old rule: operations that ran when the record came
}

type modelOp struct {
	phase       uint8 // 0 idle, 1 fetching, 2 storing, 3 done
	after       uint8 // operations that were done when it began
	from        uint8 // replicas that have answered, or confirmed
	version     ver   // the best answer, then what is stored; of a read, what it returned
	counter     uint8
	alike       bool
	least, most uint8
	fence       uint8
}

type modelRound struct {
	target                  ver
	number, holders, marked uint8
}

type modelState struct {
	replicas [replicas]modelReplica
	ops      [4]modelOp
	rounds   [2]modelRound
	began    uint8 // rounds
	epoch    uint8
	// flying is, for each version that may arrive, one more than the highest token
	// that it may come with; a lower one makes no difference.
	flying [4 * (modelMost + 1)]uint8
}

func (s *modelState) send(v ver, token uint8) { s.flying[v] = max(s.flying[v], token+1) }

// rules are those of the protocol, or with a fault planted.
type rules struct {
	ops        string // p put, P another put, d delete, r read; reads are one after the other
	given      bool   // the first operation, a put, has been done, at two replicas
	rounds     int
	others     bool // a round may also be about another key of the partition
	crashes    bool
	old        bool // a replica forgets when it has seen both others to have nothing older
	noFence    bool
	noStraddle bool
	noFloor    bool
	noHold     bool // marks without all holding
}

type model struct {
	rules
	verdicts map[string]bool
}

func (m *model) put(r *modelReplica, s *modelState, v ver, token uint8) bool {
	if r.has == 0 && token < r.fence && !m.noFence {
		return false
	}
	if v > r.has {
		r.has, r.older, r.busy = v, 0, s.running()
	}
	return true
}

func (s *modelState) running() (set uint8) {
	for i, o := range s.ops {
		if o.phase == 1 || o.phase == 2 {
			set |= 1 << i
		}
	}
	return set
}

func (s *modelState) done() (set uint8) {
	for i, o := range s.ops {
		if o.phase == 3 {
			set |= 1 << i
		}
	}
	return set
}

// next calls visit with each state that may follow.
func (m *model) next(s modelState, visit func(what string, t modelState)) {
	for i := range m.ops {
		m.operate(s, i, visit)
	}
	for at := range s.replicas {
		m.arrive(s, at, visit)
		if m.old {
			m.oldRule(s, at, visit)
		}
	}
	m.forget(s, visit)
	if m.crashes && s.epoch == 0 {
		for at := range s.replicas {
			t := s
			t.crash(at)
			visit(fmt.Sprintf("replica %d loses its memory and takes over from the others", at), t)
		}
	}
}

func (s *modelState) crash(at int) {
	a, b := s.replicas[(at+1)%replicas], s.replicas[(at+2)%replicas]
	s.replicas[at] = modelReplica{has: max(a.has, b.has), floor: max(a.floor, b.floor), fence: max(a.fence, b.fence)}
	s.epoch, s.rounds, s.began = modelEpoch, [2]modelRound{}, 0
	for i := range s.replicas {
		s.replicas[i].mark = modelEpoch
	}
	for i := range s.ops {
		o := &s.ops[i]
		switch o.phase {
		case 1:
			*o = modelOp{phase: 1, after: o.after}
		case 2:
			o.from = 0
		}
	}
}

// operate has an operation take its next step at each replica.
func (m *model) operate(s modelState, i int, visit func(string, modelState)) {
	kind := m.ops[i]
	o := s.ops[i]
	if o.phase == 0 && kind == 'r' && i > 0 && m.ops[i-1] == 'r' && s.ops[i-1].phase != 3 {
		return
	}
	for at := range s.replicas {
		t := s
		o, r := &t.ops[i], &t.replicas[at]
		if o.phase == 3 || o.from&(1<<at) != 0 {
			continue
		}
		if o.phase == 2 {
			if m.put(r, &t, o.version, o.most) {
				o.from |= 1 << at
				if bits.OnesCount8(o.from) == majority {
					o.phase = 3
				}
				visit(fmt.Sprintf("%c%d stores %v at %d", kind, i, o.version, at), t)
			}
			continue
		}
		m.fetch(&t, i, at)
		what := fmt.Sprintf("%c%d fetches from %d", kind, i, at)
		if o.from == 0 || bits.OnesCount8(o.from) < majority {
			visit(what, t)
			continue
		}
		o.from = 0
		if kind == 'r' {
			o.phase = 2
			if o.alike {
				o.phase = 3
			} else {
				t.send(o.version, o.most)
			}
			visit(what, t)
			continue
		}
		for c := o.counter + 1; c <= modelMost; c++ {
			u := t
			u.ops[i].phase, u.ops[i].version = 2, ver(c<<2|writers[kind])
			u.send(u.ops[i].version, o.most)
			visit(what, u)
		}
	}
}

// fetch takes the answer of a replica to phase 1. Answers that straddle a round
// are thrown away.
func (m *model) fetch(s *modelState, i, at int) {
	o, r := &s.ops[i], s.replicas[at]
	if o.phase == 0 {
		o.phase, o.after = 1, s.done()
	}
	first := o.from == 0
	o.alike = first || o.version == r.has
	if first {
		o.least = r.mark
	}
	o.least, o.most, o.fence = min(o.least, r.mark), max(o.most, r.mark), max(o.fence, r.fence)
	o.version, o.counter = max(o.version, r.has), max(o.counter, r.has.counter())
	if r.has == 0 && !m.noFloor {
		o.counter = max(o.counter, r.floor)
	}
	o.from |= 1 << at
	if o.least < o.fence && !m.noStraddle && m.ops[i] == 'r' {
		*o = modelOp{phase: 1, after: o.after}
	}
}

// arrive delivers what may be on its way.
func (m *model) arrive(s modelState, at int, visit func(string, modelState)) {
	if m.old {
		// No message is late: what arrives is what another replica holds now.
		for from, r := range s.replicas {
			t := s
			if r.has > t.replicas[at].has && m.put(&t.replicas[at], &t, r.has, 0) {
				visit(fmt.Sprintf("%d syncs with %d", at, from), t)
			}
		}
		return
	}
	for v, token := range s.flying {
		t := s
		if token > 0 && ver(v) > t.replicas[at].has && m.put(&t.replicas[at], &t, ver(v), token-1) {
			visit(fmt.Sprintf("%v of token %d arrives at %d", ver(v), token-1, at), t)
		}
	}
}

// oldRule is what it was: a replica forgets a deletion that it has had for longer
// than any operation takes, once it has seen each of the others to have nothing
// older.
func (m *model) oldRule(s modelState, at int, visit func(string, modelState)) {
	r := s.replicas[at]
	if !r.has.deletes() || r.busy&s.running()&^m.uncertain() != 0 {
		return
	}
	for from, other := range s.replicas {
		if from != at && r.older&(1<<from) == 0 && (other.has == 0 || other.has >= r.has) {
			t := s
			t.replicas[at].older |= 1 << from
			visit(fmt.Sprintf("%d sees that %d has nothing older", at, from), t)
		}
	}
	if bits.OnesCount8(r.older) == replicas-1 {
		t := s
		t.replicas[at] = modelReplica{floor: max(r.floor, r.has.counter())}
		visit(fmt.Sprintf("%d forgets", at), t)
	}
}

// uncertain is the deletions, which may have been given up.
func (m *model) uncertain() (set uint8) {
	for i, kind := range m.ops {
		if kind == 'd' {
			set |= 1 << i
		}
	}
	return set
}

// forget takes a step of a round.
func (m *model) forget(s modelState, visit func(string, modelState)) {
	if int(s.began) < m.rounds {
		var targets []ver
		if m.others {
			targets = append(targets, 0)
		}
		for _, r := range s.replicas {
			if r.has.deletes() && !slices.Contains(targets, r.has) {
				targets = append(targets, r.has)
			}
		}
		for _, target := range targets {
			t := s
			t.rounds[s.began] = modelRound{target: target, number: s.epoch + s.began + 1}
			if target == 0 {
				t.rounds[s.began].holders = everyone
			}
			t.began++
			visit(fmt.Sprintf("round %d is to forget %v", t.began, target), t)
		}
	}
	for i, round := range s.rounds[:s.began] {
		mayMark := round.holders == everyone || m.noHold && round.holders != 0
		for at := range s.replicas {
			t := s
			r, x, bit := &t.replicas[at], &t.rounds[i], uint8(1)<<at
			step := ""
			switch {
			case round.holders&bit == 0 && r.has == round.target:
				x.holders |= bit
				step = "is held by"
			case mayMark && round.marked&bit == 0 && r.mark < round.number:
				r.mark, x.marked = round.number, round.marked|bit
				step = "is marked by"
			case round.marked == everyone &&
				(r.fence < round.number || r.has == round.target && r.has != 0):
				r.fence = max(r.fence, round.number)
				if r.has == round.target {
					r.floor = max(r.floor, r.has.counter())
					r.has = 0
				}
				step = "is forgotten by"
			}
			if step != "" {
				visit(fmt.Sprintf("round %d %s %d", i+1, step, at), t)
			}
		}
	}
}

// wrong tells whether what the operations returned is not linearizable.
func (m *model) wrong(s *modelState) bool {
	key := ""
	for i := range m.ops {
		o := &s.ops[i]
		key += fmt.Sprint(o.phase, o.after, o.version.writer(), ";")
	}
	verdict, ok := m.verdicts[key]
	if !ok {
		verdict = !m.linear(s, 0, 0)
		m.verdicts[key] = verdict
	}
	return verdict
}

// linear tells whether the operations that are not in past can follow where the
// key has a value, the writer of which is given; 0 for nothing.
func (m *model) linear(s *modelState, past, value uint8) bool {
	if s.done()&^past == 0 {
		return true
	}
	for i := range m.ops {
		o := &s.ops[i]
		reads, bit := m.ops[i] == 'r', uint8(1)<<i
		if past&bit != 0 || o.after&^past != 0 || o.phase < 2 || reads && o.phase != 3 {
			continue
		}
		w := o.version.writer()
		if m.ops[i] == 'd' {
			w = 0
		}
		if reads && w != value {
			continue
		}
		if m.linear(s, past|bit, w) {
			return true
		}
	}
	return false
}

// settle forgets what makes no difference any more, and has everything that a
// replica holds be on its way to the others.
func (s *modelState) settle(m *model) {
	for i := range s.ops {
		switch o := &s.ops[i]; {
		case o.phase == 3:
			*o = modelOp{phase: 3, after: o.after, version: o.version & 3}
			if o.version.deletes() {
				o.version = 0
			}
		case o.phase == 2:
			*o = modelOp{phase: 2, after: o.after, from: o.from, version: o.version, most: o.most}
		case o.phase == 1 && m.ops[i] != 'r':
			o.version, o.alike = 0, false
		}
	}
	if m.old {
		return
	}
	for _, r := range s.replicas {
		if r.has != 0 {
			s.send(r.has, r.mark)
		}
	}
}

var orders = [][replicas]uint8{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}

// canonical is one of the six states that differ only in the order of replicas.
func (s modelState) canonical() modelState {
	var best modelState
	for i, order := range orders {
		t := s
		turn := func(set uint8) (out uint8) {
			for at, from := range order {
				out |= set >> from & 1 << at
			}
			return out
		}
		for at, from := range order {
			t.replicas[at] = s.replicas[from]
			t.replicas[at].older = turn(t.replicas[at].older)
		}
		for i := range t.ops {
			t.ops[i].from = turn(t.ops[i].from)
		}
		for i := range t.rounds {
			t.rounds[i].holders, t.rounds[i].marked = turn(t.rounds[i].holders), turn(t.rounds[i].marked)
		}
		if i == 0 || t.less(&best) {
			best = t
		}
	}
	return best
}

func (s *modelState) less(t *modelState) bool {
	for i := range s.replicas {
		a, b := s.replicas[i], t.replicas[i]
		if a != b {
			x := [...]uint8{uint8(a.has), a.floor, a.mark, a.fence, a.older, a.busy}
			y := [...]uint8{uint8(b.has), b.floor, b.mark, b.fence, b.older, b.busy}
			return slices.Compare(x[:], y[:]) < 0
		}
	}
	for i := range s.ops {
		if a, b := s.ops[i].from, t.ops[i].from; a != b {
			return a < b
		}
	}
	for i := range s.rounds {
		a, b := s.rounds[i], t.rounds[i]
		if a != b {
			return a.holders < b.holders || a.holders == b.holders && a.marked < b.marked
		}
	}
	return false
}

// explore visits every state and returns how many there are, or the shortest way
// to one that is wrong.
func explore(r rules) (states int, wrong string) {
	m := &model{rules: r, verdicts: make(map[string]bool)}
	type node struct {
		state modelState
		from  int
		what  string
	}
	var first modelState
	if r.given {
		v := ver(1<<2 | writers[r.ops[0]])
		first.replicas[0].has, first.replicas[1].has, first.ops[0] = v, v, modelOp{phase: 3, version: v}
	}
	first.settle(m)
	first = first.canonical()
	nodes := []node{{state: first, from: -1}}
	seen := map[modelState]bool{first: true}
	for at := 0; at < len(nodes) && wrong == ""; at++ {
		m.next(nodes[at].state, func(what string, t modelState) {
			t.settle(m)
			t = t.canonical()
			if seen[t] {
				return
			}
			seen[t] = true
			nodes = append(nodes, node{t, at, what})
			if wrong == "" && m.wrong(&t) {
				var steps []string
				for i := len(nodes) - 1; i > 0; i = nodes[i].from {
					steps = append(steps, nodes[i].what)
				}
				slices.Reverse(steps)
				wrong = strings.Join(steps, "\n")
			}
		})
	}
	return len(nodes), wrong
}

var deep = flag.Bool("deep", false, "visit the models that take minutes, too")

func TestModel(t *testing.T) {
	for _, c := range []struct {
		name  string
		deep  bool
		rules rules
	}{
		{"deletion, read; a loss of memory", false, rules{ops: "pdr", given: true, rounds: 1, crashes: true}},
		{"put, read", false, rules{ops: "dpr", given: true, rounds: 1}},
		{"deletion, two reads", false, rules{ops: "pdrr", given: true, rounds: 1}},
		{"deletion, read; two rounds", true, rules{ops: "pdr", given: true, rounds: 2}},
		{"deletion, read; a round of another key", true, rules{ops: "pdr", given: true, rounds: 2, others: true}},
		{"put, deletion, read", true, rules{ops: "pdr", rounds: 1}},
		{"deletion, another put, read", true, rules{ops: "pdPr", given: true, rounds: 1}},
	} {
		if c.deep && !*deep {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			states, wrong := explore(c.rules)
			assert.Empty(t, wrong)
			t.Logf("%d states", states)
		})
	}
}

func TestModelFindsFaults(t *testing.T) {
	for _, c := range []struct {
		fault string
		rules rules
	}{
		{"forgets where the others once had nothing older", rules{ops: "pdrr", given: true, old: true}},
		{"has no fence", rules{ops: "pdr", given: true, rounds: 1, noFence: true}},
		{"takes answers that straddle a round", rules{ops: "pdr", given: true, rounds: 1, noStraddle: true}},
		{"has no floor", rules{ops: "dpr", given: true, rounds: 1, noFloor: true}},
		{"marks what not all hold", rules{ops: "pdr", given: true, rounds: 1, noHold: true}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			states, wrong := explore(c.rules)
			assert.NotEmpty(t, wrong, "no way to it in %d states", states)
			t.Logf("after %d states:\n%s", states, wrong)
		})
	}
}
