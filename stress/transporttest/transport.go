package transporttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/nodes"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/node"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// TestTransport takes the nodes that start starts through the scenario of
// messages between nodes. start is as for TestCluster.
func TestTransport(t *testing.T, start func(testing.TB, node.Config) (node.Node, error)) {
	site := proc.At(t, "node")
	if site.Child() {
		site.Serve(nodes.Serve(t, start))
		return
	}
	k := &kit{Nodes: nodes.New(scenario.Begin(t, validate.Messaging), site, nodes.LookSeldom)}
	k.Window = max(nodes.Window, k.perPair(k.N)*roomOfCall)
	k.CallTimeout = nodes.CallTimeout(k.N, k.Target("throughput"))
	defer k.KillAll()
	k.Take(
		phase{Name: programsPhase, Body: k.programs(site), Shows: "explored once one_way kept strangers",
			Bound: 60 * scenario.Settle},
		phase{Name: "formation", Body: k.On(k.pairs), Shows: "answered"},
		phase{Name: "sizes", Body: k.On(k.sizes), Shows: "sizes", Sound: true},
		phase{Name: "one-way", Body: k.On(k.oneWay), Shows: booked, Sound: true},
		phase{Name: "in flight", Body: k.On(k.inFlight), Shows: "in_flight " + booked, Sound: true},
		phase{Name: "throughput", Body: k.On(k.throughput), Sound: true,
			Shows: "throughput throughput_reach throughput_aim slowness " + booked},
		phase{Name: "steady", Body: k.On(k.steadyRun), Shows: "p50 p95 p99 slowness " + booked, Sound: true},
		phase{Name: "larger", Body: k.On(k.larger), Shows: booked, Sound: true},
		phase{Name: "strangers", Body: k.On(k.strangers), Shows: "secret", Sound: true},
		phase{Name: "garbled", Body: k.On(k.garbled), Shows: "garbled", Sound: true},
		phase{Name: "stopped peer", Body: k.On(k.stoppedPeer), Sound: true,
			Shows: "isolation back_pressure deadline isolation_ratio " + booked},
		phase{Name: "dead peer", Body: k.On(k.deadPeer), Shows: "dead_peer " + booked, Sound: true},
		phase{Name: "close", Body: k.On(k.CloseAll), Shows: "answered", Sound: true},
	)
	k.judgeAll()
	k.KillAll()
	if !k.Aborted {
		k.Audit(k.Leaks)
	}
}

type phase = scenario.Phase

// booked are the criteria of every phase in which calls are accounted for.
const booked = "lost duplicated misrouted corrupted phantom answered"

type kit struct {
	*nodes.Nodes
	control  bool          // its loads are for the controls
	explored *cluster      // of programs; nil for none
	givenUp  int           // programs
	calls    int           // made
	answered int           // with a reply or an error
	late     int           // of those of the last load that ended with an error, calls whose time was up
	took     time.Duration // the last load
	rate     float64       // of subject or control, with N in flight, which is lower; 0 before it was measured
	loads    int           // offered so far: each has a number of its own
}

// The loads of the scenario.
const (
	// minCalls lets a fault that strikes once in 100,000 calls strike, whatever N
	// is.
	minCalls, maxCalls = 250_000, 2_000_000
)

// pairs has every node call every other.
func (k *kit) pairs(ctx context.Context, _ *testing.T) {
	for _, wrong := range k.Pairs(ctx, k.Names()) {
		k.Fault("%s", wrong)
	}
}

// begins numbers a load that begins soon.
func (k *kit) begins(l nodes.Load) nodes.Load {
	k.loads++
	l.ID, l.At = k.loads, time.Now().Add(load.HeadStart).UnixNano()
	return l
}

// offer has nodes offer a load to others, each its part, at the same time. to
// names those that a node calls.
func (k *kit) offer(
	ctx context.Context, how string, l nodes.Load, from []string, to func(string) []string,
) map[string]nodes.Result {
	results := make(map[string]nodes.Result)
	var mu sync.Mutex
	k.each(from, func(name string) error {
		part := l
		part.Seed += uint64(payload.NodeNumber(name))
		var r nodes.Result
		err := k.Ask(ctx, name, nodes.Order{Do: how, Control: k.control, To: to(name), Load: &part}, &r)
		mu.Lock()
		defer mu.Unlock()
		results[name] = r
		return err
	})
	return results
}

