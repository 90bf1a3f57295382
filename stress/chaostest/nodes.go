package chaostest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/node"
	"tensile/stress/report"
)

// Links inject faults into the links between node processes. Each link leads through
// something that the subject controls, such as a proxy.
type Links interface {
	// Link returns the address at which one node reaches another, which listens at
	// addr. If there is such a link already, only addr changes.
	Link(from, to, addr string) (string, error)
	// Inject injects one of the faults below into all links from and to a node. Cut
	// affects only what the node sends.
	Inject(fault, node string) (undo func() error, err error)
	Close() error
}

// The faults that the kit injects.
const (
	Kill      = "kill"      // SIGKILL, by the kit
	Pause     = "pause"     // SIGSTOP, by the kit
	Partition = "partition" // nothing passes
	Cut       = "cut"       // nothing that the node sends passes
	Delay     = "delay"     // bytes are late by LinksConfig.Delay
	Loss      = "loss"      // bytes stall, because TCP retransmits them
	Corrupt   = "corrupt"   // bits flip
)

// LinksConfig says how severe faults are.
type LinksConfig struct {
	Seed          uint64
	Delay, Jitter time.Duration // in each direction
	Loss, Corrupt float64       // probability, for each piece of a stream
	Stall         time.Duration // of a piece that was lost
}

// nodesKit is the part of the chaos scenario with node processes.
type nodesKit struct {
	*nodes.Nodes
	subjects Subjects
	members  []string
	starts   map[string]nodes.Start
	links    Links
	patience time.Duration // for a call
	length   time.Duration // of a fault; 0 before the cluster has formed
	began    time.Time     // of the first fault
	times    []float64     // from a fault to the steady state, in ms

	looks uint64

	em      sync.Mutex
	episode *episode // under way; nil for none
}

// The shape of the part.
const (
	nodeCount  = 4
	linkDelay  = 60 * time.Millisecond
	linkJitter = 10 * time.Millisecond
	// A call is given up after so many times what a look at all nodes takes,
	// within bounds.
	patienceTimes = 8
	shortPatience = 250 * time.Millisecond
	longPatience  = 2 * time.Second
	// A fault lasts for so many times that patience, and must have been in place
	// for shownTimes of it to be blamed for not showing.
	lengthTimes = 2.4
	shownTimes  = 2
	injectTries = 3
	enterTries  = 3
	// cascadeShare is the part of the processors below which a healthy node may
	// well be silent for as long as a dead one.
	cascadeShare = 0.25
	enoughFaults = 20 * time.Second // after which no other is begun
)

var faults = []struct {
	name string
	// breaks tells that the steady state cannot hold meanwhile.
	breaks bool
}{
	{Kill, true}, {Delay, false}, {Partition, true}, {Pause, true},
	{Cut, true}, {Loss, false}, {Corrupt, false},
}

// phases are a fault each, of which one is enough where time is short.
func (k *nodesKit) phases() []phase {
	phases := []phase{{Name: "nodes: form", Body: k.form, Shows: "nodes", Sound: true}}
	tried := faults
	if testing.Short() {
		tried = faults[:1]
		k.NotMeasured("nodes_faults", "with -short only %d of %d faults in the cluster are tried", len(tried), len(faults))
	}
	for i, f := range tried {
		victim := k.members[pickVictims(k.Seed, i, nodeCount, 1)[0]]
		phases = append(phases, phase{Name: "nodes: " + f.name,
			Shows: "nodes nodes_recovery nodes_faults nodes_answers cascades undone",
			Sound: true, Within: 3 * scenario.Settle, Ready: func() bool { return k.haveTime(f.name) },
			Body: func(ctx context.Context, t *testing.T) {
				if k.formed(ctx, t) {
					k.fault(ctx, t, f.name, victim, f.breaks)
				}
			}})
	}
	return append(phases, phase{Name: "nodes: close", Shows: "nodes", Sound: true,
		Body: func(ctx context.Context, t *testing.T) {
			if k.formed(ctx, t) {
				k.CloseAll(ctx, t)
			}
		}})
}

