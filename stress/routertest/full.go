package routertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// What is tried on a mailbox: it is filled so often, and then refuses so many.
const (
	fillRounds   = 3
	fillRefusals = 100
	fillMost     = 2*mailbox + 1
	fillEach     = fillMost + fillRefusals + 1 // messages of a round
)

// full: a name whose handler is held fills up, again and again, and each time
// holds as many; what it refuses never comes, and no other name is full with it.
func (k *kit) full(ctx context.Context, t *testing.T) {
	f := &filling{kit: k, r: k.start(t), l: measure.NewLedger(fillRounds*fillEach, fillRounds*fillEach, 2)}
	if !k.must(f.r.Register("fills", f.handler(0)), "Register") ||
		!k.must(f.r.Register("beside", f.handler(1)), "Register") {
		return
	}
	for i := range fillRounds {
		if !k.soon("full", "Send to a full mailbox", func() { f.round(ctx, uint64(i*fillEach)) }) {
			return
		}
		k.settle(ctx, &f.arrived, f.taken, scenario.Settle)
		if int(f.arrived.Load()) < f.taken {
			break
		}
	}
	if int(f.arrived.Load()) < f.taken {
		k.Violate("full", "of %d messages to a mailbox that had been full, %d came", f.taken, f.arrived.Load())
		k.Aborted = true // Close would wait for what never comes
	} else if !k.closeSoon(f.r) {
		return
	}
	k.Book("full", f.l.Audit(true))
}

// filling is a router with two names: "fills", whose handler is held while the gate is closed, and
// "beside".
type filling struct {
	*kit
	r                Router
	l                *measure.Ledger
	gate             sync.RWMutex
	arrived, entered atomic.Int64
	taken            int
}

func (f *filling) handler(to int) func(Message) {
	s := new(solo)
	return func(m Message) {
		defer f.enters(s)()
		if to == 0 {
			f.entered.Add(1)
			f.gate.RLock()
			defer f.gate.RUnlock()
		}
		f.l.Arrive(m.ID, to, m.intact())
		f.arrived.Add(1)
	}
}

func (f *filling) send(id uint64, to int, name string) error {
	f.l.Send(id, to)
	err := f.r.Send(name, message(id))
	if err != nil {
		f.l.Refused(id)
	} else {
		f.taken++
	}
	return err
}

// round fills the mailbox, has it refuse more, and sends to the other name.
func (f *filling) round(ctx context.Context, first uint64) {
	f.gate.Lock()
	defer f.gate.Unlock()
	id, ok, err := f.fill(ctx, first)
	if !ok {
		return
	}
	full := f.r.Errors().Full
	for range fillRefusals {
		if !errors.Is(err, full) {
			f.Violate("errors", "Send to a full mailbox gave %v, must be %v", err, full)
			return
		}
		err = f.send(id, 0, "fills")
		id++
	}
	if err := f.send(id, 1, "beside"); err != nil {
		f.Violate("full", "while the mailbox of one name was full, Send to another name gave %v", err)
	}
}

// fill sends until the mailbox is full. It returns the number of the next message, and the error that
// the last one got.
func (f *filling) fill(ctx context.Context, first uint64) (id uint64, ok bool, err error) {
	before := f.entered.Load()
	id = first
	for held := 0; id-first < fillMost; held++ {
		f.l.Send(id, 0)
		// The room of what was handled may be there a little later.
		if !wait.Until(ctx, scenario.Settle/2, func() bool {
			err = f.r.Send("fills", message(id))
			return err == nil || held >= heldPerName
		}) {
			f.l.Refused(id)
			f.Aborted = true
			f.Violate("full", "a mailbox of %d accepts %d messages and then returns %v: it has lost room", mailbox, held, err)
			return id, false, err
		}
		id++
		if err != nil {
			f.l.Refused(id - 1)
			break
		}
		if f.taken++; held == 0 { // the handler has it, and is held
			wait.Until(ctx, scenario.Settle/2, func() bool { return f.entered.Load() > before })
		}
	}
	return id, true, err
}