// each does something with every node at the same time, and fails the scenario
// with the errors.
func (k *kit) each(names []string, do func(name string) error) {
	wait.All(len(names), func(i int) {
		if err := do(names[i]); err != nil {
			k.Fault("%s: %v", names[i], err)
		}
	})
}

// expect tells nodes to count what arrives of a load.
func (k *kit) expect(ctx context.Context, l nodes.Load, names []string) {
	k.each(names, func(name string) error {
		return k.Ask(ctx, name, nodes.Order{Do: "serve", Control: k.control, To: nodes.Others(names, name), Load: &l}, nil)
	})
}

// arrived asks all nodes what has arrived of what the others have sent.
func (k *kit) arrived(ctx context.Context, names []string, results map[string]nodes.Result) measure.Account {
	var sum measure.Account
	var mu sync.Mutex
	k.each(names, func(name string) error {
		sent := make(map[string]int)
		for from, r := range results {
			sent[from] = r.Sent[name]
		}
		var a measure.Account
		err := k.Ask(ctx, name, nodes.Order{Do: "served", Control: k.control, To: nodes.Others(names, name),
			Load: &nodes.Load{Sent: sent}}, &a)
		mu.Lock()
		defer mu.Unlock()
		sum = sum.Add(a)
		return err
	})
	return sum
}

// replied sums up what came of the calls of all nodes.
func (k *kit) replied(results map[string]nodes.Result) (sum measure.Account, first string) {
	k.late = 0
	var began, ended int64
	for _, name := range slices.Sorted(maps.Keys(results)) {
		r := results[name]
		sum = sum.Add(r.Account)
		k.late += r.Late
		if began == 0 || r.Began < began {
			began = r.Began
		}
		ended = max(ended, r.Ended)
		if first == "" && r.First != "" {
			first = name + ": " + r.First
		}
	}
	k.took = time.Duration(ended - began)
	k.calls += sum.Sent
	k.answered += sum.Sent - sum.Lost
	return sum, first
}

// book adds the accounts of a load, of the replies and of what arrived, and
// names what is wrong. allowed says that calls may end with an error, and that
// what was in flight may be lost then.
func (k *kit) book(phase string, replies, arrivals measure.Account, first string, allowed bool) {
	if k.control {
		if replies.Refused > 0 || !replies.Clean() || !arrivals.Clean() {
			k.Fail("%s, %s: the control, which is the kit's, failed: %d calls ended with an error, the first with: %s; %s; %s",
				k.ID, phase, replies.Refused, first, replies, arrivals)
		}
		return
	}
	if replies.Refused > 0 && replies.Refused == k.late && !allowed {
		k.Fault("%s: too slow: %d of %d calls were answered in %v, which is their deadline, at %.0f calls/s; the others "+
			"ended with: %s",
			phase, replies.Delivered, replies.Sent, k.CallTimeout, k.rateOf(replies.Delivered), first)
	} else if replies.Refused > 0 && !allowed {
		k.Fault("%s: %d of %d calls ended with an error though nothing was wrong, the first with: %s", phase, replies.Refused,
			replies.Sent, first)
	}
	// What arrived is the other end of the same messages.
	a := replies
	a.Duplicated += arrivals.Duplicated
	a.Misrouted += arrivals.Misrouted
	a.Corrupted += arrivals.Corrupted
	a.Phantom += arrivals.Phantom
	a.Examples = append(a.Examples, arrivals.Examples...)
	if !allowed && arrivals.Lost > replies.Lost+replies.Refused {
		k.Fault("%s: %d messages never arrived, but only %d calls were not answered: other calls got a reply that no "+
			"handler had made",
			phase, arrivals.Lost, replies.Lost+replies.Refused)
		a.Phantom += arrivals.Lost - replies.Lost - replies.Refused
	}
	k.Scenario.Book(phase, a)
}

// judgeAll measures the criteria that all phases add to.
func (k *kit) judgeAll() {
	if k.calls == 0 {
		return
	}
	k.Measured("answered", 100*float64(k.answered)/float64(k.calls))
	k.JudgeLedger()
}

