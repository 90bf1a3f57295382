package clustertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
	"tensile/stress/node"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// TestCluster takes the nodes that start starts through the scenario of cluster
// formation. start is called in the node processes, which are this test executed
// again; it returns once the node is a member, or the error for which it is not.
func TestCluster(t *testing.T, start func(testing.TB, node.Config) (node.Node, error)) {
	site := proc.At(t, "node")
	if site.Child() {
		site.Serve(nodes.Serve(t, start))
		return
	}
	k := &kit{Nodes: nodes.New(scenario.Begin(t, validate.Formation), site, nodes.LookOften), site: site}
	k.random = rand.New(rand.NewPCG(k.Seed, 1))
	defer k.KillAll()
	kills := scenario.PhaseBound + scenario.Settle*scenario.MostTries
	burn := scenario.PhaseBound + k.Settings().Burn
	k.Take(
		phase{Name: "formation", Body: k.formation, Shows: "views pairs formed formed_reach slowness" + watched},
		phase{Name: "conflicts", Body: k.On(k.conflicts), Shows: "conflict pairs" + watched, Sound: true},
		phase{Name: "wrong secret", Body: k.On(k.wrongSecret), Shows: "secret pairs" + watched, Sound: true},
		phase{Name: "kills", Body: k.On(k.killing), Sound: true, Bound: kills,
			Shows: "views rejoin pairs kills death death_reach death_worst slowness" + watched},
		phase{Name: "hung", Body: k.On(k.hanging), Shows: "hung hung_reach" + watched, Sound: true},
		phase{Name: "leave", Body: k.On(k.leaving), Shows: "leave rejoin pairs" + watched, Sound: true},
		phase{Name: "burn", Body: k.On(k.burning), Shows: "pairs hung" + watched, Sound: true, Bound: burn},
		phase{Name: "close", Body: k.On(k.CloseAll), Shows: "views", Sound: true},
		phase{Name: "programs", Body: k.explorePrograms, Shows: "explored seeds views pairs rejoin" + watched, Sound: true,
			Bound: programsBound},
	)
	k.KillAll()
	k.Record(func(r *report.Scenario) { r.Timelines = append(r.Timelines, k.Line) })
	if !k.Aborted {
		k.Audit(k.Leaks)
	}
}

type phase = scenario.Phase

// watched is the criterion of every phase in which nodes hold views of healthy ones.
const watched = " false_deaths"

// BenchmarkCluster measures how long nodes take to form a cluster: from the
// start of the first process until each lists all others as alive.
func BenchmarkCluster(b *testing.B, start func(testing.TB, node.Config) (node.Node, error)) {
	site := proc.At(b, "node")
	if site.Child() {
		site.Serve(nodes.Serve(b, start))
		return
	}
	for b.Loop() {
		nodes.FormBench(b, site, nodes.LookOften).KillAll()
	}
}

type kit struct {
	*nodes.Nodes
	site   *proc.Site
	random *rand.Rand
}

// kills is how many nodes are killed: enough for a median.
func (k *kit) kills() int {
	if testing.Short() {
		return 5
	}
	return 10
}

func (k *kit) victim() string {
	names := k.Names()
	return names[k.random.IntN(len(names))]
}

func (k *kit) formation(ctx context.Context, _ *testing.T) {
	var first measure.Pair
	ok := false
	k.UnderLoad(func() { first, ok = k.formed(ctx, k.Nodes) })
	if !ok {
		return
	}
	k.Event(report.Recovered, "", "formed")
	k.Timed("formed_reach", first.Subject)
	tries := []measure.Pair{first}
	for k.Tried("formed", tries) {
		other := nodes.New(k.Scenario, k.site, nodes.LookOften)
		try, ok := k.formed(ctx, other)
		other.KillAll()
		if !ok {
			return
		}
		tries = append(tries, try)
	}
	k.LookAt(ctx, nodes.LookSeldom)
	k.allPairs(ctx, "after formation")
}

// formed forms a cluster, and returns in ms how long that took; and how long it would
// have, had the nodes been the controls: until the processes ran, and each had connected
// to every other.
func (k *kit) formed(ctx context.Context, cluster *nodes.Nodes) (took measure.Pair, ok bool) {
	names := proc.NodeNames(k.Settings().Nodes)
	f, ok := cluster.Form(ctx, names)
	if !ok {
		return took, false
	}
	began := time.Now()
	if !cluster.OpenControls(ctx, names, 1) {
		return took, false
	}
	control := f.Processes + time.Since(began)
	cluster.CloseControls(ctx, names)
	return measure.Pair{Subject: f.Took.Seconds() * 1e3, Control: control.Seconds() * 1e3}, true
}

