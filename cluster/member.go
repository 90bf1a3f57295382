package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// State is what a node knows of a member.
type State int

// The states.
const (
	Alive  State = iota // connected, and heard
	Failed              // dead, or not heard any more
	Left                // gone by Leave
)

func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Failed:
		return "failed"
	case Left:
		return "left"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Member is a node as another sees it.
type Member struct {
	Name string
	Addr string // host:port
	// Incarnation is higher in each life of a node.
	Incarnation uint64
	State       State
}

// Event is a change of a member.
type Event struct {
	Member // as it is after the change
	// Cause says why a member is believed to have failed; else it is nil.
	Cause error
}

// Gossip knows a node by its name and incarnation, so that one that comes back
// is another node to it, which cannot conflict with what is still told of its
// former life.

func gossipName(name string, incarnation uint64) string {
	return name + "#" + strconv.FormatUint(incarnation, 10)
}

func parseGossipName(s string) (name string, incarnation uint64, ok bool) {
	name, number, ok := strings.Cut(s, "#")
	incarnation, err := strconv.ParseUint(number, 10, 64)
	return name, incarnation, ok && err == nil && checkName(name) == nil
}
