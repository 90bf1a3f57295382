package stress

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
	"tensile/stress/report"
)

// nodes are the processes of a cluster, with what each says of the others and
// what is true of each: the kit knows, as all that happens to them is its work.
type nodes struct {
	*scenario.Scenario
	site      *proc.Site
	lookEvery time.Duration // how often each node is asked for what it holds
	window    int           // of each node, in bytes

	line report.Timeline

	vm      sync.Mutex
	all     map[string]*nodeProcess
	changed chan struct{}                        // closed and replaced with every change of a view
	strange []string                             // nodes that must be in no view
	closed  bool                                 // views do not count any more
	told    func(by, about string, is NodeState) // is called with every change of a view; may be nil
	leaks   int                                  // that the node processes found at their ends
}

// nodeProcess is a node. The lock of nodes guards it.
type nodeProcess struct {
	name    string
	process *proc.Process
	addr    string
	view    map[string]NodeState

	truth  truth
	steady bool // all others have it alive, and nothing has happened to it since
}

// truth is what has been done to a node.
type truth string

const (
	running truth = "alive"
	stopped truth = "stopped"
	killed  truth = "killed"
	gone    truth = "left"
)

func newNodes(s *scenario.Scenario, site *proc.Site, lookEvery time.Duration) *nodes {
	return &nodes{Scenario: s, site: site, lookEvery: lookEvery, window: nodeWindow, line: report.Timeline{Name: "what happened to the nodes"}, all: make(map[string]*nodeProcess), changed: make(chan struct{})}
}

// launch starts a process for a node, which is not yet told to be one. The
// former process of that name has ended.
func (k *nodes) launch(name string) bool {
	n := &nodeProcess{name: name, truth: running}
	p, err := k.site.Start(nil, proc.Options{Output: k.LogFile(name), OnEvent: func(body json.RawMessage) { k.heard(n, body) }})
	if err != nil {
		k.Fail("%s: %v", k.ID, err)
		return false
	}
	n.process = p
	k.vm.Lock()
	k.all[name] = n
	k.vm.Unlock()
	k.OnInterrupt(p.Kill)
	return true
}

// join tells a process to be a node.
func (k *nodes) join(ctx context.Context, name string, seeds ...string) bool {
	var at struct{ Addr, Type string }
	err := k.ask(ctx, name, nodeOrder{Do: "start", Pace: k.lookEvery,
		Start: &nodeStart{Name: name, Bind: "127.0.0.1:0", Seeds: seeds, Secret: nodeSecret(k.Seed), Window: k.window}}, &at)
	if err != nil {
		k.Fail("%s: starting %s: %v", k.ID, name, err)
		return false
	}
	k.vm.Lock()
	k.all[name].addr = at.Addr
	k.vm.Unlock()
	k.Record(func(r *report.Scenario) { r.Subject = at.Type })
	return true
}

func (k *nodes) ask(ctx context.Context, name string, o nodeOrder, into any) error {
	k.vm.Lock()
	p := k.all[name].process
	k.vm.Unlock()
	return p.Ask(ctx, o, into)
}

// lookAt has all nodes asked more often, or less, for what they hold.
func (k *nodes) lookAt(ctx context.Context, every time.Duration) {
	k.lookEvery = every
	for _, name := range k.names() {
		if err := k.ask(ctx, name, nodeOrder{Do: "pace", Pace: every}, nil); err != nil {
			k.Fail("%s: %s: %v", k.ID, name, err)
		}
	}
}

