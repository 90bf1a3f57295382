package routertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

func (k *kit) errors(ctx context.Context, t *testing.T) {
	r := k.start(t)
	e := r.Errors()
	for name, err := range map[string]error{"Unknown": e.Unknown, "Taken": e.Taken, "Full": e.Full, "Closed": e.Closed} {
		if err == nil {
			k.Violate("errors", "Errors has none for %s: the kit could not tell it from another", name)
		}
	}
	if k.Violated("errors") > 0 {
		k.Aborted = true // each of the other phases needs them
		k.close(r)
		return
	}
	expect := func(what string, got, want error) {
		if !errors.Is(got, want) {
			k.Violate("errors", "%s gave %v, must be %v", what, got, want)
		}
		for _, other := range []error{e.Unknown, e.Taken, e.Full, e.Closed} {
			if other != want && errors.Is(got, other) {
				k.Violate("errors", "%s gave %v, which is %v as well: they are not distinct", what, got, other)
			}
		}
	}
	entered, hold := make(chan struct{}, 1), make(chan struct{})
	expect("Send to an unknown name", r.Send("nobody", message(0)), e.Unknown)
	expect("Unregister of an unknown name", r.Unregister("nobody"), e.Unknown)
	if !k.must(r.Register("a", func(Message) {
		select {
		case entered <- struct{}{}:
		default:
		}
		<-hold
	}), "Register") {
		return
	}
	expect("Register of a taken name", r.Register("a", func(Message) {
		k.Violate("errors", "a handler was called whose name was taken when it was registered")
	}), e.Taken)
	var err error
	ok := k.soon("errors", "Send to a name whose handler is held", func() {
		for i := 0; err == nil && i <= 2*mailbox; i++ {
			err = r.Send("a", message(uint64(i)))
		}
	})
	close(hold)
	if !ok {
		return
	}
	expect("Send to a full mailbox", err, e.Full)
	if !k.closeSoon(r) {
		return
	}
	expect("Send after Close", r.Send("a", message(0)), e.Closed)
	expect("Register after Close", r.Register("b", func(Message) {}), e.Closed)
}

// order sends from several senders to one name.
func (k *kit) order(ctx context.Context, t *testing.T) {
	const each = 5000
	k.traffic(ctx, t, "order", 1, senders*each, nil)
}

// unregister takes a name out while messages are in flight to it.
func (k *kit) unregister(ctx context.Context, t *testing.T) {
	const n = 100
	r := k.start(t)
	l := measure.NewLedger(2*n, n, 2)
	hold := make(chan struct{})
	var arrived atomic.Int64
	handler := func(to int) func(Message) {
		s := new(solo)
		return func(m Message) {
			defer k.enters(s)()
			<-hold
			l.Arrive(m.ID, to, m.intact())
			arrived.Add(1)
		}
	}
	send := func(to int) {
		for id := uint64(to * n); id < uint64((to+1)*n); id++ {
			l.Send(id, to)
			if err := r.Send("leaving", message(id)); err != nil {
				l.Refused(id)
			}
		}
	}
	if !k.must(r.Register("leaving", handler(0)), "Register") {
		return
	}
	send(0)
	gone := make(chan error, 1)
	wait.UntilParked(ctx, new(sync.WaitGroup), func() {
		gone <- r.Unregister("leaving") // may wait for what is in flight
	})
	expected := n
	if len(gone) > 0 { // the name may come back while messages to its first life wait
		ok := k.soon("unregister", "Register or Send after Unregister", func() {
			if k.must(r.Register("leaving", handler(1)), "Register of a name that was unregistered") {
				send(1)
				expected += n
			}
		})
		if !ok {
			close(hold)
			return
		}
	}
	close(hold)
	if !k.soon("unregister", "Unregister", func() { k.must(<-gone, "Unregister") }) {
		return
	}
	k.settle(ctx, &arrived, expected, wait.Pause)
	if !k.closeSoon(r) {
		return
	}
	a := l.Audit(true)
	if a.Misrouted > 0 {
		k.Violate("unregister", "%d of %d messages came to a handler that their name had before, or got later",
			a.Misrouted, a.Sent)
	}
	if a.Lost > 0 {
		k.Violate("unregister", "%d of %d messages in flight at unregister were neither delivered nor refused",
			a.Lost, a.Sent)
	}
	k.Book("unregister", a)
}

// panicValue says in a crash what it is, should a router let it through.
const panicValue = "tensile: deliberate panic of a handler, which a router must isolate"

// panics has some handlers panic, one of them while messages wait, and sends to
// all the others.
func (k *kit) panics(ctx context.Context, t *testing.T) {
	const names, earlier = 1000, 64
	r := k.start(t)
	l := measure.NewLedger(names, names, names)
	var arrived atomic.Int64
	table, ok := k.register(r, "bystander", names, func(i int, m Message) {
		l.Arrive(m.ID, i, m.intact())
		arrived.Add(1)
	})
	if !ok {
		return
	}
	var panicked atomic.Int64
	for i := range earlier {
		name := fmt.Sprintf("panicked-%d", i)
		if !k.must(r.Register(name, func(Message) {
			panicked.Add(1)
			panic(panicValue)
		}), "Register") || !k.must(r.Send(name, message(0)), "Send") {
			return
		}
	}
	k.settle(ctx, &panicked, earlier, scenario.Settle)
	if got := panicked.Load(); got < earlier {
		k.Aborted = true // Close would wait for what never comes
		k.Violate("panic", "after %d handlers had panicked %d of %d other names got nothing", got, earlier-got, earlier)
		return
	}
	entered, hold := make(chan struct{}), make(chan struct{})
	if !k.must(r.Register("panics", func(Message) {
		close(entered)
		<-hold
		panic(panicValue)
	}), "Register") || !k.must(r.Send("panics", message(0)), "Send") {
		return
	}
	select {
	case <-entered:
	case <-ctx.Done():
	}
	// Half of the messages wait while the handler panics, and half come after.
	for i, name := range table {
		if i == names/2 {
			close(hold)
		}
		l.Send(uint64(i), i)
		if err := r.Send(name, message(uint64(i))); err != nil {
			l.Refused(uint64(i))
			k.Violate("panic", "while another handler panicked, Send to %s returned %v", name, err)
		}
	}
	k.settle(ctx, &arrived, names, scenario.Settle)
	a := l.Audit(true)
	if a.Lost > 0 {
		k.Violate("panic", "after one handler had panicked, %d of %d other names got nothing", a.Lost, names)
		k.Aborted = true // Close would wait for what never comes
	} else {
		k.closeSoon(r)
	}
	k.Book("panic", a)
}
