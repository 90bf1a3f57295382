package stress

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// TestCluster takes the nodes that start starts through the scenario of cluster
// formation. start is called in the node processes, which are this test executed
// again; it returns once the node is a member, or the error for which it is not.
func TestCluster(t *testing.T, start func(testing.TB, NodeConfig) (Node, error)) {
	site := proc.At(t, "node")
	if site.Child() {
		site.Serve(serveNode(t, start))
		return
	}
	k := &clusterKit{nodes: newNodes(scenario.Begin(t, validate.Formation), site, lookOften)}
	k.random = rand.New(rand.NewPCG(k.Seed, 1))
	defer k.killAll()
	ok := k.Phase("formation", k.formation)
	ok = ok && k.Phase("conflicts", k.conflicts)
	ok = ok && k.Phase("wrong secret", k.wrongSecret)
	ok = ok && k.LongPhase("kills", scenario.PhaseBound+scenario.Settle*time.Duration(k.kills()), k.killing)
	ok = ok && k.Phase("hung", k.hanging)
	ok = ok && k.Phase("leave", k.leaving)
	ok = ok && k.LongPhase("burn", scenario.PhaseBound+k.Settings().Burn, k.burning)
	if ok {
		k.Phase("close", k.closeAll)
	}
	k.killAll()
	k.Record(func(r *report.Scenario) { r.Timelines = append(r.Timelines, k.line) })
	if !k.Aborted {
		k.Audit(k.leaks)
	}
}

type clusterKit struct {
	*nodes
	random *rand.Rand
}

// kills is how many nodes are killed: enough for a median.
func (k *clusterKit) kills() int {
	if testing.Short() {
		return 5
	}
	return 10
}

func (k *clusterKit) victim() string {
	names := k.names()
	return names[k.random.IntN(len(names))]
}

func (k *clusterKit) formation(ctx context.Context, _ *testing.T) {
	var took time.Duration
	ok := false
	k.UnderLoad(func() { took, ok = k.form(ctx, proc.NodeNames(k.Settings().Nodes)) })
	if !ok {
		return
	}
	k.event(report.Recovered, "", "formed")
	k.Timed("formed", took.Seconds()*1e3)
	k.Timed("formed_reach", took.Seconds()*1e3)
	k.Shown("views")
	k.lookAt(ctx, lookSeldom)
	k.allPairs(ctx, "after formation")
}

func (k *clusterKit) allPairs(ctx context.Context, when string) {
	for _, wrong := range k.pairs(ctx, k.names()) {
		k.Violate("pairs", "%s a call failed: %s", when, wrong)
	}
	k.Shown("pairs")
}

// pairsAgain waits until all calls succeed, as after connections were lost. It
// returns a sentence of one that does not.
func (k *clusterKit) pairsAgain(ctx context.Context) (wrong string) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	wait.Until(ctx, scenario.Settle, func() bool {
		failed := k.pairs(ctx, k.names())
		if wrong = ""; len(failed) > 0 {
			wrong = fmt.Sprintf("after %v a call still failed: %s", scenario.Settle, failed[0])
		}
		return wrong == ""
	})
	return wrong
}

// conflicts tries an address and a name that are taken.
func (k *clusterKit) conflicts(ctx context.Context, _ *testing.T) {
	names := k.names()
	host := names[len(names)-1]
	for _, c := range []struct {
		what  string
		start nodeStart
		named func(intrusion) bool
	}{
		{"an address that is taken", nodeStart{Name: "node-100", Bind: k.addr(names[0])}, func(i intrusion) bool { return i.AddressTaken }},
		{"a name that is taken", nodeStart{Name: names[1], Bind: "127.0.0.1:0"}, func(i intrusion) bool { return i.NameTaken }},
	} {
		c.start.Seeds, c.start.Secret = []string{k.addr(names[0])}, nodeSecret(k.Seed)
		var in intrusion
		if err := k.ask(ctx, host, nodeOrder{Do: "intrude", Start: &c.start}, &in); err != nil {
			k.Violate("conflict", "a node with %s: %v", c.what, err)
		} else if in.Accepted {
			k.Violate("conflict", "a node with %s was started without an error", c.what)
		} else if !c.named(in) {
			k.Violate("conflict", "the error of a node with %s is not the one for that: %s", c.what, in.Err)
		}
	}
	k.Shown("conflict")
	k.allPairs(ctx, "after conflicts")
}

