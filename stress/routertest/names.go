package routertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
)

// names: of several registrations of one name at the same time one succeeds, and
// it is that handler which is called; of several that unregister it, one does.
func (k *kit) names(ctx context.Context, t *testing.T) {
	const rounds = 100
	r := k.start(t)
	e := r.Errors()
	l := measure.NewLedger(rounds*senders, 1, rounds*senders) // a destination for each that tries
	var arrived atomic.Int64
	k.soon("errors", "Register, Send or Unregister", func() {
		for round := range rounds {
			name := fmt.Sprintf("wanted-%d", round)
			var won, gone atomic.Int32
			var winner atomic.Int64
			k.together(func(i int) {
				to := round*senders + i
				switch err := r.Register(name, func(m Message) { l.Arrive(m.ID, to, m.intact()); arrived.Add(1) }); {
				case err == nil:
					won.Add(1)
					winner.Store(int64(to))
				case !errors.Is(err, e.Taken):
					k.Violate("errors", "Register of a name that others register at the same time gave %v, must be %v", err, e.Taken)
				}
			})
			if won.Load() != 1 {
				k.Violate("errors", "%d of %d registrations of one name at the same time succeeded, must be 1", won.Load(), senders)
				return
			}
			to := int(winner.Load())
			l.Send(uint64(to), to)
			if err := r.Send(name, message(uint64(to))); !k.must(err, "Send to a name just registered") {
				return
			}
			k.settle(ctx, &arrived, round+1, scenario.Settle)
			k.together(func(int) {
				switch err := r.Unregister(name); {
				case err == nil:
					gone.Add(1)
				case !errors.Is(err, e.Unknown):
					k.Violate("errors", "Unregister of a name that others unregister at the same time gave %v, must be %v",
						err, e.Unknown)
				}
			})
			if gone.Load() != 1 {
				k.Violate("errors", "%d of %d that unregistered one name at the same time succeeded, must be 1",
					gone.Load(), senders)
				return
			}
		}
	})
	if k.Aborted || !k.closeSoon(r) {
		return
	}
	k.Book("names", l.Audit(true))
}

// grow: routers begin with nothing, again and again, and grow under those who
// register. A name must be there for who has registered it, at once and afterwards.
func (k *kit) grow(ctx context.Context, t *testing.T) {
	const rounds, names = 40, 512
	for range rounds {
		r := k.start(t)
		l := measure.NewLedger(2*names, 2*names, names)
		table := make([]string, names)
		send := func(id uint64, to int) bool {
			l.Send(id, to)
			err := r.Send(table[to], message(id))
			if err != nil {
				l.Refused(id)
				k.Violate("errors", "while others register names, Send to %s, which is registered, returned %v", table[to], err)
			}
			return err == nil
		}
		k.soon("errors", "Register or Send", func() {
			k.together(func(part int) {
				for to := part; to < names; to += senders {
					table[to] = fmt.Sprintf("grows-%d", to)
					if !k.must(r.Register(table[to], func(m Message) { l.Arrive(m.ID, to, m.intact()) }), "Register") ||
						!send(uint64(to), to) {
						return
					}
				}
			})
			for to := range names {
				if k.Failed() || !send(uint64(names+to), to) {
					return
				}
			}
		})
		if k.Aborted || !k.closeSoon(r) {
			return
		}
		k.Book("grow", l.Audit(false))
		if k.Failed() {
			break
		}
	}
}

// lives: names come and go, and come back with another handler. What was sent to
// one life of a name comes to the handler of that life.
func (k *kit) lives(ctx context.Context, t *testing.T) {
	const names, rounds, each = senders, 200, 8
	r := k.start(t)
	e := r.Errors()
	l := measure.NewLedger(names*rounds*each, each, names*rounds)
	k.soon("unregister", "Register, Send or Unregister", func() {
		k.together(func(i int) {
			name := fmt.Sprintf("reborn-%d", i)
			for round := range rounds {
				to := round*names + i
				if !k.must(r.Register(name, func(m Message) { l.Arrive(m.ID, to, m.intact()) }),
					"Register of a name that had been unregistered") {
					return
				}
				for id := uint64(to * each); id < uint64((to+1)*each); id++ {
					if !k.send(ctx, r, e.Full, l, id, to, name) {
						return
					}
				}
				if !k.must(r.Unregister(name), "Unregister") {
					return
				}
				if err := r.Send(name, message(0)); !errors.Is(err, e.Unknown) {
					k.Violate("errors", "Send to a name that was unregistered gave %v, must be %v", err, e.Unknown)
					return
				}
			}
		})
	})
	if k.Aborted || !k.closeSoon(r) {
		return
	}
	a := l.Audit(true)
	if a.Lost > 0 {
		k.Violate("unregister", "%d of %d messages in flight at unregister were neither delivered nor refused",
			a.Lost, a.Sent)
	}
	if a.Misrouted > 0 {
		k.Violate("unregister", "%d of %d messages came to a handler that their name had before, or got later",
			a.Misrouted, a.Sent)
	}
	k.Book("lives", a)
}