// sizes calls with payloads of every size, empty ones too.
func (k *kit) sizes(ctx context.Context, _ *testing.T) {
	names := k.Names()
	for _, size := range []int{0, 1, payload.SmallRequest, 1 << 10, 64 << 10} {
		k.each(names, func(name string) error {
			var wrong map[string]string
			err := k.Ask(ctx, name, nodes.Order{Do: "ping", To: nodes.Others(names, name), Load: &nodes.Load{Size: size}},
				&wrong)
			for to, what := range wrong {
				k.Violate("sizes", "a call of %d bytes from %s to %s failed: %s", size, name, to, what)
			}
			return err
		})
	}
}

// oneWay sends messages to which there is no reply.
func (k *kit) oneWay(ctx context.Context, _ *testing.T) {
	names := k.Names()
	l := k.begins(nodes.Load{Size: payload.SmallRequest, Each: k.perPair(k.N / 5)})
	k.expect(ctx, l, names)
	results := k.offer(ctx, "one-way", l, names, func(n string) []string { return nodes.Others(names, n) })
	if k.Failed() {
		return
	}
	var a measure.Account
	wait.Progress(ctx, arrivalBound, func() (int, bool) {
		now := k.arrived(ctx, names, results)
		a = a.Add(now) // what is odd by itself is told once
		a.Lost, a.Delivered, a.Duplicated = 0, 0, 0
		return -now.Lost, now.Lost == 0
	})
	last := k.arrived(ctx, names, results)
	last.Misrouted, last.Corrupted, last.Phantom = last.Misrouted+a.Misrouted, last.Corrupted+a.Corrupted,
		last.Phantom+a.Phantom
	for _, r := range results {
		last.Sent += r.Account.Sent
	}
	k.Scenario.Book("one-way", last)
}

// arrivalBound is how long nothing may arrive of messages that were sent and that
// are on their way.
const arrivalBound = 3 * time.Second

// perPair is the part of n that falls to each ordered pair of nodes.
func (k *kit) perPair(n int) int {
	nodes := k.Settings().Nodes
	pairs := nodes * (nodes - 1)
	return (n + pairs - 1) / pairs
}

// perNode is the part of N calls in flight that each node has, a multiple of
// its peers.
func (k *kit) perNode(n int) int { return k.perPair(n) * (k.Settings().Nodes - 1) }

// inFlight has N calls on their way and none answered, counted at one instant.
func (k *kit) inFlight(ctx context.Context, _ *testing.T) {
	names := k.Names()
	each := k.perPair(k.N)
	l := k.begins(nodes.Load{Size: payload.SmallRequest, Each: each, InFlight: k.perNode(k.N), Hold: true})
	k.expect(ctx, l, names)
	most, offered, released := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(released)
		wait.Until(ctx, scenario.Settle, func() bool {
			now := 0
			var mu sync.Mutex
			k.each(names, func(name string) error {
				var n int
				err := k.Ask(ctx, name, nodes.Order{Do: "flight"}, &n)
				mu.Lock()
				defer mu.Unlock()
				now += n
				return err
			})
			most = max(most, now)
			return now >= k.N
		})
		// Requests may still be on their way: so those held are released until
		// all have been.
		for left := len(names) * l.InFlight; left > 0 && !k.Failed(); {
			var mu sync.Mutex
			k.each(names, func(name string) error {
				var n int
				err := k.Ask(ctx, name, nodes.Order{Do: "release"}, &n)
				mu.Lock()
				defer mu.Unlock()
				left -= n
				return err
			})
			select {
			case <-offered: // all have been answered, or have been given up
				return
			case <-ctx.Done():
				return
			case <-time.After(releasePause):
			}
		}
	}()
	results := k.offer(ctx, "closed", l, names, func(n string) []string { return nodes.Others(names, n) })
	close(offered)
	<-released
	replies, first := k.replied(results)
	k.book("in flight", replies, k.arrived(ctx, names, results), first, false)
	k.Measured("in_flight", float64(most))
	k.RecordBurst(func(b *report.Burst) { b.Peak = most })
	k.Record(func(r *report.Scenario) { r.Operations += replies.Sent })
}

// releasePause is between two times that the replies held back are released.
const releasePause = 5 * time.Millisecond

// rateOf is that of n calls of the last load.
func (k *kit) rateOf(n int) float64 {
	if k.took <= 0 {
		return 0
	}
	return float64(n) / k.took.Seconds()
}

// merge makes one open load of those of all nodes.
func (k *kit) merge(results map[string]nodes.Result) (load.Open, *measure.Recorder) {
	var parts []load.Open
	rec := measure.NewRecorder(0)
	for _, r := range results {
		parts = append(parts, r.Open)
		rec.Import(r.Samples, 0)
	}
	return load.Merge(parts), rec
}

