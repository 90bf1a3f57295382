package clustertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/node"
)

// life is one life of a node, and what has really happened to it.
type life struct {
	name, addr string
	number     int // unlike that of any other
	truth      nodes.Truth
	how        string // as in "was killed at the same instant as node-1"
	judged     bool   // all was right after that
	// settled is that what became of it was seen at rest.
	settled  bool
	busy     bool         // an act of the stage is about it
	notified map[int]bool // of one that left: the lives that it was to tell
}

// happens notes what happens to a node that lives on.
func (l *life) happens(what string) {
	if l.judged {
		l.how, l.judged = what, false
	} else if l.how != what {
		l.how += ", then " + what
	}
}

// pair is two lives, the lower number first.
type pair [2]int

func pairOf(a, b *life) pair { return pair{min(a.number, b.number), max(a.number, b.number)} }

// community is the lives of a cluster, and which of them know one another.
type community struct {
	fleet fleet
	lives map[string]*life // the last of each name
	last  int              // number
	// A pair has met once one has called the other. loose is one that need not meet:
	// one of the two joined while the other was not to be reached, so that nobody could
	// tell them of each other, and no node is bound to pass on whom it knows forever.
	met, loose map[pair]bool

	mu      sync.Mutex
	offers  nodes.Offers
	noLeave bool // nodes can not leave
}

// sorted are the last lives of all names, in order, that are as wanted.
func (c *community) sorted(is func(*life) bool) (all []*life) {
	for _, l := range c.lives {
		if is(l) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b *life) int { return payload.NodeNumber(a.name) - payload.NodeNumber(b.name) })
	return all
}

func running(l *life) bool { return l.truth == nodes.Running }
func there(l *life) bool   { return l.truth == nodes.Running || l.truth == nodes.Stopped }
func gone(l *life) bool    { return !there(l) }

// must tells whether two must know each other.
func (c *community) must(a, b *life) bool {
	p := pairOf(a, b)
	return c.met[p] || !c.loose[p]
}

// allowed are the states in which a node that runs may list another; none for any. By
// "" it does not list it.
func (c *community) allowed(by, of *life) []node.State {
	p := pairOf(by, of)
	switch of.truth {
	case nodes.Running:
		if c.must(by, of) {
			return []node.State{node.Alive}
		}
		return nil
	case nodes.Stopped:
		if c.must(by, of) {
			return []node.State{node.Failed, ""}
		}
		return nil
	case nodes.Gone:
		if of.notified[by.number] {
			return []node.State{node.Left}
		}
		return []node.State{node.Left, node.Failed, ""}
	}
	if c.met[p] {
		return []node.State{node.Failed, ""}
	}
	return []node.State{node.Failed, "", node.Left} // as of a life before
}

// wrong is what a node holds, or cannot do, though it must.
type wrong struct {
	key       string // the same as long as it is wrong in the same way
	criterion string
	text      string
}

// judge compares what one node says with what is true.
func (c *community) judge(by *life, look nodes.Look) (all []wrong) {
	for _, of := range c.sorted(func(l *life) bool { return l != by }) {
		is := look.Members[of.name]
		allowed := c.allowed(by, of)
		if allowed != nil && !slices.Contains(allowed, is) {
			w := wrong{criterion: criterionOf(of, is)}
			w.key = fmt.Sprint(by.number, of.number, is)
			w.text = fmt.Sprintf("%s %s, and %s %s", of.name, of.how, by.name, holds(is))
			if of.truth == nodes.Gone {
				w.text = fmt.Sprintf("%s %s, and %s, which %s, %s", of.name, of.how, by.name, by.how, holds(is))
			}
			all = append(all, w)
			continue
		}
		call, made := look.Calls[of.name]
		switch {
		case !made || !running(of):
		case call.Err == "":
			c.met[pairOf(by, of)] = true
		case c.must(by, of):
			all = append(all, wrong{fmt.Sprint(by.number, of.number, "call"), "pairs",
				fmt.Sprintf("%s %s, and the calls of %s, which %s, to it fail: %s", of.name, of.how, by.name, by.how, call.Err)})
		}
	}
	return all
}

func holds(is node.State) string {
	if is == "" {
		return "does not list it"
	}
	return fmt.Sprintf("lists it as %s", is)
}

// criterionOf names what is broken where a node is listed as what it is not.
func criterionOf(of *life, is node.State) string {
	switch {
	case of.truth == nodes.Gone && is == node.Failed:
		return "leave"
	case of.truth == nodes.Stopped, of.truth == nodes.Running && strings.Contains(of.how, "stopped"):
		return "hung"
	case of.truth == nodes.Running && strings.Contains(of.how, "again"):
		return "rejoin"
	}
	return "views"
}
