package stress

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tensile/stress/report"
)

const (
	// disturbedTime is what an operation may take while the steady state holds:
	// the p99 that the specification allows.
	disturbedTime = 100 * time.Millisecond
	// attemptTime is after what time a caller turns to another node.
	attemptTime = 2 * time.Second
)

// written is one write that was acknowledged, by the time since the load began.
type written struct {
	from, to time.Duration
	attempts int
}

// kill has one node killed while sessions are written, and then reads them all.
func (k *sessionKit) kill(ctx context.Context, t *testing.T) {
	victim := k.nodes[k.seed%sessionNodes]
	before, after := 500*time.Millisecond, 1500*time.Millisecond
	if testing.Short() {
		before, after = before/2, after/2
	}
	var killed time.Duration
	var all []written
	k.underLoad(func() {
		began := time.Now()
		all = k.keepWriting(ctx, began, func() {
			time.Sleep(before)
			killed = time.Since(began)
			victim.kill()
			k.killedAt = began.Add(killed)
			time.Sleep(after)
		})
	})
	if k.failed() {
		return
	}
	recovered := recovery(all, killed)
	k.timed("recovery", recovered.Seconds()*1e3)
	k.timed("recovery_reach", recovered.Seconds()*1e3)
	k.mu.Lock()
	k.result.Operations += len(all)
	k.result.Timelines = append(k.result.Timelines, report.Timeline{
		Name: "a node is killed while sessions are written", Unit: "writes/s",
		Events: []report.Event{
			{At: killed.Seconds(), Kind: report.Fault, Target: victim.name, What: syscall.SIGKILL.String()},
			{At: (killed + recovered).Seconds(), Kind: report.Recovered, Target: victim.name, What: "writes are acknowledged as before"},
		},
		Lines: []report.Line{writeRate(all)},
	})
	k.mu.Unlock()
	k.readAll(ctx, k.running(), "latest")
}

// keepWriting has callers write sessions, each its own, for as long as meanwhile
// takes. A caller whose node does not answer turns to the next.
func (k *sessionKit) keepWriting(ctx context.Context, began time.Time, meanwhile func()) []written {
	callers := min(killCallers, k.sessions)
	of := make([][]written, callers)
	var stop atomic.Bool
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			defer k.recovered("a caller")
			for session := c; !stop.Load() && ctx.Err() == nil; session = (session + callers) % (k.sessions / callers * callers) {
				w := written{from: time.Since(began)}
				if !k.persist(ctx, session, session/callers+c, &w) {
					k.fail("sessions.recovery: no node acknowledged a write of %s within %v", sessionKey(session), tries)
					return
				}
				w.to = time.Since(began)
				of[c] = append(of[c], w)
			}
		})
	}
	meanwhile()
	stop.Store(true)
	all.Wait()
	var joined []written
	for _, w := range of {
		joined = append(joined, w...)
	}
	return joined
}

// persist makes the next write of a session at one node after the other until
// it is acknowledged.
func (k *sessionKit) persist(ctx context.Context, session, node int, w *written) bool {
	number, value := k.loaded.next(session)
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < tries; node++ {
		w.attempts++
		if w.attempts > len(k.nodes) {
			time.Sleep(time.Millisecond) // all of them have refused
		}
		if k.nodes[node%len(k.nodes)].put(ctx, attemptTime, sessionKey(session), value).outcome == opDone {
			k.loaded.acked[session].Store(number)
			return true
		}
	}
	return false
}

// recovery is how long after the instant killed writes were still disturbed; or
// when the first was acknowledged, where none was.
func recovery(all []written, killed time.Duration) time.Duration {
	var last time.Duration
	first := time.Duration(1<<63 - 1)
	for _, w := range all {
		if w.to <= killed {
			continue
		}
		first = min(first, w.to)
		if w.attempts > 1 || w.to-w.from > disturbedTime {
			last = max(last, w.to)
		}
	}
	return max(last, first) - killed
}

// writeRate is how many writes were acknowledged, in twentieths of a second.
func writeRate(all []written) report.Line {
	const step = 50 * time.Millisecond
	var counts []int
	for _, w := range all {
		at := int(w.to / step)
		for at >= len(counts) {
			counts = append(counts, 0)
		}
		counts[at]++
	}
	line := report.Line{Name: "acknowledged"}
	for at, n := range counts {
		line.Points = append(line.Points, report.Point{(float64(at) + 0.5) * step.Seconds(), float64(n) / step.Seconds()})
	}
	return line
}

// readAll reads every session at one of the nodes. What is wrong counts against
// criterion, and what is worse than an older write against its own.
func (k *sessionKit) readAll(ctx context.Context, at []*sessionNode, criterion string) {
	var wrong atomic.Int64
	k.share(sessionCallers, k.sessions, func(session int) bool {
		n, key := at[session%len(at)], sessionKey(session)
		r := n.get(ctx, attemptTime, key)
		if r.err != nil { // for a moment, it may be
			r = k.eventually(ctx, n, sessionOp{kind: opGet, key: key})
		}
		if what, says := k.loaded.judge(session, r); what != "" {
			wrong.Add(1)
			if what == "latest" {
				what = criterion
			}
			k.violate(what, "%s, read at %s", says, n.name)
		}
		return ctx.Err() == nil && wrong.Load() < mostWrong
	})
	if n := k.loaded.acknowledged(); n > 0 {
		k.survival = min(k.survival, 100*(1-float64(wrong.Load())/float64(n)))
		k.measured("survival", k.survival)
		k.measured("survival_reach", k.survival)
	}
	k.mu.Lock()
	k.result.Operations += k.sessions
	k.mu.Unlock()
}

// replication waits until the loss is made up for, and has a second node killed:
// what only the two had is gone if it is not.
func (k *sessionKit) replication(ctx context.Context, t *testing.T) {
	if !k.settled(ctx, time.Since(k.killedAt)) {
		return
	}
	k.running()[k.seed/sessionNodes%3].kill()
	k.readAll(ctx, k.running(), "replication")
}

// settled waits for full replication over the nodes that are there. so is how
// long it has been due.
func (k *sessionKit) settled(ctx context.Context, due time.Duration) bool {
	began := time.Now()
	if err := k.replicated(ctx, k.running()); err != nil {
		k.violate("replication", "sessions are not fully replicated %v after a loss or a return: %v", fullReplication, err)
		return false
	}
	k.restored = max(k.restored, due+time.Since(began))
	k.timed("restored", k.restored.Seconds()*1e3)
	return true
}

// comeback starts the two again: first they must not serve what is older than
// what they had, and then what was not with the others must be with them.
func (k *sessionKit) comeback(ctx context.Context, t *testing.T) {
	var back, stayed []*sessionNode
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
	k.readAll(ctx, back, "stale")
	if !k.settled(ctx, time.Since(began)) {
		return
	}
	stayed[k.seed%uint64(len(stayed))].kill()
	k.readAll(ctx, k.running(), "replication")
}

// mostWrong is how many wrong sessions are enough.
const mostWrong = 1000