// larger keeps larger calls in flight: as many as there are, up to what the
// windows take.
func (k *kit) larger(ctx context.Context, _ *testing.T) {
	for _, c := range []struct {
		size, calls int
	}{{1 << 10, k.N}, {64 << 10, k.N / 25}} {
		if k.Failed() {
			return
		}
		pairs := k.perPair(k.N)
		flight := min(pairs, k.Window/2/c.size) * (k.Settings().Nodes - 1)
		rate := k.closed(ctx, fmt.Sprintf("%d bytes", c.size),
			nodes.Load{Size: c.size, Each: k.perPair(max(c.calls, flight)), InFlight: flight})
		k.Note("%s calls/s of %s bytes, with %d in flight: %s MB/s each way.", validate.Number(rate),
			validate.Number(float64(c.size)),
			flight*k.Settings().Nodes, validate.Number(rate*float64(c.size)/1e6))
	}
}

// light offers a light load for a while and returns the p99 of its calls.
func (k *kit) light(ctx context.Context, phase string, names []string, d time.Duration) (time.Duration, bool) {
	l := k.begins(nodes.Load{Size: payload.SmallRequest, Each: int(lightRate * d.Seconds()),
		Rate: lightRate * float64(len(names)-1), Seed: k.Seed})
	k.expect(ctx, l, names)
	results := k.offer(ctx, "open", l, names, func(n string) []string { return nodes.Others(names, n) })
	replies, first := k.replied(results)
	k.book(phase, replies, k.arrived(ctx, names, results), first, false)
	_, rec := k.merge(results)
	return time.Duration(rec.Latency().P99), !k.Failed()
}

const (
	lightRate = 500 // calls/s of each node to each other
	// isolationFloor is what p99 may always reach: below it twice as much is
	// noise.
	isolationFloor = 10 * time.Millisecond
	leastShare     = 0.1
	// isolationTries is how often p99 may be above: once, other work may have
	// held the processors for a moment.
	isolationTries = 3
	// lateBound is how late the error of a call may come whose time is up.
	lateBound = time.Second
	floodSize = 16 << 10
	// floodBound is how many times its window a node may hold for a peer that takes
	// nothing: the window in all its copies, and what the kernel takes.
	floodBound = 16
	floodTries = 48 // windows that it is called with
	// roomOfCall is what a small call takes of a window: itself, and what a subject
	// reckons beside.
	roomOfCall = 4 * payload.SmallRequest
)

// lightTimes are how long a light load lasts while nothing is wrong, and while a
// node is stopped: for longer than it takes to be found out.
func lightTimes() (usual, stopped time.Duration) {
	if testing.Short() {
		return 150 * time.Millisecond, 400 * time.Millisecond
	}
	return 600 * time.Millisecond, 600 * time.Millisecond
}

// stoppedPeer stops a node while others call it as fast as it takes calls: what
// is in flight is bounded, ends in time, and harms no call to another.
func (k *kit) stoppedPeer(ctx context.Context, _ *testing.T) {
	for try := 1; ; try++ {
		p, ok := k.isolation(ctx)
		if !ok {
			return
		}
		if accepted := p.accepted(); p.during > accepted && !k.Environment().Race {
			if try < isolationTries {
				continue
			}
			k.Violate("isolation", "the p99 of calls to others was %v before a node was stopped, %v beside as many calls "+
				"to it, %v while it was stopped, and %v after; must be at most %v, missed %d times in a row",
				p.before, p.beside, p.during, p.after, accepted, try)
		}
		k.Note("The p99 of calls to others was %v before a node was stopped, %v beside as many calls to it, "+
			"%v while it was stopped, and %v after.", p.before, p.beside, p.during, p.after)
		k.Timed("isolation_ratio", float64(p.during)/float64(p.usual()))
		break
	}
	if k.Environment().Race {
		k.NotMeasured("isolation", report.RaceReason)
	}
}

// isolated are the p99 of calls before, during and after something that does not
// concern them, and the share of the processors there was during it. beside is the
// control: their p99 beside the same calls to a node that runs, which take processors
// as well.
type isolated struct {
	before, beside, during, after time.Duration
	share                         float64
}

func (i isolated) usual() time.Duration { return max(i.before, i.beside, i.after) }

