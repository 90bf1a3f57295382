package nodes

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
	"tensile/stress/node"
	"tensile/stress/report"
)

// Nodes are the processes of a cluster, with what each reports about the others and what
// is true of each. The kit knows what is true, because it causes everything that happens to
// them.
type Nodes struct {
	*scenario.Scenario
	site      *proc.Site
	LookEvery time.Duration // how often each node is asked for its member list
	Window    int           // of each node, in bytes
	// CallTimeout is that of each node; 0 for the one of small loads.
	CallTimeout time.Duration

	Line report.Timeline

	mu       sync.Mutex
	all      map[string]*Process
	changed  chan struct{}                         // closed and replaced with every change of a view
	strange  []string                              // nodes that must be in no view
	closed   bool                                  // views no longer count
	Notified func(by, about string, is node.State) // is called with every change of a view; may be nil
	Leaks    int                                   // that the node processes found at their ends
	lost     map[[2]string]time.Time               // when the control of one lost its connection to another
	offers   Offers
}

// Process is a node. The lock of nodes guards it.
type Process struct {
	name    string
	process *proc.Process
	addr    string
	view    map[string]node.State

	truth  Truth
	steady bool // all others list it as alive, and nothing has happened to it since
}

// Truth is what has been done to a node.
type Truth string

const (
	Running Truth = "alive"
	Stopped Truth = "stopped"
	Killed  Truth = "killed"
	Gone    Truth = "left"
)

func New(s *scenario.Scenario, site *proc.Site, lookEvery time.Duration) *Nodes {
	return &Nodes{Scenario: s, site: site, LookEvery: lookEvery, Window: Window,
		Line: report.Timeline{Name: "what happened to the nodes"}, all: make(map[string]*Process),
		changed: make(chan struct{})}
}

// Launch starts the process of a node, without starting the node in it. The previous
// process of that name must have ended.
func (k *Nodes) Launch(name string) bool {
	n := &Process{name: name, truth: Running}
	p, err := k.site.Start(nil, proc.Options{Output: k.LogFile(name),
		OnEvent: func(body json.RawMessage) { k.heard(n, body) }})
	if err != nil {
		k.Fail("%s: %v", k.ID, err)
		return false
	}
	n.process = p
	k.mu.Lock()
	k.all[name] = n
	k.mu.Unlock()
	k.OnInterrupt(p.Kill)
	return true
}

// join tells a process to start its node.
func (k *Nodes) join(ctx context.Context, name string, seeds ...string) bool {
	var at Started
	err := k.Ask(ctx, name, Order{Do: "start", Pace: k.LookEvery,
		Start: &Start{Name: name, Bind: "127.0.0.1:0", Seeds: seeds, Secret: Secret(k.Seed), Window: k.Window,
			CallTimeout: k.CallTimeout}}, &at)
	if err != nil {
		k.Fault("starting %s: %v", name, err)
		return false
	}
	k.mu.Lock()
	k.all[name].addr = at.Addr
	k.offers = at.Offers
	k.mu.Unlock()
	k.Record(func(r *report.Scenario) { r.Subject = at.Type })
	return true
}

func (k *Nodes) Ask(ctx context.Context, name string, o Order, into any) error {
	k.mu.Lock()
	p := k.all[name].process
	k.mu.Unlock()
	return p.Ask(ctx, o, into)
}

// LookAt sets how often all nodes are asked for their member lists.
func (k *Nodes) LookAt(ctx context.Context, every time.Duration) {
	k.LookEvery = every
	for _, name := range k.Names() {
		if err := k.Ask(ctx, name, Order{Do: "pace", Pace: every}, nil); err != nil {
			k.Fail("%s: %s: %v", k.ID, name, err)
		}
	}
}

// Names are those of the nodes that run, in order.
func (k *Nodes) Names() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var names []string
	for name, n := range k.all {
		if n.truth == Running {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Offers are the optional parts that the nodes have.
func (k *Nodes) Offers() Offers {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offers
}

func (k *Nodes) Addr(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[name].addr
}

// Others returns the names except some.
func Others(names []string, not ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(not, n) })
}

