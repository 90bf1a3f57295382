package balancertest

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/proc"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// spread: N picks held, ten times as many, after a join, after a failure.
func (k *kit) spread(ctx context.Context, t *testing.T) {
	k.offered(ctx, t, func(s Strategy, b Balancer, names []string) {
		n, h := k.picks(), &k.room[0]
		if !k.pick(s, b, h, 0, n) {
			return
		}
		even := k.even(s, nHeld, h.counts, names)
		if s == DefaultStrategy {
			k.tight("default_spread", even)
		}
		failed, ok := k.failure(s, b, h, names)
		h.release()
		joined, ok2 := k.join(s, b, names)
		if !ok || !ok2 {
			return
		}
		if s == DefaultStrategy {
			k.tight("failure_spread", failed)
			k.tight("join_spread", joined)
		}
		// With fewer chance alone would exceed the figure.
		if widest := k.tenfold(s, b, names); s.keyed() && k.N >= validate.BaseScale {
			k.keyed = max(k.keyed, widest)
			k.Measured("keyed_reach", k.keyed)
		}
	})
	k.Measured("spread", k.worst)
	k.Measured("in_flight", float64(k.heldPeak))
	k.RecordBurst(func(b *report.Burst) { b.Peak = k.heldPeak })
}

// failure takes a node down under what is held, and picks again for what it
// held.
func (k *kit) failure(s Strategy, b Balancer, h *held, names []string) (widest float64, ok bool) {
	const victim = 1
	rest := slices.Delete(slices.Clone(names), victim, victim+1)
	if !k.must(b.Down(names[victim]), s, "Down") {
		return 0, false
	}
	for i, p := range h.picks {
		if p.Node() != names[victim] {
			continue
		}
		p.Done()
		again, err := b.Pick(k.key(h.first + i))
		if !k.must(err, s, "Pick after a failure") {
			return 0, false
		}
		if again.Node() == names[victim] {
			k.Violate("dead", "%s: Pick gave %s after Down had returned", s, names[victim])
		}
		h.picks[i] = again
		h.counts[again.Node()]++
	}
	delete(h.counts, names[victim])
	widest = k.even(s, "after a failure", h.counts, rest)
	return widest, k.must(b.Up(names[victim]), s, "Up")
}

// join adds a node to others that are full, and sees it get its share: of what
// comes then, and of what is held once all begins anew.
func (k *kit) join(s Strategy, b Balancer, names []string) (widest float64, ok bool) {
	n := k.picks()
	const joiner = "node-4"
	all := append(slices.Clone(names), joiner)
	before, h := &k.room[0], &k.room[1]
	if !k.pick(s, b, before, 0, n) || !k.must(b.Join(Node{joiner, 1}), s, "Join") || !k.pick(s, b, h, n, n) {
		return 0, false
	}
	k.even(s, "after the node that had failed was back", before.counts, names)
	share, limit := float64(n)/float64(len(all)), float64(n)*spreadAtBase/validate.BaseScale
	if float64(h.counts[joiner]) < share-limit {
		k.Violate("uneven", "%s: %s joined and got %d of the next %d picks, its share is %.0f ± %.0f",
			s, joiner, h.counts[joiner], n, share, limit)
	}
	before.release()
	h.release()
	if !k.pick(s, b, h, 0, n) {
		return 0, false
	}
	widest = k.even(s, "after a join", h.counts, all)
	h.release()
	if !k.must(b.Leave(joiner), s, "Leave") || !k.pick(s, b, h, 0, nodeCount*1000) {
		return 0, false
	}
	if h.counts[joiner] > 0 {
		k.Violate("dead", "%s: Pick gave %s after Leave had returned", s, joiner)
	}
	h.release()
	return widest, true
}

// tenfold has several goroutines pick, and holds ten times N.
func (k *kit) tenfold(s Strategy, b Balancer, names []string) (widest float64) {
	each := min(max(10*k.N, validate.BaseScale), mostPicks) / pickerCount
	all := &k.room
	var pickers sync.WaitGroup
	for g := range all {
		pickers.Go(func() {
			defer k.Recovered("picking")
			k.pick(s, b, &all[g], g*each, each)
		})
	}
	pickers.Wait()
	counts, n := make(map[string]int), 0
	for g := range all {
		for name, count := range all[g].counts {
			counts[name] += count
			n += count
		}
	}
	k.heldPeak = max(k.heldPeak, n)
	widest = k.even(s, "ten times N held", counts, names)
	for g := range all {
		all[g].release()
	}
	return widest
}

