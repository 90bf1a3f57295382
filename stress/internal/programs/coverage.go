package programs

import (
	"fmt"
	"slices"
	"strings"
)

// Pair is an operation, and an operation or event that it may meet.
type Pair [2]string

func (p Pair) String() string { return p[0] + " + " + p[1] }

// triedPrefix begins the counts of promises that were put to the test.
const triedPrefix = "tried: "

// words are the names of a vocabulary, operations first, and their pairs.
type words struct {
	names []string
	index map[string]int
	ops   int
	pairs []string // of an operation with itself, a later operation, or an event
	first []int    // of the pairs of an operation
}

func (v *Vocabulary[W]) words() *words {
	w := &words{index: make(map[string]int), ops: len(v.Ops)}
	for _, op := range v.Ops {
		w.names = append(w.names, op.Name)
	}
	w.names = append(w.names, v.Events...)
	for i, name := range w.names {
		w.index[name] = i
	}
	for i, name := range w.names[:w.ops] {
		w.first = append(w.first, len(w.pairs)-i)
		for _, other := range w.names[i:] {
			w.pairs = append(w.pairs, Pair{name, other}.String())
		}
	}
	return w
}

// pair is the number of the pair of two words, of which one is an operation.
func (w *words) pair(a, b int) int { return w.first[min(a, b)] + max(a, b) }

// Coverage says which pairs of operations were under way at once in at least one
// schedule, and which operations were under way in a stage with which events.
type Coverage struct {
	Tried, All int
	Never      []string
	Promises   map[string]int // schedules in which each criterion was put to the test
}

// Coverage is that of a vocabulary, by what an exploration has counted.
func (v *Vocabulary[W]) Coverage(counts map[string]int) Coverage {
	c := Coverage{Promises: make(map[string]int)}
	for _, pair := range v.words().pairs {
		switch {
		case v.apart(pair):
		case counts[pair] > 0:
			c.Tried++
			c.All++
		default:
			c.All++
			c.Never = append(c.Never, pair)
		}
	}
	for name, n := range counts {
		if criterion, ok := strings.CutPrefix(name, triedPrefix); ok {
			c.Promises[criterion] = n
		}
	}
	return c
}

// apart tells whether two words cannot meet.
func (v *Vocabulary[W]) apart(pair string) bool {
	for _, op := range v.Ops {
		if op.Instant && (strings.HasPrefix(pair, op.Name+" + ") || strings.HasSuffix(pair, " + "+op.Name)) {
			return true
		}
	}
	return slices.ContainsFunc(v.Apart, func(p Pair) bool { return p.String() == pair })
}

// mostNamed is how many pairs a sentence names.
const mostNamed = 8

func (c Coverage) String() string {
	text := fmt.Sprintf("pairs that met: %d of %d", c.Tried, c.All)
	if len(c.Never) == 0 {
		return text
	}
	named := c.Never[:min(len(c.Never), mostNamed)]
	text += "; never: " + strings.Join(named, ", ")
	if more := len(c.Never) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
