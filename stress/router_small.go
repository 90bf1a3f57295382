package stress

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"tensile/stress/measure"
)

func (k *routerKit) errors(ctx context.Context, t *testing.T) {
	r := k.start(t)
	e := r.Errors()
	for name, err := range map[string]error{"Unknown": e.Unknown, "Taken": e.Taken, "Full": e.Full, "Closed": e.Closed} {
		if err == nil {
			k.violate("errors", "Errors has none for %s: the kit could not tell it from another", name)
		}
	}
	if k.failed() {
		k.shown("errors")
		k.aborted = true // each of the other phases needs them
		k.close(r)
		return
	}
	expect := func(what string, got, want error) {
		if !errors.Is(got, want) {
			k.violate("errors", "%s gave %v, accepted is %v", what, got, want)
		}
		for _, other := range []error{e.Unknown, e.Taken, e.Full, e.Closed} {
			if other != want && errors.Is(got, other) {
				k.violate("errors", "%s gave %v, which is %v as well: they are not distinct", what, got, other)
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
	expect("Register of a taken name", r.Register("a", func(Message) {}), e.Taken)
	var err error
	for i := 0; err == nil && i <= 2*mailbox; i++ {
		err = r.Send("a", message(uint64(i)))
	}
	expect("Send to a full mailbox", err, e.Full)
	close(hold)
	k.close(r)
	expect("Send after Close", r.Send("a", message(0)), e.Closed)
	expect("Register after Close", r.Register("b", func(Message) {}), e.Closed)
	k.shown("errors")
}

// order sends from several senders to one name.
func (k *routerKit) order(ctx context.Context, t *testing.T) {
	const each = 5000
	k.traffic(ctx, t, "order", 1, senders*each, nil)
}

// unregister takes a name out while messages are on the way to it.
func (k *routerKit) unregister(ctx context.Context, t *testing.T) {
	const n = 100
	r := k.start(t)
	l := measure.NewLedger(n, n, 1)
	hold := make(chan struct{})
	var arrived atomic.Int64
	if !k.must(r.Register("leaving", func(m Message) {
		<-hold
		l.Arrive(m.ID, 0, m.intact())
		arrived.Add(1)
	}), "Register") {
		return
	}
	for id := range uint64(n) {
		l.Send(id, 0)
		if err := r.Send("leaving", message(id)); err != nil {
			l.Refused(id)
		}
	}
	gone := make(chan error, 1)
	id := make(chan string, 1)
	go func() {
		id <- goroutineID()
		gone <- r.Unregister("leaving") // may wait for what is on the way
	}()
	parked(ctx, <-id)
	close(hold)
	k.must(<-gone, "Unregister")
	k.settle(ctx, &arrived, n, pauseBound)
	k.close(r)
	a := l.Audit(true)
	if a.Lost > 0 {
		k.violate("unregister", "%d of %d messages on the way at unregister were neither delivered nor refused", a.Lost, a.Sent)
	}
	k.book("unregister", a)
	k.shown("unregister")
}

// panicValue says in a crash what it is, should a router let it through.
const panicValue = "tensile: deliberate panic of a handler, which a router must isolate"

// panics has one handler panic and sends to all the others.
func (k *routerKit) panics(ctx context.Context, t *testing.T) {
	const names = 1000
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
			k.violate("panic", "beside another handler that panicked Send to %s returned %v", name, err)
		}
	}
	k.settle(ctx, &arrived, names, settleBound)
	a := l.Audit(true)
	if a.Lost > 0 {
		k.violate("panic", "after one handler had panicked %d of %d other names got nothing", a.Lost, names)
		k.aborted = true // Close would wait for what never comes
	} else {
		k.close(r)
	}
	k.book("panic", a)
	k.shown("panic")
}
