package routertest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// closing: Close returns when everything that was taken is delivered, and takes
// nothing that it does not deliver.
func (k *kit) closing(ctx context.Context, t *testing.T) {
	if k.closingHeld(ctx, t) {
		const rounds = 30
		for range rounds {
			if !k.closingBusy(ctx, t) {
				break
			}
		}
	}
}

// closingHeld has messages wait for handlers that are held.
func (k *kit) closingHeld(ctx context.Context, t *testing.T) bool {
	const names, waiting, late = 4, 400, 40
	r := k.start(t)
	e := r.Errors()
	l := measure.NewLedger(waiting+late, waiting+late, names)
	hold := make(chan struct{})
	table, ok := k.register(r, "closes", names, k.heldHandlers(l, hold, names))
	if !ok {
		close(hold)
		return false
	}
	for id := range uint64(waiting) {
		if !k.send(ctx, r, nil, l, id, int(id%names), table[id%names]) {
			break
		}
	}
	closed := make(chan struct{})
	wait.UntilParked(ctx, new(sync.WaitGroup), func() {
		defer close(closed)
		k.must(r.Close(), "Close")
	})
	select {
	case <-closed:
		k.Violate("close", "Close returned while %d messages had not been delivered", waiting)
	default:
	}
	ok = k.soon("close", "Send during Close", func() {
		for id := uint64(waiting); id < waiting+late; id++ {
			l.Send(id, int(id%names))
			if err := r.Send(table[id%names], message(id)); err != nil {
				l.Refused(id)
				if !errors.Is(err, e.Closed) {
					k.Violate("close", "Send during Close gave %v, must be %v", err, e.Closed)
				}
			}
		}
	})
	close(hold)
	if !ok || !k.soon("close", "Close of a router whose handlers have ended", func() { <-closed }) {
		return false
	}
	return k.closedClean("closing", l)
}

// heldHandlers are handlers that wait for hold to be closed.
func (k *kit) heldHandlers(l *measure.Ledger, hold chan struct{}, names int) func(int, Message) {
	alone := make([]solo, names)
	return func(i int, m Message) {
		defer k.enters(&alone[i])()
		<-hold
		l.Arrive(m.ID, i, m.intact())
	}
}

// closingBusy closes a router that messages are being sent to.
func (k *kit) closingBusy(ctx context.Context, t *testing.T) bool {
	const names, each, before = 64, 2000, 500
	r := k.start(t)
	e := r.Errors()
	l := measure.NewLedger(senders*each, each, names)
	var taken atomic.Int64
	table, ok := k.register(r, "closes", names, func(i int, m Message) { l.Arrive(m.ID, i, m.intact()) })
	if !ok {
		return false
	}
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			defer k.Recovered("closing")
			for i := range each {
				id := s*each + i
				to := id / inARow % names
				l.Send(uint64(id), to)
				err := r.Send(table[to], message(uint64(id)))
				if err == nil {
					taken.Add(1)
					continue
				}
				l.Refused(uint64(id))
				if errors.Is(err, e.Closed) {
					return
				}
				if !errors.Is(err, e.Full) {
					k.Violate("close", "Send during Close gave %v, must be %v", err, e.Closed)
					return
				}
				runtime.Gosched()
			}
		})
	}
	wait.Until(ctx, scenario.Settle, func() bool { return taken.Load() >= before })
	if !k.closeSoon(r) || !k.soon("close", "Send during Close", sending.Wait) {
		return false
	}
	return k.closedClean("closing", l)
}

// closedClean audits what a router did that has just been closed.
func (k *kit) closedClean(phase string, l *measure.Ledger) bool {
	a := l.Audit(true)
	if a.Lost > 0 {
		k.Violate("close", "Close has returned, and %d of %d messages that were taken had not been delivered",
			a.Lost, a.Sent-a.Refused)
	}
	k.Book(phase, a)
	return a.Clean() && !k.Failed()
}
