package sessiontest

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/report"
)

const (
	// slowTime is the p99 that the specification allows in the steady state, and
	// unservedTime the recovery that is to be reached: what takes so long was not
	// served until then.
	slowTime     = 100 * time.Millisecond
	unservedTime = 500 * time.Millisecond
	// attemptTime is after what time a caller turns to another node.
	attemptTime = 2 * time.Second
)

// completed is one operation that was served in the end, by the time since the
// load began.
type completed struct {
	from, to time.Duration
	failures int // nodes that it was sent to, and that did not serve it
}

// besideCallers write sessions of the control meanwhile.
const besideCallers = 16

// sweepCallers is how many sessions are read at once, while others are written.
const sweepCallers = 128

// kill has one node killed while sessions are written. From that instant on all
// sessions are read, too: recovered is when whatever is asked for, of any of
// them, is served at once again.
func (k *kit) kill(ctx context.Context, _ *testing.T) {
	if !k.filled(ctx) {
		return
	}
	control, ok := k.beside(ctx)
	if !ok {
		return
	}
	k.killed = true
	victim := k.nodes[k.Seed%nodeCount]
	before, least := 500*time.Millisecond, 1500*time.Millisecond
	if k.brief() {
		before, least = before/4, least/4
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var killed, swept time.Duration
	var writes, reads, beside []completed
	strike := func(began time.Time) {
		time.Sleep(before)
		killed = time.Since(began)
		victim.kill()
		at := began.Add(killed)
		go func() {
			defer k.Recovered("full replication")
			k.repaired <- !k.abilities().again() || k.settled(context.WithoutCancel(ctx), at)
		}()
		reads = k.sweep(ctx, began)
		swept = time.Since(began) - killed
		select {
		case <-time.After(time.Until(at.Add(least))):
		case <-ctx.Done():
		}
	}
	k.tries.busy.Lock()
	k.UnderLoad(func() {
		began := time.Now()
		writes = k.keepWriting(ctx, cancel, began, killCallers, func() {
			beside = control.keepWriting(ctx, cancel, began, besideCallers, func() { strike(began) })
		})
	})
	k.tries.busy.Unlock()
	if k.Failed() {
		k.madeUp()
		return
	}
	recovered, disturbed := recovery(append(slices.Clone(writes), reads...), killed)
	other, _ := recovery(beside, killed)
	k.tries.recovery.add(k, "recovery", recovered, other)
	k.Timed("recovery_reach", recovered.Seconds()*1e3)
	k.Note("All %d sessions were read in the %.0f ms after a node was killed, and %d writes made from %v before it to "+
		"the end: %d operations were not served at once, the last of them until %.0f ms after it; of the control until "+
		"%.0f ms.",
		k.sessions, swept.Seconds()*1e3, len(writes), before, disturbed, recovered.Seconds()*1e3,
		other.Seconds()*1e3)
	k.Record(func(r *report.Scenario) {
		r.Operations += len(writes) + len(reads)
		r.Timelines = append(r.Timelines, report.Timeline{
			Name: "a node is killed while sessions are written, and from then on read", Unit: "operations/s",
			Events: []report.Event{
				{At: killed.Seconds(), Kind: report.Fault, Target: victim.name, What: syscall.SIGKILL.String()},
				{
					At: (killed + recovered).Seconds(), Kind: report.Recovered, Target: victim.name,
					What: "operations are served at once",
				},
			},
			Lines: []report.Line{rateOf("writes", writes), rateOf("reads", reads)},
		})
	})
}

// keepWriting has callers write sessions, each its own, for as long as meanwhile
// takes. A caller whose node does not answer turns to the next; one whom nobody
// answers ends it all.
func (k *kit) keepWriting(
	ctx context.Context, end func(), began time.Time, callers int, meanwhile func(),
) []completed {
	callers = min(callers, k.sessions)
	of := make([][]completed, callers)
	var stop atomic.Bool
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			defer k.Recovered("a caller")
			turns := k.sessions / callers * callers
			for session := c; !stop.Load() && ctx.Err() == nil; session = (session + callers) % turns {
				number, value := k.loaded.next(session)
				w, r := k.persist(ctx, began, session/callers+c, operation{kind: opPut, key: keyOf(session), value: value})
				if r.outcome != opDone {
					k.unserved(keyOf(session), r.err)
					end()
					return
				}
				k.loaded.acked[session].Store(number)
				of[c] = append(of[c], w)
			}
		})
	}
	meanwhile()
	stop.Store(true)
	all.Wait()
	return slices.Concat(of...)
}