// heard records the member list of a node, and checks it for entries that cannot be
// right.
func (k *Nodes) heard(n *Process, body json.RawMessage) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		k.Fail("%s: %s told %q: %v", k.ID, n.name, body, err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.Lost != "" {
		k.lostControl(n.name, e.Lost)
		return
	}
	before := n.view
	n.view = e.Members
	close(k.changed)
	k.changed = make(chan struct{})
	if k.closed || n.truth == Killed || n.truth == Gone {
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
		if k.Notified != nil {
			k.Notified(n.name, name, is)
		}
		switch {
		case o.truth == Running && o.steady && was == node.Alive && is == "":
			k.Violate("false_deaths", "%s dropped %s, which is alive and well", n.name, name)
		case o.truth == Running && o.steady && was == node.Alive:
			k.Violate("false_deaths", "%s lists %s as %s, which is alive and well", n.name, name, is)
		case o.truth == Gone && is == node.Failed:
			k.Violate("leave", "%s lists %s as failed, which has left", n.name, name)
		case o.truth == Killed && was != "" && was != node.Alive && is == node.Alive:
			k.Violate("views", "%s lists %s as alive again, which is dead", n.name, name)
		}
	}
}

// await waits until holds is true for the views, and reports whether that was in time.
// holds is called with the lock held.
func (k *Nodes) await(ctx context.Context, holds func() bool) bool {
	for {
		k.mu.Lock()
		ok, changed := holds(), k.changed
		k.mu.Unlock()
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

// Lists waits until each of some nodes lists others in a state. It returns a sentence
// about those that do not.
func (k *Nodes) Lists(ctx context.Context, observers, names []string, states ...node.State) (wrong string) {
	return k.ListsWithin(ctx, scenario.Settle, observers, names, states...)
}

func (k *Nodes) ListsWithin(
	ctx context.Context, bound time.Duration, observers, names []string, states ...node.State,
) (wrong string) {
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

// Formation is how long it took until nodes had formed a cluster.
type Formation struct {
	Took      time.Duration // until each listed all others as alive
	Processes time.Duration // of that, until all processes answered
}

// Form starts nodes and waits until each lists all others as alive.
func (k *Nodes) Form(ctx context.Context, names []string) (f Formation, ok bool) {
	began := time.Now()
	for _, name := range names {
		if !k.Launch(name) {
			return f, false
		}
	}
	var answer sync.WaitGroup
	for _, name := range names {
		answer.Go(func() { _ = k.Ask(ctx, name, Order{Do: "beat"}, nil) }) // one that has died will be missed
	}
	answered := make(chan time.Duration, 1)
	go func() { answer.Wait(); answered <- time.Since(began) }()
	if !k.join(ctx, names[0]) {
		return f, false
	}
	var all sync.WaitGroup
	for _, name := range names[1:] {
		all.Go(func() { k.join(ctx, name, k.Addr(names[0])) })
	}
	wrong := k.Lists(ctx, names, names, node.Alive)
	f.Took = time.Since(began)
	all.Wait()
	if k.Failed() {
		return f, false
	}
	if wrong != "" {
		k.Violate("views", "%d nodes were started, and %s", len(names), wrong)
		return f, false
	}
	f.Processes = <-answered
	k.Steady(names, true)
	return f, true
}

// formed forms the cluster of the scenario, unless it has been, and tells whether it is
// there.
func (k *Nodes) formed(ctx context.Context) bool {
	k.mu.Lock()
	begun := len(k.all) > 0
	k.mu.Unlock()
	if !begun {
		_, ok := k.Form(ctx, proc.NodeNames(k.Settings().Nodes))
		return ok
	}
	return !k.Failed()
}

// On is the body of a phase for which the cluster must be there.
func (k *Nodes) On(body func(context.Context, *testing.T)) func(context.Context, *testing.T) {
	return func(ctx context.Context, t *testing.T) {
		if k.formed(ctx) {
			body(ctx, t)
		}
	}
}

// Steady declares that nothing happens to some nodes, or that something may.
func (k *Nodes) Steady(names []string, is bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		k.all[name].steady = is
	}
}

func (k *Nodes) Set(name string, t Truth) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[name].truth, k.all[name].steady = t, false
}

func (k *Nodes) Event(kind report.EventKind, target, what string) {
	k.Record(func(*report.Scenario) {
		k.Line.Events = append(k.Line.Events,
			report.Event{At: time.Since(k.Began).Seconds(), Kind: kind, Target: target, What: what})
	})
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGKILL: "SIGKILL", proc.Stop: "SIGSTOP", proc.Continue: "SIGCONT",
}

// Signal sends a signal to a node, after truth has been set.
func (k *Nodes) Signal(name string, s syscall.Signal, t Truth) time.Time {
	kind := report.Fault
	if s == proc.Continue {
		kind = report.Undone
	}
	k.Set(name, t)
	k.Event(kind, name, signalNames[s])
	k.mu.Lock()
	p := k.all[name].process
	k.mu.Unlock()
	at := time.Now()
	if err := p.Signal(s); err != nil {
		k.Fail("%s: %v", k.ID, err)
	}
	return at
}

// Pairs makes every node call every other, and returns what goes wrong.
func (k *Nodes) Pairs(ctx context.Context, names []string) (wrong []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, from := range names {
		all.Go(func() {
			var failed map[string]string
			if err := k.Ask(ctx, from, Order{Do: "ping", To: Others(names, from)}, &failed); err != nil {
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

// Restart begins a new life of a node that was killed or has left.
func (k *Nodes) Restart(ctx context.Context, name string) bool {
	alive := k.Names()
	if !k.Launch(name) || !k.join(ctx, name, k.Addr(alive[0])) {
		return false
	}
	k.Event(report.Undone, name, "restarted")
	if wrong := k.Lists(ctx, alive, []string{name}, node.Alive); wrong != "" {
		k.Violate("rejoin", "%s was started again under its name, and %s", name, wrong)
		return false
	}
	if wrong := k.Lists(ctx, []string{name}, alive, node.Alive); wrong != "" {
		k.Violate("rejoin", "%s was started again under its name, and %s", name, wrong)
		return false
	}
	k.Steady([]string{name}, true)
	return true
}

// Reap waits until the process of a node that was killed or has left is gone.
func (k *Nodes) Reap(name string) {
	k.mu.Lock()
	p := k.all[name].process
	k.mu.Unlock()
	p.Kill()
}

// CloseAll closes the nodes that run, one after the other, and ends all
// processes.
func (k *Nodes) CloseAll(ctx context.Context, _ *testing.T) {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	for _, name := range k.Names() {
		if _, clean := k.End(ctx, name, "close"); !clean {
			break // or it would wait for the others as well
		}
	}
	k.KillAll()
}

// End makes a node close or leave, and records what it leaves behind. It returns true if
// that is nothing.
func (k *Nodes) End(ctx context.Context, name, how string) (left Ended, clean bool) {
	if err := k.Ask(ctx, name, Order{Do: how}, &left); err != nil {
		k.Fault("%s was told to %s: %v", name, how, err)
		return left, false
	}
	if !left.None() {
		k.Violate("leaks", "%s has ended: %v", name, left.Leaks)
		k.mu.Lock()
		k.Leaks += left.Goroutines + left.Descriptors + left.Children
		k.mu.Unlock()
	}
	return left, left.None()
}

// KillAll ends all processes, whatever state they are in.
func (k *Nodes) KillAll() {
	k.mu.Lock()
	k.closed = true
	all := slices.Collect(maps.Values(k.all))
	k.mu.Unlock()
	for _, n := range all {
		n.process.Kill()
	}
}
