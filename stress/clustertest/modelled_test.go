package clustertest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/node"
)

// modelled is a fleet without processes, of nodes that know at once what is true, but
// for a fault.
type modelled struct {
	fault string

	mu    sync.Mutex
	ports int
	all   map[string]*modelNode
}

type modelNode struct {
	addr    string
	truth   nodes.Truth
	stopped time.Time
	cut     bool // is cut off from some
	healed  bool // was
	// Of faults: who takes it for what it is not, for good.
	seen map[string]node.State
}

var errModel = errors.New("no seed answers")

func (f *modelled) FreeAddr() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ports++
	return "address " + strconv.Itoa(f.ports), nil
}

func (f *modelled) pass(d time.Duration) func() {
	time.Sleep(d)
	f.mu.Lock()
	return f.mu.Unlock
}

func (f *modelled) Start(_ context.Context, s nodes.Start) (nodes.Started, error) {
	defer f.pass(50 * time.Millisecond)()
	at := nodes.Started{Addr: s.Bind, Offers: nodes.Offers{Secret: true, Names: true, Addresses: true}}
	if len(s.Seeds) > 0 && f.fault == "first seed" && !f.listens(s.Seeds[0]) {
		return at, errModel
	}
	if len(s.Seeds) > 0 && !slices.ContainsFunc(s.Seeds, f.listens) {
		return at, errModel
	}
	n := &modelNode{addr: s.Bind, truth: nodes.Running, seen: make(map[string]node.State)}
	if was := f.all[s.Name]; was != nil {
		moved := was.addr != s.Bind
		switch {
		case f.fault == "name kept" && moved && was.truth == nodes.Killed:
			return at, errors.New("the name is taken")
		case f.fault == "tombstone" && was.truth == nodes.Gone:
			f.others(s.Name, func(by string, _ *modelNode) { n.seen[by] = node.Left })
		case f.fault == "old address" && moved:
			f.others(s.Name, func(by string, _ *modelNode) { n.seen[by] = node.Failed })
		}
	}
	f.all[s.Name] = n
	return at, nil
}

func (f *modelled) listens(addr string) bool {
	for _, n := range f.all {
		if n.addr == addr && (n.truth == nodes.Running || n.truth == nodes.Stopped) {
			return true
		}
	}
	return false
}

func (f *modelled) others(not string, do func(name string, n *modelNode)) {
	for name, n := range f.all {
		if name != not {
			do(name, n)
		}
	}
}

func (f *modelled) Claim(_ context.Context, _ string, s nodes.Start) (nodes.Intrusion, error) {
	defer f.pass(20 * time.Millisecond)()
	if f.fault == "claims" {
		return nodes.Intrusion{Accepted: true}, nil
	}
	return nodes.Intrusion{Err: "taken", NameTaken: true, AddressTaken: true}, nil
}

func (f *modelled) Kill(names []string) {
	defer f.pass(0)()
	for _, name := range names {
		f.all[name].truth = nodes.Killed
	}
	for _, name := range names {
		next := f.all["node-"+strconv.Itoa(payload.NodeNumber(name)+1)]
		f.others(name, func(by string, _ *modelNode) {
			if f.fault == "ring" && next != nil && next.truth == nodes.Killed ||
				f.fault == "one of two" && len(names) > 1 && name == names[0] {
				f.all[name].seen[by] = node.Alive
			}
		})
	}
}

func (f *modelled) Stop(name string) error {
	defer f.pass(0)()
	f.all[name].truth, f.all[name].stopped = nodes.Stopped, time.Now()
	return nil
}

func (f *modelled) Continue(name string) error {
	defer f.pass(0)()
	f.all[name].truth = nodes.Running
	if f.fault == "not taken back" && time.Since(f.all[name].stopped) > 400*time.Millisecond {
		f.others(name, func(by string, _ *modelNode) { f.all[name].seen[by] = node.Failed })
	}
	return nil
}

func (f *modelled) Leave(_ context.Context, name string) (nodes.Ended, error) {
	defer f.pass(100 * time.Millisecond)()
	if f.fault == "no leave" {
		return nodes.Ended{Unsupported: true}, nil
	}
	left := nodes.Ended{Members: make(map[string]node.State)}
	f.all[name].truth = nodes.Gone
	f.others(name, func(by string, n *modelNode) {
		left.Members[by] = node.Alive
		if f.fault == "left while stopped" && n.truth == nodes.Stopped {
			f.all[name].seen[by] = node.Failed
		}
	})
	return left, nil
}

func (f *modelled) Cut(_ context.Context, name string, to, _ []string) error {
	defer f.pass(0)()
	n := f.all[name]
	if f.fault == "after a heal" && n.cut && len(to) == 0 {
		f.others(name, func(by string, _ *modelNode) { n.seen[by] = node.Failed })
	}
	n.healed = n.healed || n.cut
	n.cut = len(to) > 0
	return nil
}

func (f *modelled) Look(_ context.Context, name string, to []string) (nodes.Look, error) {
	defer f.pass(time.Millisecond)()
	look := nodes.Look{Members: make(map[string]node.State), Calls: make(map[string]nodes.Call)}
	f.others(name, func(of string, n *modelNode) {
		is := node.Alive
		switch {
		case n.seen[name] != "":
			is = n.seen[name]
		case n.truth == nodes.Killed, n.truth == nodes.Stopped && time.Since(n.stopped) > 400*time.Millisecond:
			is = node.Failed
		case n.truth == nodes.Gone:
			is = node.Left
		}
		look.Members[of] = is
	})
	for _, of := range to {
		look.Calls[of] = nodes.Call{}
		if f.fault == "calls" && f.all[of].healed {
			look.Calls[of] = nodes.Call{Err: "no answer"}
		}
	}
	return look, nil
}

func (f *modelled) Beat(context.Context, string) error { return nil }

func (f *modelled) End() {}