// concurrent has nodes come and go under picks, and measures how many picks
// there are a second while nothing changes.
func (k *kit) concurrent(ctx context.Context, t *testing.T) {
	slowest, took, strategy := math.Inf(1), time.Duration(0), DefaultStrategy
	n := min(max(10*k.N, validate.BaseScale), mostPicks)
	k.UnderLoad(func() {
		k.offered(ctx, t, func(s Strategy, b Balancer, names []string) {
			began := time.Now()
			if !k.race(s, b, n) {
				return
			}
			if d := time.Since(began); float64(n)/d.Seconds() < slowest {
				slowest, took, strategy = float64(n)/d.Seconds(), d, s
			}
			k.churn(ctx, s, b, names)
		})
	})
	if k.Failed() {
		return
	}
	k.Record(func(r *report.Scenario) { r.Operations += n })
	k.RecordBurst(func(b *report.Burst) {
		b.N, b.Seconds, b.Throughput, b.Little = n, took.Seconds(), slowest, report.Little(n, slowest)
	})
	turn := func(k *kit) func(n int) (float64, bool) {
		b := k.start(t, strategy, proc.NodeNames(nodeCount))
		return func(n int) (float64, bool) {
			began := time.Now()
			ok := k.race(strategy, b, n)
			return float64(n) / time.Since(began).Seconds(), ok
		}
	}
	control := &kit{Scenario: k.Scenario, open: openControl, plain: true}
	if c, ok := k.CompareRate(ctx, "throughput", n, slowest, turn(k), turn(control)); ok {
		k.Compared("throughput", c)
	}
}

// race makes n picks from several goroutines, each given back at once.
func (k *kit) race(s Strategy, b Balancer, n int) bool {
	var pickers sync.WaitGroup
	var failed atomic.Bool
	for g := range pickerCount {
		pickers.Go(func() {
			defer k.Recovered("picking")
			for i := g; i < n; i += pickerCount {
				p, err := b.Pick(uint64(i))
				if err != nil {
					if !failed.Swap(true) {
						k.must(err, s, "Pick")
					}
					return
				}
				p.Done()
			}
		})
	}
	pickers.Wait()
	return !failed.Load()
}

// churn takes a node down and up, and has another join and leave, while picks
// go on; afterwards the picks are as even as before.
func (k *kit) churn(ctx context.Context, s Strategy, b Balancer, names []string) {
	// A change waits for a few picks; where those have to wait for the processor
	// there are fewer changes.
	const rounds, fewRounds, between, enough = 50, 3, 200, time.Second
	const guest = "guest"
	// Odd while the victim is down, and the guest gone, for certain.
	var certain, picked atomic.Int64
	var stop atomic.Bool
	var pickers sync.WaitGroup
	for g := range pickerCount {
		pickers.Go(func() {
			defer stop.Store(true)
			defer k.Recovered("picking")
			for i := g; !stop.Load(); i += pickerCount {
				before := certain.Load()
				p, err := b.Pick(k.key(i))
				if !k.must(err, s, "Pick while nodes come and go") {
					return
				}
				name := p.Node()
				if (name == names[1] || name == guest) && before%2 == 1 && certain.Load() == before {
					k.Violate("dead", "%s: while nodes came and went Pick gave %s after it was gone", s, name)
					return
				}
				p.Done()
				if picked.Add(1)%64 == 0 {
					runtime.Gosched() // whoever makes the changes has a turn too
				}
			}
		})
	}
	change := func(err error, what string) {
		if !k.must(err, s, what+" under picks") {
			stop.Store(true)
		}
	}
	waitForPicks := func() {
		for target := picked.Load() + between; picked.Load() < target && !stop.Load() && ctx.Err() == nil; {
			runtime.Gosched()
		}
	}
	began := time.Now()
	for round := range rounds {
		if round >= fewRounds && time.Since(began) > enough {
			break
		}
		change(b.Down(names[1]), "Down")
		certain.Add(1)
		waitForPicks()
		certain.Add(1)
		change(b.Up(names[1]), "Up")
		change(b.Join(Node{guest, 1}), "Join")
		waitForPicks()
		change(b.Leave(guest), "Leave")
		if stop.Load() || ctx.Err() != nil {
			break
		}
	}
	stop.Store(true)
	pickers.Wait()
	if h := &k.room[0]; !k.Failed() && k.pick(s, b, h, 0, k.picks()) {
		k.even(s, "after nodes had come and gone under picks", h.counts, names)
		h.release()
	}
}

// cost: what a pick allocates, and what it takes.
func (k *kit) cost(ctx context.Context, t *testing.T) {
	const (
		tries, perTry      = 20, 5_000
		samples, perSample = 21, 20_000
	)
	most := 0.0
	run := func(s Strategy, b Balancer, n int) {
		for i := range n {
			p, err := b.Pick(uint64(i))
			if err != nil {
				k.must(err, s, "Pick")
				return
			}
			p.Done()
		}
	}
	k.offered(ctx, t, func(s Strategy, b Balancer, _ []string) {
		// The runtime counts for the whole process: the try in which the
		// least else was going on says most.
		least := math.Inf(1)
		var before, after runtime.MemStats
		for range tries {
			runtime.ReadMemStats(&before)
			run(s, b, perTry)
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.Mallocs-before.Mallocs)/perTry)
		}
		least = math.Floor(100*least) / 100
		if least > 0 {
			k.Violate("allocations", "%s: a pick makes %.2f allocations", s, least)
		}
		most = max(most, least)
		if s == DefaultStrategy {
			took := make([]float64, samples)
			for i := range took {
				began := time.Now()
				run(s, b, perSample)
				took[i] = float64(time.Since(began)) / perSample
			}
			slices.Sort(took)
			k.Timed("pick_reach", took[samples/2])
			k.Note("The median pick of the default strategy took %.1f ns.", took[samples/2])
		}
	})
	k.Measured("allocations", most)
}