// haveTime tells whether another fault is to be tried.
func (k *nodesKit) haveTime(fault string) bool {
	if k.began.IsZero() {
		k.began = time.Now()
	}
	if time.Since(k.began) <= enoughFaults {
		return true
	}
	k.NotMeasured("nodes_faults", "%s and what comes after it was not tried: faults last %v here, because other work "+
		"uses the processors", fault, k.length)
	return false
}

// formed forms the cluster, unless it is there.
func (k *nodesKit) formed(ctx context.Context, t *testing.T) bool {
	if k.links == nil {
		k.form(ctx, t)
	}
	return k.length > 0 && !k.Failed()
}

// conclude measures what all faults add to.
func (k *nodesKit) conclude() {
	if len(k.times) == 0 {
		return
	}
	k.Record(func(r *report.Scenario) { r.Timelines = append(r.Timelines, k.Line) })
	k.Repeats("from a fault in the cluster to its steady state", k.times, "nodes_recovery")
	if k.patience > shortPatience {
		k.NotMeasured("nodes_recovery", "faults had to last %v, because other work used the processors", k.length)
		return
	}
	k.Timed("nodes_recovery", slices.Max(k.times))
}

// form starts the nodes, each of which reaches the others by links of its own,
// and waits for the steady state.
func (k *nodesKit) form(ctx context.Context, t *testing.T) {
	k.links = k.subjects.Links(t, LinksConfig{Seed: k.Seed, Delay: linkDelay, Jitter: linkJitter,
		Loss: 0.1, Stall: 40 * time.Millisecond, Corrupt: 0.2})
	k.Subject(k.links)
	if !k.plan() {
		return
	}
	for _, name := range k.members {
		if err := k.enter(ctx, name); err != nil {
			k.Fault("%v", err)
			return
		}
	}
	k.patience = longPatience
	if !k.untilSteady(ctx) {
		return
	}
	const checks = 5
	slowest := time.Duration(0)
	for range checks {
		began := time.Now()
		k.look(ctx)
		slowest = max(slowest, time.Since(began))
	}
	k.patience = min(max(patienceTimes*slowest, shortPatience), longPatience)
	k.length = time.Duration(lengthTimes * float64(k.patience))
}

// plan gives every node an address, which it keeps, and links to all others.
func (k *nodesKit) plan() bool {
	k.starts = make(map[string]nodes.Start)
	var addrs []string
	for _, name := range k.members {
		addr, err := proc.FreeAddr()
		if err != nil {
			k.Fault("%v", err)
			return false
		}
		addrs = append(addrs, addr)
		k.starts[name] = nodes.Start{Name: name, Bind: addr, Secret: nodes.Secret(k.Seed), Proxies: make(map[string]string)}
	}
	for i, from := range k.members {
		for j, to := range k.members {
			if i == j {
				continue
			}
			through, err := k.links.Link(from, to, addrs[j])
			if err != nil {
				k.Fault("the link from %s to %s: %v", from, to, err)
				return false
			}
			k.starts[from].Proxies[addrs[j]] = through
		}
	}
	return true
}

// enter starts a node, again if it does not find the others: that is for the kit
// of formation to judge.
func (k *nodesKit) enter(ctx context.Context, name string) (err error) {
	for range enterTries {
		if !k.Launch(name) {
			return fmt.Errorf("the process of %s does not start", name)
		}
		if err = k.begin(ctx, name); err == nil || ctx.Err() != nil {
			return err
		}
		k.Note("%v. It was started again.", err)
		k.Reap(name)
	}
	return err
}