// wrongSecret tries a node with another secret, and reads along.
func (k *clusterKit) wrongSecret(ctx context.Context, _ *testing.T) {
	k.intruder(ctx, "node-101")
	k.Shown("secret")
	k.allPairs(ctx, "after a node with another secret had tried to join")
}

// intruder has a node with another secret try to join and to call, and reads
// what it is told.
func (k *nodes) intruder(ctx context.Context, name string) {
	names := k.names()
	k.vm.Lock()
	k.strange = append(k.strange, name)
	k.vm.Unlock()
	tap, err := startTap(k.addr(names[0]))
	if err != nil {
		k.Fail("%s: %v", k.ID, err)
		return
	}
	defer tap.close()
	var in intrusion
	err = k.ask(ctx, names[len(names)-1], nodeOrder{Do: "intrude", To: names, Start: &nodeStart{
		Name: name, Bind: "127.0.0.1:0", Seeds: []string{tap.addr()}, Secret: []byte("another secret, which nobody shares"),
	}}, &in)
	switch {
	case err != nil:
		k.Violate("secret", "a node with a wrong secret: %v", err)
	case in.Served:
		k.Violate("secret", "a node with a wrong secret was served: its call was answered")
	case len(in.Members) > 0:
		k.Violate("secret", "a node with a wrong secret was accepted, and learnt of %v", in.Members)
	case in.Accepted:
		k.Violate("secret", "a node with a wrong secret was started without an error")
	case !in.Unauthenticated:
		k.Violate("secret", "the error of a node with a wrong secret is not the one for that: %s", in.Err)
	}
	told := tap.close()
	for _, n := range names {
		if strings.Contains(told, n) || n != names[0] && strings.Contains(told, k.addr(n)) {
			k.Violate("secret", "a node with a wrong secret was told of %s", n)
		}
	}
}

// deathBound is within what a killed node must be known dead on the busiest
// machine.
var deathBound = scenario.Settle / 2

// killing kills nodes, one after the other, and starts them again.
func (k *clusterKit) killing(ctx context.Context, _ *testing.T) {
	var took []float64
	k.lookAt(ctx, lookOften)
	defer k.lookAt(ctx, lookSeldom)
	k.UnderLoad(func() {
		for range k.kills() {
			name := k.victim()
			survivors := others(k.names(), name)
			began := k.signal(name, syscall.SIGKILL, killed)
			wrong := k.listsWithin(ctx, deathBound, survivors, []string{name}, NodeFailed, "")
			d := time.Since(began)
			if wrong != "" {
				k.Violate("views", "%s was killed, and %s", name, wrong)
				return
			}
			k.event(report.Detected, name, "known dead to all")
			took = append(took, d.Seconds()*1e3)
			k.reap(name)
			if !k.restart(ctx, name) {
				return
			}
			k.event(report.Recovered, name, "a member again")
		}
	})
	k.Shown("views", "rejoin")
	if len(took) < k.kills() {
		return
	}
	k.Measured("kills", float64(len(took)))
	k.Repeats("until a killed node was known dead to all", took, "death")
	sorted := slices.Sorted(slices.Values(took))
	median := sorted[(len(sorted)-1)/2]
	k.Timed("death", median)
	k.Timed("death_reach", median)
	k.Timed("death_worst", sorted[len(sorted)-1])
	k.allPairs(ctx, "after the last of the killed nodes was back")
}

// hanging stops nodes until they are known dead, and continues them.
func (k *clusterKit) hanging(ctx context.Context, _ *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	var took []float64
	k.UnderLoad(func() { took = k.hangs(ctx, rounds, "") })
	k.Shown("hung")
	if len(took) == 0 {
		return
	}
	k.Repeats("until a stopped node was known dead to all", took, "hung_reach")
	k.Timed("hung_reach", slices.Max(took))
}

