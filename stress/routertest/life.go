package routertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// soon runs what a router does in an instant. Where it does not return that is
// named, and nothing else is tried.
func (k *kit) soon(criterion, what string, f func()) bool {
	return k.returns(scenario.Settle, criterion, what, f)
}

func (k *kit) returns(within time.Duration, criterion, what string, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer k.Recovered(what)
		f()
	}()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-done:
		return !k.Aborted
	case <-late.C:
	}
	k.Aborted = true
	k.Violate(criterion, "%s has not returned after %v", what, within)
	return false
}

// solo counts what is inside the handler of one name, where no more than one
// may be.
type solo struct{ inside atomic.Int32 }

func (k *kit) enters(s *solo) (leave func()) {
	if s.inside.Add(1) > 1 {
		k.Violate("order", "a handler was called while it was at work on another message")
	}
	return func() { s.inside.Add(-1) }
}

// together has several goroutines do the same at the same time.
func (k *kit) together(f func(i int)) {
	wait.All(senders, func(i int) {
		defer k.Recovered("calls at the same time")
		f(i)
	})
}

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

// full: a name whose handler is held fills up, again and again, and each time
// holds as many; what it refuses never comes, and no other name is full with it.
func (k *kit) full(ctx context.Context, t *testing.T) {
	const rounds, refusals = 3, 100
	r := k.start(t)
	e := r.Errors()
	const most = 2*mailbox + 1
	const each = most + refusals + 1
	l := measure.NewLedger(rounds*each, rounds*each, 2)
	var gate sync.RWMutex
	var arrived, entered atomic.Int64
	taken := 0
	handler := func(to int) func(Message) {
		s := new(solo)
		return func(m Message) {
			defer k.enters(s)()
			if to == 0 {
				entered.Add(1)
				gate.RLock() // held as long as the gate is closed
				defer gate.RUnlock()
			}
			l.Arrive(m.ID, to, m.intact())
			arrived.Add(1)
		}
	}
	if !k.must(r.Register("fills", handler(0)), "Register") || !k.must(r.Register("beside", handler(1)), "Register") {
		return
	}
	send := func(id uint64, to int, name string) error {
		l.Send(id, to)
		err := r.Send(name, message(id))
		if err != nil {
			l.Refused(id)
		} else {
			taken++
		}
		return err
	}
	round := func(first uint64) {
		gate.Lock()
		defer gate.Unlock()
		before := entered.Load()
		id, err := first, error(nil)
		for held := 0; id-first < most; held++ {
			l.Send(id, 0)
			// The room of what was handled may be there a little later.
			if !wait.Until(ctx, scenario.Settle/2, func() bool {
				err = r.Send("fills", message(id))
				return err == nil || held >= heldPerName
			}) {
				l.Refused(id)
				k.Aborted = true
				k.Violate("full", "a mailbox of %d accepts %d messages and then returns %v: it has lost room", mailbox, held, err)
				return
			}
			id++
			if err != nil {
				l.Refused(id - 1)
				break
			}
			if taken++; held == 0 { // the handler has it, and is held
				wait.Until(ctx, scenario.Settle/2, func() bool { return entered.Load() > before })
			}
		}
		for range refusals {
			if !errors.Is(err, e.Full) {
				k.Violate("errors", "Send to a full mailbox gave %v, must be %v", err, e.Full)
				return
			}
			err = send(id, 0, "fills")
			id++
		}
		if err := send(id, 1, "beside"); err != nil {
			k.Violate("full", "while the mailbox of one name was full, Send to another name gave %v", err)
		}
	}
	for i := range rounds {
		if !k.soon("full", "Send to a full mailbox", func() { round(uint64(i * each)) }) {
			return
		}
		k.settle(ctx, &arrived, taken, scenario.Settle)
		if int(arrived.Load()) < taken {
			break
		}
	}
	if int(arrived.Load()) < taken {
		k.Violate("full", "of %d messages to a mailbox that had been full, %d came", taken, arrived.Load())
		k.Aborted = true // Close would wait for what never comes
	} else if !k.closeSoon(r) {
		return
	}
	k.Book("full", l.Audit(true))
}

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

