package routertest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// fair: a name to which messages come without end does not keep others from
// theirs.
func (k *kit) fair(ctx context.Context, t *testing.T) {
	const cold, busy, each, waiting = 8, 2, 1 << 16, 16
	r := k.start(t)
	full := r.Errors().Full
	l := measure.NewLedger(busy*each+cold, each, 1+cold)
	var sent, hot, others atomic.Int64
	var stop atomic.Bool
	table, ok := k.register(r, "cold", cold, func(i int, m Message) { l.Arrive(m.ID, 1+i, m.intact()); others.Add(1) })
	if !ok || !k.must(r.Register("hot", func(m Message) {
		for sent.Load()-hot.Load() < waiting && !stop.Load() {
			runtime.Gosched() // its mailbox never runs empty
		}
		l.Arrive(m.ID, 0, m.intact())
		hot.Add(1)
	}), "Register") {
		return
	}
	var sending sync.WaitGroup
	for s := range busy {
		sending.Go(func() {
			defer k.Recovered("fair")
			for id := uint64(s * each); id < uint64((s+1)*each) && !stop.Load(); id++ {
				if !k.send(ctx, r, full, l, id, 0, "hot") {
					return
				}
				sent.Add(1)
			}
		})
	}
	wait.Until(ctx, scenario.Settle, func() bool { return hot.Load() > mailbox })
	for i, name := range table {
		id := uint64(busy*each + i)
		l.Send(id, 1+i)
		if err := r.Send(name, message(id)); err != nil {
			l.Refused(id)
			k.Violate("fair", "while one name has very many messages, Send to another one gave %v", err)
		}
	}
	if !wait.Until(ctx, scenario.Settle, func() bool { return others.Load() >= cold }) {
		k.Violate("fair", "%d of %d names got nothing for %v while messages to another name kept coming",
			cold-others.Load(), cold, scenario.Settle)
	}
	stop.Store(true)
	sending.Wait()
	if k.closeSoon(r) {
		k.Book("fair", l.Audit(true))
	}
}

// relay: handlers send to other names, and to their own, and register names and
// unregister them.
func (k *kit) relay(ctx context.Context, t *testing.T) {
	const names, tokens, hops = 16, 8, 200
	const n = tokens * hops
	r := k.start(t)
	full := r.Errors().Full
	l := measure.NewLedger(n, n, names)
	var arrived atomic.Int64
	var table []string
	ready := make(chan struct{})
	// A token goes to each name twice: a handler sends to its own name too.
	at := func(id uint64) int { return int(id) / tokens / 2 % names }
	forward := func(i int, m Message) {
		<-ready
		l.Arrive(m.ID, i, m.intact())
		if next := m.ID + tokens; next < n && !k.send(ctx, r, full, l, next, at(next), table[at(next)]) {
			return
		}
		if m.ID%tokens == 0 {
			guest := fmt.Sprintf("guest-%d", m.ID)
			if k.must(r.Register(guest, func(Message) {}), "Register by a handler") {
				k.must(r.Unregister(guest), "Unregister by a handler")
			}
		}
		arrived.Add(1)
	}
	table, ok := k.register(r, "relay", names, forward)
	close(ready)
	if !ok {
		return
	}
	sent := k.soon("handlers", "Send to a name whose handler sends", func() {
		for id := range uint64(tokens) {
			k.send(ctx, r, full, l, id, at(id), table[at(id)])
		}
	})
	if !sent {
		return
	}
	k.settle(ctx, &arrived, n, scenario.Settle)
	if got := arrived.Load(); got < n && !k.Failed() {
		k.Aborted = true // Close would wait for what never comes
		k.Violate("handlers", "handlers that send, register and unregister came to a stop: %d of %d messages were handled",
			got, n)
	} else if k.closeSoon(r) {
		k.Book("relay", l.Audit(false))
	}
}