// names are those of the nodes that run, in order.
func (k *nodes) names() []string {
	k.vm.Lock()
	defer k.vm.Unlock()
	var names []string
	for name, n := range k.all {
		if n.truth == running {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (k *nodes) addr(name string) string {
	k.vm.Lock()
	defer k.vm.Unlock()
	return k.all[name].addr
}

// others are the names without some.
func others(names []string, not ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(not, n) })
}

// heard takes in what a node holds of the others, and looks for what can not
// be right.
func (k *nodes) heard(n *nodeProcess, body json.RawMessage) {
	var e nodeEvent
	if err := json.Unmarshal(body, &e); err != nil {
		k.Fail("%s: %s told %q: %v", k.ID, n.name, body, err)
		return
	}
	k.vm.Lock()
	defer k.vm.Unlock()
	before := n.view
	n.view = e.Members
	close(k.changed)
	k.changed = make(chan struct{})
	if k.closed || n.truth == killed || n.truth == gone {
		return
	}
	for _, name := range k.strange {
		if state, known := e.Members[name]; known {
			k.Violate("secret", "%s lists %s, which has another secret, as %s", n.name, name, state)
		}
	}
	for name, o := range k.all {
		was, is := before[name], e.Members[name]
		if was == is {
			continue
		}
		if k.told != nil {
			k.told(n.name, name, is)
		}
		switch {
		case o.truth == running && o.steady && was == NodeAlive && is == "":
			k.Violate("false_deaths", "%s dropped %s, which is alive and well", n.name, name)
		case o.truth == running && o.steady && was == NodeAlive:
			k.Violate("false_deaths", "%s lists %s as %s, which is alive and well", n.name, name, is)
		case o.truth == gone && is == NodeFailed:
			k.Violate("leave", "%s lists %s as failed, which has left", n.name, name)
		case o.truth == killed && was != "" && was != NodeAlive && is == NodeAlive:
			k.Violate("views", "%s lists %s as alive again, which is dead", n.name, name)
		}
	}
}

// await waits until holds is true of the views, and tells whether it was in
// time. holds is called with the lock held.
func (k *nodes) await(ctx context.Context, holds func() bool) bool {
	for {
		k.vm.Lock()
		ok, changed := holds(), k.changed
		k.vm.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// lists waits until each of some nodes has others in a state. It returns a
// sentence of those that have not.
func (k *nodes) lists(ctx context.Context, observers, names []string, states ...NodeState) (wrong string) {
	return k.listsWithin(ctx, scenario.Settle, observers, names, states...)
}

func (k *nodes) listsWithin(ctx context.Context, bound time.Duration, observers, names []string, states ...NodeState) (wrong string) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if k.await(ctx, func() bool {
		wrong = ""
		for _, by := range observers {
			for _, name := range names {
				is := k.all[by].view[name]
				if by == name || slices.Contains(states, is) {
					continue
				}
				if is == "" {
					is = "unknown"
				}
				wrong = fmt.Sprintf("%s has %s as %s", by, name, is)
				return false
			}
		}
		return true
	}) {
		return ""
	}
	return fmt.Sprintf("after %v %s", bound, wrong)
}

// form starts nodes and waits until each lists all others as alive, and returns
// the time that took. The processes are started too in that time.
func (k *nodes) form(ctx context.Context, names []string) (time.Duration, bool) {
	began := time.Now()
	for _, name := range names {
		if !k.launch(name) {
			return 0, false
		}
	}
	if !k.join(ctx, names[0]) {
		return 0, false
	}
	var all sync.WaitGroup
	for _, name := range names[1:] {
		all.Go(func() { k.join(ctx, name, k.addr(names[0])) })
	}
	wrong := k.lists(ctx, names, names, NodeAlive)
	took := time.Since(began)
	all.Wait()
	if k.Failed() {
		return 0, false
	}
	if wrong != "" {
		k.Violate("views", "%d nodes were started, and %s", len(names), wrong)
		return 0, false
	}
	k.steady(names, true)
	return took, true
}

// steady says of nodes that nothing happens to them, or that something may.
func (k *nodes) steady(names []string, is bool) {
	k.vm.Lock()
	defer k.vm.Unlock()
	for _, name := range names {
		k.all[name].steady = is
	}
}

func (k *nodes) set(name string, t truth) {
	k.vm.Lock()
	defer k.vm.Unlock()
	k.all[name].truth, k.all[name].steady = t, false
}

func (k *nodes) event(kind report.EventKind, target, what string) {
	k.Record(func(*report.Scenario) {
		k.line.Events = append(k.line.Events,
			report.Event{At: time.Since(k.Began).Seconds(), Kind: kind, Target: target, What: what})
	})
}

// signal sends a signal to a node, after truth has been set.
func (k *nodes) signal(name string, s syscall.Signal, t truth) time.Time {
	kind := report.Fault
	if s == syscall.SIGCONT {
		kind = report.Undone
	}
	k.set(name, t)
	k.event(kind, name, map[syscall.Signal]string{syscall.SIGKILL: "SIGKILL", syscall.SIGSTOP: "SIGSTOP", syscall.SIGCONT: "SIGCONT"}[s])
	k.vm.Lock()
	p := k.all[name].process
	k.vm.Unlock()
	at := time.Now()
	if err := p.Signal(s); err != nil {
		k.Fail("%s: %v", k.ID, err)
	}
	return at
}

// pairs has every node call every other, and tells what goes wrong.
func (k *nodes) pairs(ctx context.Context, names []string) (wrong []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, from := range names {
		all.Go(func() {
			var failed map[string]string
			if err := k.ask(ctx, from, nodeOrder{Do: "ping", To: others(names, from)}, &failed); err != nil {
				failed = map[string]string{"any": err.Error()}
			}
			mu.Lock()
			defer mu.Unlock()
			for _, to := range slices.Sorted(maps.Keys(failed)) {
				wrong = append(wrong, fmt.Sprintf("%s to %s: %s", from, to, failed[to]))
			}
		})
	}
	all.Wait()
	return wrong
}

// restart begins a new life of a node that was killed or has left.
func (k *nodes) restart(ctx context.Context, name string) bool {
	alive := k.names()
	if !k.launch(name) || !k.join(ctx, name, k.addr(alive[0])) {
		return false
	}
	k.event(report.Undone, name, "restarted")
	if wrong := k.lists(ctx, alive, []string{name}, NodeAlive); wrong != "" {
		k.Violate("rejoin", "%s was started again under its name, and %s", name, wrong)
		return false
	}
	if wrong := k.lists(ctx, []string{name}, alive, NodeAlive); wrong != "" {
		k.Violate("rejoin", "%s was started again under its name, and %s", name, wrong)
		return false
	}
	k.steady([]string{name}, true)
	return true
}

// reap waits until the process of a node that was killed or has left is gone.
func (k *nodes) reap(name string) {
	k.vm.Lock()
	p := k.all[name].process
	k.vm.Unlock()
	p.Kill()
}

// closeAll closes the nodes that run, one after the other, and ends all
// processes.
func (k *nodes) closeAll(ctx context.Context, _ *testing.T) {
	k.vm.Lock()
	k.closed = true
	k.vm.Unlock()
	for _, name := range k.names() {
		if !k.end(ctx, name, "close") {
			break // the others would be waited for as well
		}
	}
	k.killAll()
}

// end has a node close or leave, and takes in what it leaves behind. It returns
// true if that is nothing.
func (k *nodes) end(ctx context.Context, name, how string) bool {
	var left measure.Leaks
	if err := k.ask(ctx, name, nodeOrder{Do: how}, &left); err != nil {
		k.Fail("%s: %s was told to %s: %v", k.ID, name, how, err)
		return false
	}
	if !left.None() {
		k.Fail("%s.leaks: %s has ended: %v", k.ID, name, left)
		k.vm.Lock()
		k.leaks += left.Goroutines + left.Descriptors + left.Children
		k.vm.Unlock()
	}
	return left.None()
}

// killAll ends all processes, whatever state they are in.
func (k *nodes) killAll() {
	k.vm.Lock()
	k.closed = true
	all := slices.Collect(maps.Values(k.all))
	k.vm.Unlock()
	for _, n := range all {
		n.process.Kill()
	}
}