// accepted is twice the usual. What is noise is more of it where other work takes
// the processors.
func (i isolated) accepted() time.Duration {
	return max(2*i.usual(), time.Duration(float64(isolationFloor)/max(i.share, leastShare)))
}

// isolation measures calls to others beside a node that is stopped.
func (k *kit) isolation(ctx context.Context) (p isolated, ok bool) {
	names := k.Names()
	victim, rest := names[len(names)-1], names[:len(names)-1]
	usual, stop := lightTimes()
	if p.before, ok = k.light(ctx, "before a node was stopped", rest, usual); !ok {
		return p, false
	}
	if p.beside, _, ok = k.lightBeside(ctx, "beside many calls to a node", rest, victim, stop); !ok {
		return p, false
	}
	var floods map[string]nodes.Flooding
	k.UnderLoad(func() {
		k.Signal(victim, proc.Stop, nodes.Stopped)
		p.during, floods, _ = k.lightBeside(ctx, "while a node was stopped", rest, victim, stop)
	})
	p.share = k.ProcessorShares().Last
	for _, name := range rest {
		k.judgeFlood(name, victim, floods[name])
	}
	k.Signal(victim, proc.Continue, nodes.Running)
	if wrong := k.callable(ctx, rest, victim); wrong != "" {
		k.Violate("isolation", "%s was continued, and %s", victim, wrong)
	}
	p.after, ok = k.light(ctx, "after a node was continued", rest, usual)
	return p, ok
}

// lightBeside is light while the same nodes flood another.
func (k *kit) lightBeside(ctx context.Context, phase string, names []string, to string, d time.Duration) (
	p99 time.Duration, floods map[string]nodes.Flooding, ok bool,
) {
	var flooded sync.WaitGroup
	flooded.Go(func() { floods = k.flood(ctx, names, to, d) })
	p99, ok = k.light(ctx, phase, names, d)
	flooded.Wait()
	for _, f := range floods {
		k.calls += f.Accepted
		k.answered += f.Accepted - f.Lost
	}
	return p99, floods, ok
}

// flood has nodes call another as fast as it takes calls, for a while.
func (k *kit) flood(ctx context.Context, from []string, to string, d time.Duration) map[string]nodes.Flooding {
	floods := make(map[string]nodes.Flooding)
	var mu sync.Mutex
	k.each(from, func(name string) error {
		var f nodes.Flooding
		err := k.Ask(ctx, name, nodes.Order{Do: "flood", To: []string{to},
			Load: &nodes.Load{Size: floodSize, Each: floodTries * k.Window / floodSize, For: d, Bound: floodBound * k.Window}},
			&f)
		mu.Lock()
		defer mu.Unlock()
		floods[name] = f
		return err
	})
	return floods
}

// judgeFlood looks at what calls to a node that was stopped have led to.
func (k *kit) judgeFlood(name, victim string, f nodes.Flooding) {
	if f.Stuck {
		k.Violate("back_pressure", "a call of %s to %s, which was stopped, did not return within %v", name, victim,
			nodes.CallWithin(k.CallTimeout))
	}
	if f.Lost > 0 {
		k.Violate("back_pressure", "%d of %d calls of %s to %s, which was stopped, never ended", f.Lost, f.Accepted, name,
			victim)
	}
	if f.Slowest > f.Deadline+lateBound {
		k.Violate("deadline", "a call of %s to %s, which was stopped, ended after %v, its deadline was %v", name, victim,
			f.Slowest, f.Deadline)
	}
	if f.Outstanding > floodBound*k.Window {
		k.Violate("back_pressure", "%s took calls of %s MB for %s, which was stopped: nothing bounds what is in flight to it",
			name, validate.Number(float64(f.Outstanding)/1e6), victim)
	}
	if f.Growth > floodBound*k.Window {
		k.Violate("back_pressure", "%s grew by %s MB while it called %s, which was stopped", name,
			validate.Number(float64(f.Growth)/1e6), victim)
	}
}

// callable waits until nodes can call another, which was lost to them.
func (k *kit) callable(ctx context.Context, from []string, to string) (wrong string) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	wait.Until(ctx, scenario.Settle, func() bool {
		wrong = ""
		for _, name := range from {
			var failed map[string]string
			if err := k.Ask(ctx, name, nodes.Order{Do: "ping", To: []string{to}}, &failed); err != nil {
				wrong = err.Error()
				if errors.Is(err, context.DeadlineExceeded) {
					wrong = fmt.Sprintf("a call of %s to it never ended, which was waited for for %v", name, scenario.Settle)
				}
			} else if len(failed) > 0 {
				wrong = fmt.Sprintf("after %v a call of %s to it still failed: %s", scenario.Settle, name, failed[to])
			}
		}
		return wrong == ""
	})
	return wrong
}