func (k *kit) allPairs(ctx context.Context, when string) {
	for _, wrong := range k.Pairs(ctx, k.Names()) {
		k.Violate("pairs", "%s a call failed: %s", when, wrong)
	}
}

// pairsAgain waits until all calls succeed, as after connections were lost. It
// returns a sentence of one that does not.
func (k *kit) pairsAgain(ctx context.Context) (wrong string) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	wait.Until(ctx, scenario.Settle, func() bool {
		failed := k.Pairs(ctx, k.Names())
		if wrong = ""; len(failed) > 0 {
			wrong = fmt.Sprintf("after %v a call still failed: %s", scenario.Settle, failed[0])
		}
		return wrong == ""
	})
	return wrong
}

// conflicts tries an address and a name that are taken.
func (k *kit) conflicts(ctx context.Context, _ *testing.T) {
	names, offers := k.Names(), k.Offers()
	if !offers.Addresses && !offers.Names {
		k.NotOffered("conflict", "Errors().NameTaken and AddressTaken are nil")
		return
	}
	seeds := []string{k.Addr(names[0])}
	if offers.Addresses {
		k.conflict(ctx, "an address that is taken", nodes.Start{Name: "node-100", Bind: k.Addr(names[0]), Seeds: seeds},
			func(i nodes.Intrusion) bool { return i.AddressTaken })
	} else {
		k.Note("An address that is taken is not tried: Errors().AddressTaken is nil.")
	}
	if offers.Names {
		k.conflict(ctx, "a name that is taken", nodes.Start{Name: names[1], Bind: "127.0.0.1:0", Seeds: seeds},
			func(i nodes.Intrusion) bool { return i.NameTaken })
	} else {
		k.Note("A name that is taken is not tried: Errors().NameTaken is nil.")
	}
	k.allPairs(ctx, "after conflicts")
}

// conflict has a node started that must not get in, for the reason that named tells.
func (k *kit) conflict(ctx context.Context, what string, start nodes.Start, named func(nodes.Intrusion) bool) {
	names := k.Names()
	start.Secret = nodes.Secret(k.Seed)
	var in nodes.Intrusion
	switch err := k.Ask(ctx, names[len(names)-1], nodes.Order{Do: "intrude", Start: &start}, &in); {
	case err != nil:
		k.Violate("conflict", "a node with %s: %v", what, err)
	case in.Accepted:
		k.Violate("conflict", "a node with %s was started without an error", what)
	case !named(in):
		k.Violate("conflict", "the error of a node with %s does not say so: %s", what, in.Err)
	}
}

// wrongSecret tries a node with another secret, and reads along.
func (k *kit) wrongSecret(ctx context.Context, _ *testing.T) {
	if !k.Intruder(ctx, "node-101") {
		return
	}
	k.allPairs(ctx, "after a node with another secret had tried to join")
}

// deathBound is within what a killed node must be known dead on the busiest
// machine.
var deathBound = scenario.Settle / 2

// killing kills nodes, one after the other, and starts them again.
func (k *kit) killing(ctx context.Context, _ *testing.T) {
	var tries []measure.Pair
	var took []float64
	k.LookAt(ctx, nodes.LookOften)
	defer k.LookAt(ctx, nodes.LookSeldom)
	k.UnderLoad(func() {
		for again := true; again; {
			try, ok := k.kill(ctx, k.victim())
			if !ok {
				return
			}
			tries, took = append(tries, try), append(took, try.Subject)
			again = len(tries) < k.kills() || k.Tried("death", tries)
		}
	})
	if len(tries) < k.kills() || k.Failed() {
		return
	}
	k.Measured("kills", float64(len(took)))
	k.Repeats("until a killed node was known dead to all", took, "death")
	k.Timed("death_reach", measure.ComparePairs(tries).Subject)
	k.Timed("death_worst", slices.Max(took))
	k.allPairs(ctx, "after the last of the killed nodes was back")
}