// begin tells a process to be a node, and to join those that are members.
func (k *nodesKit) begin(ctx context.Context, name string) error {
	start := k.starts[name]
	for _, other := range nodes.Others(k.Names(), name) {
		start.Seeds = append(start.Seeds, k.starts[other].Bind)
	}
	var at struct{ Type string }
	if err := k.Ask(ctx, name, nodes.Order{Do: "start", Pace: k.LookEvery, Start: &start}, &at); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	k.AddSubject(at.Type)
	return nil
}

// untilSteady waits for the steady state.
func (k *nodesKit) untilSteady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	var err error
	if wait.Until(ctx, scenario.Settle, func() bool { _, err = k.look(ctx); return err == nil }) {
		return true
	}
	k.Violate("nodes", "the cluster is not in its steady state though nothing is wrong: %v", err)
	return false
}

// look asks every node for what it holds of the others, and has it call them.
// The error is the first thing that is not as it is in the steady state: every
// node lists every other as alive, and all calls are answered.
func (k *nodesKit) look(ctx context.Context) (map[string]nodes.Look, error) {
	k.looks++
	looks, errs := make([]nodes.Look, len(k.members)), make([]error, len(k.members))
	var all sync.WaitGroup
	for i, name := range k.members {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*k.patience)
			defer cancel()
			errs[i] = k.Ask(ctx, name, nodes.Order{Do: "look", To: nodes.Others(k.members, name), Seq: k.looks,
				Patience: k.patience}, &looks[i])
		})
	}
	all.Wait()
	by := make(map[string]nodes.Look)
	var first error
	for i, name := range k.members {
		if by[name] = looks[i]; errs[i] != nil {
			first = cmp.Or(first, fmt.Errorf("%s does not answer: %w", name, errs[i]))
			continue
		}
		for _, other := range nodes.Others(k.members, name) {
			if is := looks[i].Members[other]; is != node.Alive {
				first = cmp.Or(first, fmt.Errorf("%s has %s as %s", name, other, cmp.Or(is, "unknown")))
			}
			if c := looks[i].Calls[other]; c.Err != "" {
				first = cmp.Or(first, fmt.Errorf("%s called %s: %s", name, other, c.Err))
			}
		}
	}
	return by, first
}

func (k *nodesKit) close() {
	k.KillAll()
	if k.links == nil {
		return
	}
	if err := k.links.Close(); err != nil {
		k.Violate("links", "Close returned %v", err)
	}
	k.links = nil
}

// episode is one fault with what was seen of it.
type episode struct {
	*nodesKit
	fault, victim string

	mu       sync.Mutex // one check at a time
	injected time.Time
	undone   time.Time
	lost     time.Time     // first check that did not hold after the injection
	found    time.Time     // first that held since the last that did not
	fastest  time.Duration // call from or to the victim that was answered meanwhile; 0 if none was
	healing  atomic.Bool   // what is answered from now on may be so because of that

	sm     sync.Mutex
	spread []string // what has befallen others
}

// fault has the engine carry out a plan of one fault.
func (k *nodesKit) fault(ctx context.Context, t *testing.T, fault, victim string, breaks bool) {
	e := &episode{nodesKit: k, fault: fault, victim: victim}
	k.watch(e)
	defer k.watch(nil)
	// An engine may find that the steady state was lost for a moment after we
	// had seen it, and must then inject nothing.
	engine, plan := k.subjects.Engine(t), []Step{{fault, victim, 0, k.length}}
	k.Logf("%s", engine.DryRun(plan))
	var err error
	for try := 0; try < injectTries && e.injected.IsZero(); try++ {
		if !k.untilSteady(ctx) {
			return
		}
		k.UnderLoad(func() { err = engine.Run(ctx, 1, plan, World{e.inject, e.steady}) })
	}
	if err != nil {
		k.Violate("nodes", "%s of %s: %v", fault, victim, err)
	}
	if e.injected.IsZero() {
		k.Violate("nodes", "%s of %s: the engine injected nothing", fault, victim)
		return
	}
	if e.undone.IsZero() {
		k.Violate("undone", "%s of %s: the run of the engine has ended, and the fault was not undone", fault, victim)
		return
	}
	// What the engine says is not evidence.
	if !wait.Until(ctx, scenario.Settle, func() bool {
		if is := e.steady(ctx); is == nil || ctx.Err() == nil || err == nil {
			err = is // what is cut short says nothing
		}
		return err == nil
	}) {
		k.Violate("nodes", "%s of %s: the steady state has not returned %v after the fault was undone: %v",
			fault, victim, time.Since(e.undone).Round(time.Millisecond), err)
	}
	e.judge(breaks)
}