// deadPeer kills a node to which calls are in flight, and calls it then.
func (k *kit) deadPeer(ctx context.Context, _ *testing.T) {
	names := k.Names()
	victim, rest := names[len(names)-1], names[:len(names)-1]
	l := k.begins(nodes.Load{Size: payload.SmallRequest, Each: 1000, InFlight: 1000, Hold: true})
	var killing sync.WaitGroup
	killing.Go(func() {
		want := len(rest) * l.InFlight
		wait.Until(ctx, scenario.Settle, func() bool {
			now := 0
			for _, name := range rest {
				var n int
				if err := k.Ask(ctx, name, nodes.Order{Do: "flight"}, &n); err != nil {
					return true
				}
				now += n
			}
			return now >= want
		})
		k.Signal(victim, syscall.SIGKILL, nodes.Killed)
	})
	results := k.offer(ctx, "closed", l, rest, func(string) []string { return []string{victim} })
	killing.Wait()
	replies, _ := k.replied(results)
	if replies.Lost > 0 {
		k.Violate("dead_peer", "%s was killed: %d of %d calls in flight to it never ended", victim, replies.Lost,
			replies.Sent)
		return
	}
	// No message can arrive at the dead.
	k.book("a node was killed", replies, measure.Account{}, "", true)
	k.Lists(ctx, rest, []string{victim}, node.Failed, "")
	share := k.Conditions().Share
	k.each(rest, func(name string) error {
		var r nodes.Refusal
		err := k.Ask(ctx, name, nodes.Order{Do: "refused", To: []string{victim}}, &r)
		switch {
		case err != nil:
		case r.NeverEnded:
			k.Violate("dead_peer", "a call of %s to %s, which is dead, never ended", name, victim)
		case r.Answered:
			k.Violate("dead_peer", "a call of %s to %s, which is dead, was answered", name, victim)
		case !r.Unreachable:
			k.Violate("dead_peer", "a call of %s to %s, which is dead, ended with an error that is not Errors().Unreachable: %s",
				name, victim, r.Err)
		case share > 0 && float64(r.Slowest) > float64(atOnceBound)/share && !k.Environment().Race:
			k.Violate("dead_peer", "a call of %s to %s, which is dead, took %v to end, must be %v", name, victim, r.Slowest,
				atOnceBound)
		}
		return err
	})
	k.Reap(victim)
}

// atOnceBound is what an error may take that is to come at once.
const atOnceBound = 100 * time.Millisecond

// BenchmarkTransport measures calls of 64 bytes between four node processes,
// each of which calls its three peers, with up to 100,000 in flight.
func BenchmarkTransport(b *testing.B, start func(testing.TB, node.Config) (node.Node, error)) {
	site := proc.At(b, "node")
	if site.Child() {
		site.Serve(nodes.Serve(b, start))
		return
	}
	k := nodes.FormBench(b, site, nodes.LookSeldom)
	defer k.KillAll()
	const pairs = nodes.BenchNodes * (nodes.BenchNodes - 1)
	each := (b.N + pairs - 1) / pairs
	l := nodes.Load{At: time.Now().Add(load.HeadStart).UnixNano(), Size: payload.SmallRequest, Each: each,
		InFlight: min(each, validate.BaseScale/pairs) * (nodes.BenchNodes - 1)}
	var mu sync.Mutex
	var all sync.WaitGroup
	delivered := 0
	b.ResetTimer()
	for name, p := range k.Processes {
		all.Go(func() {
			var r nodes.Result
			if err := p.Ask(b.Context(), nodes.Order{Do: "closed", To: nodes.Others(proc.NodeNames(nodes.BenchNodes), name),
				Load: &l}, &r); err != nil {
				b.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			delivered += r.Account.Delivered
		})
	}
	all.Wait()
	b.StopTimer()
	if delivered != each*pairs {
		b.Fatalf("%d of %d calls were answered", delivered, each*pairs)
	}
	b.ReportMetric(float64(delivered)/b.Elapsed().Seconds(), "calls/s")
}
