package conntest

import (
	"context"
	"sync"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// The shape of a churn: in each of its rounds so many connections come and go.
const (
	churnRounds = 3
	churnMemory = 5000
	churnTCP    = 2000
)

// churn has connections come and go while the others are held, in rounds. What a
// server keeps of those that are gone it keeps in each round. The first shows
// nothing, as what a server keeps for the next connection it makes then.
func (k *kit) churn(ctx context.Context, _ *testing.T) {
	var kinds sync.WaitGroup
	for _, d := range k.kinds {
		kinds.Go(func() {
			defer k.Recovered("churn")
			levels, ok := k.rounds(ctx, d)
			if !ok || d.climbing(levels) == (grown{}) {
				return
			}
			// Once more: and now with the places at which memory is taken.
			if !k.all(ctx, d.servers(), only(doCensus)) {
				return
			}
			if levels, ok = k.rounds(ctx, d); !ok || !k.all(ctx, d.servers(), only(doCensus)) {
				return
			}
			for f, again := range d.climbing(levels) {
				if rule := rules[f]; again {
					k.Violate(rule.criterion, "%s: "+rule.rises+" with each connection that has come and gone, and did so in all of "+
						"%d rounds of %d; most at %s",
						d.name, validate.Number(rise(levels, rule.level)), 2*churnRounds, d.churned(), d.place(rule.place))
				}
			}
		})
	}
	kinds.Wait()
}

// churned is how many connections of a kind come and go in a round.
func (d *kind) churned() int {
	if d.Network == networkTCP {
		return churnTCP
	}
	return churnMemory
}

// rounds are the levels after each round: what is counted as requests there are
// connections.
func (k *kit) rounds(ctx context.Context, d *kind) (levels []report.Level, ok bool) {
	server, callers := d.addresses(), d.callers()
	for round := range churnRounds {
		if !k.all(ctx, callers, func(h *host) hostRequest {
			return hostRequest{Do: doChurn, Server: server[h], N: max(d.churned()/len(callers), 1)}
		}) {
			return nil, false
		}
		before := 0.0
		if round > 0 {
			before = levels[round-1].Goroutines
		}
		w, ok := k.ended(ctx, d, before)
		if !ok || !k.sound(d, "churn") {
			return nil, false
		}
		level := w.level(0, len(w.at))
		level.Requests = (round + 1) * d.churned()
		levels = append(levels, level)
	}
	return levels, true
}

// ended reads what the servers hold until there are no more goroutines than
// before, or for as long as the ends of connections may take to be seen.
func (k *kit) ended(ctx context.Context, d *kind, before float64) (w *watched, ok bool) {
	w = new(watched)
	wait.Until(ctx, scenario.Settle, func() bool {
		ok = k.all(ctx, d.servers(), only(doRead))
		w.add(0, d)
		now := w.values[heldGoroutines]
		last := len(now) - 1
		return !ok || now[last] <= before+rules[heldGoroutines].own || before == 0 && last > 0 && now[last] == now[last-1]
	})
	return w, ok && ctx.Err() == nil
}