// kept: what is over is forgotten, and what was idle wakes up.
func (k *kit) kept(ctx context.Context, t *testing.T) {
	k.wakes(ctx, t)
	k.Unrecorded(func() { k.forgets(ctx, t) })
}

// wakes sends to names that have been idle.
func (k *kit) wakes(ctx context.Context, t *testing.T) {
	const most, rounds = 1000, 2
	names := min(k.N, most)
	r := k.start(t)
	l := measure.NewLedger(rounds*names, rounds*names, names)
	var arrived atomic.Int64
	table, ok := k.register(r, "sleeper", names, func(i int, m Message) { l.Arrive(m.ID, i, m.intact()); arrived.Add(1) })
	if !ok {
		return
	}
	for round := range rounds {
		if round > 0 {
			time.Sleep(wait.Pause) // nothing is waited for: this is the idleness
		}
		for i, name := range table {
			if !k.send(ctx, r, nil, l, uint64(round*names+i), i, name) {
				return
			}
		}
		k.settle(ctx, &arrived, (round+1)*names, scenario.Settle)
	}
	if !k.closeSoon(r) {
		return
	}
	k.Book("after idling", l.Audit(true))
}

// How much of what is over may be left in memory: names and messages leave more
// where they are kept.
const (
	keptPerName    = 48 // bytes
	keptPerMessage = 8
)

// forgets has very many names come and go, in every way that ends one, and sends very many
// messages, to one name and to nobody.
func (k *kit) forgets(ctx context.Context, t *testing.T) {
	const names, messages = 3000, 50_000
	r := k.start(t)
	const all = (1 + scenario.KeptRounds) * messages
	errs := r.Errors()
	l := measure.NewLedger(all, all, 1)
	var arrived atomic.Int64
	if !k.must(r.Register("stays", func(m Message) { l.Arrive(m.ID, 0, m.intact()); arrived.Add(1) }), "Register") {
		return
	}
	passing := func(what string, handle func(Message), use func(name string) bool) scenario.Work {
		return scenario.Each("name that "+what, names, keptPerName, func(round, i int) bool {
			name := fmt.Sprintf("%s-%d-%d", what, round, i)
			return k.must(r.Register(name, handle), "Register") && use(name) && k.must(r.Unregister(name), "Unregister")
		})
	}
	// The handler may still be at work when the name goes: what it is given then is part of it.
	sent := func(name string) bool { return k.must(r.Send(name, message(0)), "Send") }
	ok := k.Forgets(ctx,
		passing("was registered and unregistered", func(Message) {}, func(string) bool { return true }),
		passing("got a message and was unregistered", func(Message) {}, sent),
		passing("was refused to a second and unregistered", func(Message) {}, func(name string) bool {
			err := r.Register(name, func(Message) {})
			return k.must(unless(errors.Is(err, errs.Taken), err), "Register of a name in use")
		}),
		scenario.Each("message that nobody was to get", messages, keptPerMessage, func(round, i int) bool {
			err := r.Send(fmt.Sprintf("nobody-%d-%d", round, i), message(0))
			return k.must(unless(errors.Is(err, errs.Unknown), err), "Send to a name that was never there")
		}),
		scenario.Work{What: "message that was handled", Times: messages, Limit: keptPerMessage,
			Once: func(round int) bool {
				for i := range messages {
					if !k.send(ctx, r, errs.Full, l, uint64(round*messages+i), 0, "stays") {
						return false
					}
				}
				k.settle(ctx, &arrived, (round+1)*messages, scenario.Settle)
				return true
			}},
	)
	if k.closeSoon(r) && ok {
		k.Book("kept", l.Audit(true))
	}
}

// unless is nil if what was wanted is so; otherwise it is err, or says that there was none.
func unless(so bool, err error) error {
	switch {
	case so:
		return nil
	case err == nil:
		return errors.New("no error")
	}
	return err
}