// unserved says that no node took a write.
func (k *kit) unserved(key string, why error) {
	if k.control {
		k.Fail("%s: the control, which is the kit's, did not take a write of %s within %v: %v", k.ID, key, tries, why)
		return
	}
	k.Violate("recovery", "no node acknowledged a write of %s within %v: %v", key, tries, why)
}

// sweep reads every session once, while they are written.
func (k *kit) sweep(ctx context.Context, began time.Time) []completed {
	all := make([]completed, k.sessions)
	k.swept = make([]uint32, k.sessions)
	var wrong atomic.Int64
	k.share(sweepCallers, k.sessions, func(session int) bool {
		acked := k.loaded.acked[session].Load()
		var r result
		all[session], r = k.persist(ctx, began, session, operation{kind: opGet, key: keyOf(session)})
		if ctx.Err() != nil {
			return false
		}
		k.swept[session], _ = payload.ReadValue(session, r.value)
		if what, says := k.loaded.judgeSince(session, acked, r); what != "" {
			wrong.Add(1)
			k.Violate(what, "%s, read after a node was killed", says)
		}
		return wrong.Load() < mostWrong
	})
	k.survived(int(wrong.Load()))
	return all
}

// persist tries an operation at one node after the other until it is served.
// Nothing is sent to a node whose connection has ended.
func (k *kit) persist(ctx context.Context, began time.Time, node int, op operation) (s completed, r result) {
	s.from, op.control = time.Since(began), k.control
	for s.to = s.from; ctx.Err() == nil && s.to-s.from < tries; node++ {
		n := k.nodes[node%len(k.nodes)]
		if !n.reached() {
			continue
		}
		r = n.do(ctx, attemptTime, op)
		s.to = time.Since(began)
		if r.outcome == opDone || r.outcome == opAbsent {
			break
		}
		if s.failures++; s.failures >= len(k.nodes) {
			time.Sleep(time.Millisecond) // all of them have refused
		}
	}
	return s, r
}

// recovery is how long after the instant killed operations were still disturbed,
// and how many were; or when the first was served, where none was.
//
// Disturbed are those that a node has failed, and those that made anybody wait:
// each that took unservedTime or longer, and where more than one of a hundred
// took slowTime or longer, as the steady state is told by the p99, all these.
// What was as slow before the kill is no disturbance.
func recovery(all []completed, killed time.Duration) (last time.Duration, disturbed int) {
	slow, unserved := slowTime, unservedTime
	first := time.Duration(math.MaxInt64)
	for _, o := range all {
		if o.to <= killed {
			slow, unserved = max(slow, 2*(o.to-o.from)), max(unserved, 2*(o.to-o.from))
		} else {
			first = min(first, o.to)
		}
	}
	type bin struct{ all, slow int }
	bins := make(map[int]bin)
	for _, o := range all {
		b := bins[binOf(o.to)]
		b.all++
		if o.to-o.from >= slow {
			b.slow++
		}
		bins[binOf(o.to)] = b
	}
	for _, o := range all {
		b := bins[binOf(o.to)]
		if o.to > killed && (o.failures > 0 || o.to-o.from >= unserved || o.to-o.from >= slow && 100*b.slow > b.all) {
			disturbed++
			last = max(last, o.to)
		}
	}
	return max(last, first) - killed, disturbed
}

// binTime is how long what is done is counted together.
const binTime = 50 * time.Millisecond

func binOf(at time.Duration) int { return int(at / binTime) }

// rateOf is how many operations were served in each bin.
func rateOf(name string, all []completed) report.Line {
	var counts []int
	for _, o := range all {
		at := binOf(o.to)
		for at >= len(counts) {
			counts = append(counts, 0)
		}
		counts[at]++
	}
	line := report.Line{Name: name}
	for at, n := range counts {
		line.Points = append(line.Points, report.Point{
			(float64(at) + 0.5) * binTime.Seconds(), float64(n) / binTime.Seconds(),
		})
	}
	return line
}

// readAll reads every session at one of the nodes, and tells whether nothing is
// wrong.
func (k *kit) readAll(ctx context.Context, at []*member, criterion string) bool {
	all := make([]int, k.sessions)
	for i := range all {
		all[i] = i
	}
	return k.readThese(ctx, at, criterion, all, func(int) bool { return false })
}