// watch has changes of what nodes hold of others checked against a fault, nil
// for none.
func (k *nodesKit) watch(e *episode) {
	k.em.Lock()
	defer k.em.Unlock()
	k.episode = e
}

// notified is called with each change of what a node holds of another.
func (k *nodesKit) notified(by, about string, is node.State) {
	k.em.Lock()
	defer k.em.Unlock()
	if e := k.episode; e != nil && is != node.Alive && by != e.victim && about != e.victim {
		e.cascade("%s has %s as %s", by, about, cmp.Or(is, "unknown"))
	}
}

// cascade keeps what has befallen nodes that were not hit.
func (e *episode) cascade(format string, args ...any) {
	e.sm.Lock()
	defer e.sm.Unlock()
	e.spread = append(e.spread, fmt.Sprintf(format, args...))
}

// judgeCascades judges that, unless nodes may not have had the processor for so
// long that they looked dead.
func (e *episode) judgeCascades() {
	e.sm.Lock()
	defer e.sm.Unlock()
	worst := e.Shares.Worst
	for i, what := range e.spread {
		if worst >= cascadeShare {
			e.Violate("cascades", "%s of %s: %s, and nothing was done to either", e.fault, e.victim, what)
		} else if i == 0 {
			e.Note("%s of %s: %s, and nothing was done to either. It is not judged: other work left %.0f %% of the processors "+
				"for a moment.",
				e.fault, e.victim, what, 100*worst)
		}
	}
}

// judge says what came of the fault.
func (e *episode) judge(breaks bool) {
	e.judgeCascades()
	lasted := e.undone.Sub(e.injected).Round(time.Millisecond)
	switch {
	case breaks && e.lost.IsZero() && lasted < time.Duration(shownTimes*float64(e.patience)):
		e.NotMeasured("nodes_faults", "%s of %s was in place for %v, which is too short to show", e.fault, e.victim, lasted)
		return
	case breaks && e.lost.IsZero():
		e.Violate("nodes_faults", "%s of %s for %v: every call was answered, and every node listed as alive: the fault did "+
			"nothing", e.fault, e.victim, lasted)
	case e.fault == Delay && e.fastest > 0 && e.fastest < linkDelay-linkJitter:
		e.Violate("nodes_faults", "%s of %s by %v: a call took only %v: the fault did nothing", e.fault, e.victim, linkDelay,
			e.fastest)
	}
	if e.lost.IsZero() {
		e.times = append(e.times, 0)
		e.Note("%s of %s for %v: the steady state held.", e.fault, e.victim, lasted)
		return
	}
	if e.found.IsZero() {
		return
	}
	e.Event(report.Recovered, e.victim, "steady state again")
	recovery := e.found.Sub(e.injected)
	e.times = append(e.times, float64(recovery)/1e6)
	e.Note("%s of %s for %v: the steady state was lost after %v, and held again %v after the fault.", e.fault, e.victim,
		lasted, e.lost.Sub(e.injected).Round(time.Millisecond), recovery.Round(time.Millisecond))
}