// kill kills a node and starts it again. It returns in ms how long it took until all others
// knew it dead, and until their controls had lost their connections to it.
func (k *kit) kill(ctx context.Context, name string) (took measure.Pair, ok bool) {
	survivors := nodes.Others(k.Names(), name)
	if !k.OpenControls(ctx, k.Names(), 1) {
		return took, false
	}
	began := k.Signal(name, syscall.SIGKILL, nodes.Killed)
	wrong := k.ListsWithin(ctx, deathBound, survivors, []string{name}, node.Failed, "")
	took.Subject = time.Since(began).Seconds() * 1e3
	if wrong != "" {
		k.Violate("views", "%s was killed, and %s", name, wrong)
		return took, false
	}
	k.Event(report.Detected, name, "known dead to all")
	lost, ok := k.ControlsLost(ctx, survivors, name)
	if !ok {
		return took, false
	}
	took.Control = lost.Sub(began).Seconds() * 1e3
	k.CloseControls(ctx, survivors)
	k.Reap(name)
	if !k.Restart(ctx, name) {
		return took, false
	}
	k.Event(report.Recovered, name, "a member again")
	return took, true
}

// hanging stops nodes until they are known dead, and continues them.
func (k *kit) hanging(ctx context.Context, _ *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	var took []float64
	k.UnderLoad(func() { took = k.hangs(ctx, rounds, "") })
	if len(took) == 0 {
		return
	}
	k.Repeats("until a stopped node was known dead to all", took, "hung_reach")
	k.Timed("hung_reach", slices.Max(took))
}

// hangs stops nodes, one after the other, and returns how long it took in ms
// until each was known dead to all. while says what else is going on.
func (k *kit) hangs(ctx context.Context, rounds int, while string) (took []float64) {
	for range rounds {
		name := k.victim()
		survivors := nodes.Others(k.Names(), name)
		began := k.Signal(name, proc.Stop, nodes.Stopped)
		wrong := k.Lists(ctx, survivors, []string{name}, node.Failed, "")
		d := time.Since(began)
		if wrong == "" {
			k.Event(report.Detected, name, "known dead to all")
			took = append(took, d.Seconds()*1e3)
		} else {
			k.Violate("hung", "%s was stopped%s, and %s", name, while, wrong)
		}
		k.Signal(name, proc.Continue, nodes.Running)
		wrong = k.Lists(ctx, survivors, []string{name}, node.Alive)
		if wrong == "" {
			wrong = k.Lists(ctx, []string{name}, survivors, node.Alive)
		}
		if wrong == "" {
			k.Event(report.Recovered, name, "taken back by all")
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
		k.Steady([]string{name}, true)
	}
	return took
}

// leaving has a node leave, and come back.
func (k *kit) leaving(ctx context.Context, _ *testing.T) {
	name := k.victim()
	rest := nodes.Others(k.Names(), name)
	k.Set(name, nodes.Gone)
	k.Event(report.Fault, name, "told to leave")
	left, clean := k.End(ctx, name, "leave")
	if left.Unsupported {
		k.Set(name, nodes.Running)
		k.Steady([]string{name}, true)
		k.NotOffered("leave", "Leave returns errors.ErrUnsupported")
		return
	}
	if !clean {
		return
	}
	if wrong := k.Lists(ctx, rest, []string{name}, node.Left); wrong != "" {
		k.Violate("leave", "%s has left, and %s", name, wrong)
		return
	}
	k.Event(report.Detected, name, "left, to all")
	k.Reap(name)
	// Its connections and its process are gone now, and that must not make it
	// failed: whoever is going to find out has, once it has called everybody.
	k.allPairs(ctx, "after a node had left")
	if wrong := k.Lists(ctx, rest, []string{name}, node.Left); wrong != "" {
		k.Violate("leave", "%s has left, its process has ended, and %s", name, wrong)
	}
	if k.Restart(ctx, name) {
		k.Event(report.Recovered, name, "a member again")
	}
}

// burning keeps every processor busy beside a cluster to which nothing happens.
func (k *kit) burning(ctx context.Context, _ *testing.T) {
	burner, err := proc.Start(burnerRole, nil)
	if err != nil {
		k.Fail("%s: %v", k.ID, err)
		return
	}
	k.OnInterrupt(burner.Kill)
	defer burner.Kill()
	k.Event(report.Fault, "", "every processor is kept busy")
	for began := time.Now(); time.Since(began) < k.Settings().Burn && ctx.Err() == nil; {
		for _, wrong := range k.Pairs(ctx, k.Names()) {
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
	k.Event(report.Undone, "", "the processors are free")
	k.allPairs(ctx, "after the burn")
}