// readThese reads sessions, in this order, until enough is true of a place in it.
// What is wrong counts against criterion, and what is worse than an older write
// against its own.
func (k *kit) readThese(
	ctx context.Context, at []*member, criterion string, sessions []int, enough func(i int) bool,
) bool {
	var wrong, read atomic.Int64
	var lost atomic.Bool // a session cannot be read: nobody waits for others any more
	k.share(callerCount, len(sessions), func(i int) bool {
		if enough(i) || wrong.Load() == 0 && k.Failed() { // for something else
			return false
		}
		read.Add(1)
		session := sessions[i]
		n, key := at[session%len(at)], keyOf(session)
		r := n.get(ctx, attemptTime, key)
		if r.err != nil && !lost.Load() { // for a moment, it may be
			if r = k.eventually(ctx, n, operation{kind: opGet, key: key}); r.err != nil {
				lost.Store(true)
			}
		}
		if what, says := k.loaded.judge(session, r); what != "" {
			wrong.Add(1)
			if what == "latest" {
				what = criterion
			}
			k.Violate(what, "%s, read at %s", says, n.name)
		}
		return ctx.Err() == nil && wrong.Load() < mostWrong
	})
	k.survived(int(wrong.Load()))
	k.Record(func(r *report.Scenario) { r.Operations += int(read.Load()) })
	return wrong.Load() == 0
}

// survived measures survival when so many of all sessions were wrong.
func (k *kit) survived(wrong int) {
	if n := k.loaded.acknowledged(); n > 0 {
		k.survival = min(k.survival, 100*(1-float64(wrong)/float64(n)))
		k.Measured("survival", k.survival)
		k.Measured("survival_reach", k.survival)
	}
}

// losses reads what was written since it was read after the loss of a node, waits
// until that is made up for, and has a second node killed: what only the two had
// is gone if it is not. Then it has both come back. Where nobody promises to make
// up for a loss, the one is all.
func (k *kit) losses(ctx context.Context) {
	if !k.killed {
		k.kill(ctx, k.T)
	}
	if !k.killed || k.Failed() {
		return
	}
	var since []int
	for session, number := range k.swept {
		if number < k.loaded.acked[session].Load() {
			since = append(since, session)
		}
	}
	ok := k.readThese(ctx, k.running(), "latest", since, func(int) bool { return false })
	if !k.madeUp() || !ok || k.Failed() {
		return
	}
	if k.abilities().again() {
		k.running()[k.Seed/nodeCount%3].kill()
		ok = k.readAll(ctx, k.running(), k.abilities().lost())
	}
	if ok && !k.Failed() {
		k.comeback(ctx)
	}
}

// madeUp waits until the loss of a node under load was made up for, if there was one,
// and tells whether it was.
func (k *kit) madeUp() bool {
	if !k.killed {
		return true
	}
	ok := <-k.repaired
	k.repaired <- ok // for whoever asks next
	return ok
}

// settled waits for full replication over the nodes that are there. since is when
// it was lost.
func (k *kit) settled(ctx context.Context, since time.Time) bool {
	if err := k.replicated(ctx, k.running(), k.fullReplication()); err != nil {
		k.Violate("replication", "sessions are not fully replicated %v after a loss or a return: %v",
			k.fullReplication(), err)
		return false
	}
	if !k.abilities().Replicates {
		return true
	}
	took := time.Since(since)
	k.tries.busy.Lock() // or the control would disturb the recovery that is measured
	defer k.tries.busy.Unlock()
	began := time.Now()
	err := everyNode(k.running(), func(n *member) error {
		_, err := n.ask(ctx, nodeCommand{Control: &controlCommand{Copy: true}})
		return err
	})
	if err != nil {
		k.Fail("%s: the control, which is the kit's, did not copy its sessions: %v", k.ID, err)
		return false
	}
	hundreds := time.Duration(k.Hundreds())
	k.tries.restored.add(k, "restored", took/hundreds, time.Since(began)/hundreds)
	return true
}

// comeback starts those that were killed again. Until they have caught up, and for
// a while longer, they must not serve what is older than what they had; and then
// what was not with the others must be with them.
func (k *kit) comeback(ctx context.Context) {
	var back, stayed []*member
	for _, n := range k.nodes {
		if n.alive() {
			stayed = append(stayed, n)
		} else {
			back = append(back, n)
		}
	}
	if !k.must(k.restart(ctx, back...)) {
		return
	}
	began := time.Now()
	caughtUp := make(chan struct{})
	ok := k.together(2, func(i int) bool {
		if i == 0 {
			defer close(caughtUp)
			return k.settled(ctx, began)
		}
		shuffled := rand.New(rand.NewPCG(k.Seed, 0)).Perm(k.sessions)
		return k.readThese(ctx, back, "stale", shuffled, func(i int) bool {
			select {
			case <-caughtUp:
				return i >= k.sessions/4
			default:
				return false
			}
		})
	})
	if !ok || k.Failed() || !k.abilities().again() {
		return
	}
	stayed[k.Seed%uint64(len(stayed))].kill()
	k.readAll(ctx, k.running(), k.abilities().lost())
}

// mostWrong is how many wrong sessions are enough.
const mostWrong = 1000