// inject strikes the victim, and keeps when it was undone.
func (e *episode) inject(fault, target string) (func() error, error) {
	if fault != e.fault || target != e.victim {
		return nil, fmt.Errorf("the plan has the %s of %s, and not the %s of %s", e.fault, e.victim, fault, target)
	}
	undo, err := e.strike()
	if err != nil {
		return nil, err
	}
	stop := e.keepLooking()
	return func() error {
		e.healing.Store(true)
		stop()
		err := undo()
		e.undone = time.Now()
		return err
	}, nil
}

// keepLooking asks whether the steady state holds until it is told to stop: nobody
// says that an engine asks while faults are on.
func (e *episode) keepLooking() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		defer e.Recovered("looking at the nodes")
		for ctx.Err() == nil {
			_ = e.steady(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(lookPause):
			}
		}
	}()
	return func() {
		cancel()
		<-looked
	}
}

// lookPause is between two looks at the nodes.
const lookPause = 10 * time.Millisecond

func (e *episode) strike() (undo func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	switch e.fault {
	case Kill:
		e.struck(e.Signal(e.victim, syscall.SIGKILL, nodes.Killed))
		e.Reap(e.victim)
		return func() error {
			ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
			defer cancel()
			if !e.Launch(e.victim) {
				return errors.New("its process does not start")
			}
			e.Event(report.Undone, e.victim, "restarted")
			err := e.begin(ctx, e.victim)
			if err != nil {
				e.Reap(e.victim) // it will be tried again
			}
			return err
		}, nil
	case Pause:
		e.struck(e.Signal(e.victim, proc.Stop, nodes.Stopped))
		return func() error { e.Signal(e.victim, proc.Continue, nodes.Running); return nil }, nil
	}
	// Datagrams do not go through the links.
	if err := e.mute(ctx, e.fault == Partition || e.fault == Cut, e.fault == Partition); err != nil {
		return nil, err
	}
	heal, err := e.links.Inject(e.fault, e.victim)
	if err != nil {
		return nil, errors.Join(err, e.mute(ctx, false, false))
	}
	e.struck(time.Now())
	e.Event(report.Fault, e.victim, e.fault)
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
		defer cancel()
		err := errors.Join(heal(), e.mute(ctx, false, false))
		e.Event(report.Undone, e.victim, e.fault+" undone")
		return err
	}, nil
}

// struck keeps when the fault was in place.
func (e *episode) struck(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.injected = at
}

// mute says whether the victim may send datagrams, and whether the others may
// to it.
func (e *episode) mute(ctx context.Context, from, to bool) error {
	errs := make([]error, len(e.members))
	var all sync.WaitGroup
	for i, name := range e.members {
		o := nodes.Order{Do: "mute"}
		if name == e.victim && from {
			for _, other := range nodes.Others(e.members, name) {
				o.To = append(o.To, e.starts[other].Bind)
			}
		} else if name != e.victim && to {
			o.To = []string{e.starts[e.victim].Bind}
		}
		all.Go(func() { errs[i] = e.Ask(ctx, name, o, nil) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// steady is the hypothesis.
func (e *episode) steady(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	began := time.Now()
	looks, err := e.look(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	during := !e.injected.IsZero() && began.After(e.injected)
	for from, l := range looks {
		for to, c := range l.Calls {
			hit := from == e.victim || to == e.victim
			switch {
			case c.Wrong:
				e.Violate("nodes_answers", "%s of %s: %s called %s: %s", e.fault, e.victim, from, to, c.Err)
			case c.Err == "" && hit && during && !e.healing.Load() && (e.fastest == 0 || c.Took < e.fastest):
				e.fastest = c.Took
			case c.Err != "" && !c.Late && !hit:
				e.cascade("%s called %s: %s", from, to, c.Err)
			}
		}
	}
	switch now := time.Now(); {
	case !during:
	case err != nil:
		if e.lost.IsZero() {
			e.lost = now
			e.Event(report.Detected, e.victim, "steady state lost: "+err.Error())
		}
		e.found = time.Time{}
	case !e.lost.IsZero() && e.found.IsZero():
		e.found = now
	}
	return err
}
