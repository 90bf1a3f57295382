package routertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

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