// hangs stops nodes, one after the other, and returns how long it took in ms
// until each was known dead to all. while says what else is going on.
func (k *clusterKit) hangs(ctx context.Context, rounds int, while string) (took []float64) {
	for range rounds {
		name := k.victim()
		survivors := others(k.names(), name)
		began := k.signal(name, syscall.SIGSTOP, stopped)
		wrong := k.lists(ctx, survivors, []string{name}, NodeFailed, "")
		d := time.Since(began)
		if wrong == "" {
			k.event(report.Detected, name, "known dead to all")
			took = append(took, d.Seconds()*1e3)
		} else {
			k.Violate("hung", "%s was stopped%s, and %s", name, while, wrong)
		}
		k.signal(name, syscall.SIGCONT, running)
		wrong = k.lists(ctx, survivors, []string{name}, NodeAlive)
		if wrong == "" {
			wrong = k.lists(ctx, []string{name}, survivors, NodeAlive)
		}
		if wrong == "" {
			k.event(report.Recovered, name, "taken back by all")
			// What it missed must not make it accuse: once calls succeed again it
			// has seen all there was to see.
			wrong = k.pairsAgain(ctx)
		}
		if wrong != "" {
			k.Violate("hung", "%s was continued%s, and %s", name, while, wrong)
		}
		if k.Failed() {
			return took
		}
		k.steady([]string{name}, true)
	}
	return took
}

// leaving has a node leave, and come back.
func (k *clusterKit) leaving(ctx context.Context, _ *testing.T) {
	defer k.Shown("leave", "rejoin")
	name := k.victim()
	rest := others(k.names(), name)
	k.set(name, gone)
	k.event(report.Fault, name, "told to leave")
	if !k.end(ctx, name, "leave") {
		return
	}
	if wrong := k.lists(ctx, rest, []string{name}, NodeLeft); wrong != "" {
		k.Violate("leave", "%s has left, and %s", name, wrong)
		return
	}
	k.event(report.Detected, name, "left, to all")
	k.reap(name)
	// Its connections and its process are gone now, and that must not make it
	// failed: whoever is going to find out has, once it has called everybody.
	k.allPairs(ctx, "after a node had left")
	if wrong := k.lists(ctx, rest, []string{name}, NodeLeft); wrong != "" {
		k.Violate("leave", "%s has left, its process has ended, and %s", name, wrong)
	}
	if k.restart(ctx, name) {
		k.event(report.Recovered, name, "a member again")
	}
}

// burning keeps every processor busy beside a cluster to which nothing happens.
func (k *clusterKit) burning(ctx context.Context, _ *testing.T) {
	burner, err := proc.Start(burnerRole, nil)
	if err != nil {
		k.Fail("%s: %v", k.ID, err)
		return
	}
	k.OnInterrupt(burner.Kill)
	defer burner.Kill()
	k.event(report.Fault, "", "every processor is kept busy")
	for began := time.Now(); time.Since(began) < k.Settings().Burn && ctx.Err() == nil; {
		for _, wrong := range k.pairs(ctx, k.names()) {
			k.Violate("pairs", "while every processor was busy a call failed: %s", wrong)
		}
		if !wait.Until(ctx, min(time.Second, k.Settings().Burn), k.Failed) {
			continue
		}
		break
	}
	if !testing.Short() && !k.Failed() {
		// One that never takes anybody for dead when it is busy has no false deaths.
		took := k.hangs(ctx, 3, " while every processor was busy")
		if len(took) > 0 {
			k.Repeats("until a stopped node was known dead to all, every processor busy", took, "hung_reach")
		}
	}
	burner.Kill()
	k.event(report.Undone, "", "the processors are free")
	k.allPairs(ctx, "after the burn")
	k.Shown("false_deaths", "pairs", "hung")
}

// tap is a listener that passes on to another address and keeps what comes
// from there.
type tap struct {
	listener net.Listener
	to       string
	done     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	told  strings.Builder
	ended bool
}

func startTap(to string) (*tap, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a tap: %w", err)
	}
	t := &tap{listener: listener, to: to}
	t.done.Go(t.accept)
	return t, nil
}

func (t *tap) addr() string { return t.listener.Addr().String() }

func (t *tap) accept() {
	for {
		from, err := t.listener.Accept()
		if err != nil {
			return
		}
		to, err := dialer.Dial("tcp", t.to)
		if err != nil || !t.keep(from, to) {
			_ = from.Close()
			continue
		}
		t.done.Go(func() { _, _ = io.Copy(to, from); _ = to.Close() })
		t.done.Go(func() { _, _ = io.Copy(io.MultiWriter(from, t), to); _ = from.Close() })
	}
}

func (t *tap) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		_ = conns[1].Close()
		return false
	}
	t.conns = append(t.conns, conns...)
	return true
}

func (t *tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told.Write(b)
}

// close returns what was told through the tap.
func (t *tap) close() string {
	_ = t.listener.Close()
	t.mu.Lock()
	t.ended = true
	for _, c := range t.conns {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.done.Wait()
	return t.told.String()
}
