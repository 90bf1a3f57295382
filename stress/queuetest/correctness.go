package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// fixture is one broker in a phase with a handful of messages.
type fixture struct {
	*kit
	ctx        context.Context
	b          Broker
	criterion  string // of what is tried
	visibility time.Duration
	held       []takenMessage
	slow       bool // a lease ended before the kit came to it: nothing is known
}

// takenMessage is a delivery, and the instant at which it was asked for: its
// lease began at that instant or later.
type takenMessage struct {
	Delivery
	id    uint64
	asked time.Time
}

// patiently has body try something with a time-out that is short; where this
// process does not come to its turn before that ends, with a longer one.
func (k *kit) patiently(ctx context.Context, t *testing.T, criterion string, cfg Config, body func(*fixture)) {
	for cfg.Visibility = shortVisibility; ctx.Err() == nil; cfg.Visibility *= 4 {
		d := &fixture{kit: k, ctx: ctx, criterion: criterion, visibility: cfg.Visibility, b: k.start(t, cfg)}
		body(d)
		k.close(d.b)
		if !d.slow || k.Failed() {
			return
		}
		k.Note("Time-outs of %v ended before this process was scheduled: %s was tried again with longer ones.",
			cfg.Visibility, criterion)
	}
}

// mostPatience is the time-out that no process is too slow for.
const mostPatience = 16 * shortVisibility

// wrong says that something is not as it must be, unless a lease that the kit
// relied on may have ended.
func (d *fixture) wrong(format string, args ...any) {
	for _, t := range d.held {
		if d.visibility < mostPatience && time.Since(t.asked) >= d.visibility {
			d.slow = true
			return
		}
	}
	d.Violate(d.criterion, format, args...)
}

// publish publishes messages in order.
func (d *fixture) publish(ids ...uint64) bool {
	for _, id := range ids {
		if !d.must(d.b.Publish(d.ctx, 0, payload.Body(id)), "Publish of message %d", id) {
			return false
		}
	}
	return true
}

// take receives and expects that message as that attempt. why says what else
// would be wrong.
func (d *fixture) take(
	receive func(context.Context, int) (Delivery, error), id uint64, attempt int, why string,
) (takenMessage, bool) {
	ctx, cancel := context.WithTimeout(d.ctx, d.visibility+scenario.Settle)
	defer cancel()
	asked := time.Now()
	got, err := receive(ctx, 0)
	if err != nil {
		d.wrong("%s: message %d did not come: %v", why, id, err)
		return takenMessage{}, false
	}
	switch m, intact := payload.ReadBody(got.Body()); {
	case !intact:
		d.wrong("%s: a corrupted message came instead of message %d", why, id)
	case m.ID != id:
		d.wrong("%s: message %d came instead of message %d", why, m.ID, id)
	case got.Attempt() != attempt:
		d.wrong("%s: message %d came as attempt %d and it is its attempt %d", why, id, got.Attempt(), attempt)
	default:
		t := takenMessage{got, id, asked}
		d.held = append(d.held, t)
		return t, true
	}
	return takenMessage{}, false
}

// takeAll is take for several messages in a row.
func (d *fixture) takeAll(attempt int, why string, ids ...uint64) ([]takenMessage, bool) {
	all := make([]takenMessage, len(ids))
	for i, id := range ids {
		var ok bool
		if all[i], ok = d.take(d.b.Receive, id, attempt, why); !ok {
			return nil, false
		}
	}
	return all, true
}

// letGo says that a lease may end now.
func (d *fixture) letGo(all ...takenMessage) {
	d.held = slices.DeleteFunc(d.held, func(t takenMessage) bool {
		return slices.ContainsFunc(all, func(u takenMessage) bool { return t.id == u.id && t.asked.Equal(u.asked) })
	})
}

// done ends the hold of a message by Ack or Nack, which returned err.
func (d *fixture) done(t takenMessage, what string, err error) bool {
	if err != nil && time.Since(t.asked) >= d.visibility {
		d.slow = true
		return false
	}
	d.letGo(t)
	return d.must(err, "%s of message %d", what, t.id)
}

func (d *fixture) ack(all ...takenMessage) bool {
	for _, t := range all {
		if !d.done(t, "Ack", t.Ack(d.ctx)) {
			return false
		}
	}
	return true
}

func (d *fixture) nack(t takenMessage) bool { return d.done(t, "Nack", t.Nack()) }

// over publishes a message and expects it: so nothing else was left.
func (d *fixture) over(id uint64, why string) bool {
	if !d.publish(id) {
		return false
	}
	t, ok := d.take(d.b.Receive, id, 1, why)
	return ok && d.ack(t)
}

// back expects that a message whose lease nobody ends comes back when its
// visibility time-out has ended and not before.
func (d *fixture) back(first takenMessage, attempt int) (takenMessage, bool) {
	t, ok := d.take(d.b.Receive, first.id, attempt, "the visibility time-out has ended")
	if after := time.Since(first.asked); ok && after < d.visibility {
		d.Violate(d.criterion, "message %d was delivered again after %v, its visibility time-out is %v",
			first.id, after, d.visibility)
	}
	return t, ok
}

// redelivery: what is refused, or not acknowledged in time, comes back with its
// attempt; what was acknowledged does not.
func (k *kit) redelivery(ctx context.Context, t *testing.T) {
	k.patiently(ctx, t, "redelivery", Config{Queues: 1}, func(d *fixture) {
		if !d.publish(1, 2, 3) {
			return
		}
		held, ok := d.takeAll(1, "the queue is fresh", 1, 2, 3)
		if !ok || !d.nack(held[1]) {
			return
		}
		again, ok := d.take(d.b.Receive, 2, 2, "it was refused")
		if !ok || !d.ack(again) {
			return
		}
		d.letGo(held...)
		first, ok := d.back(held[0], 2)
		if !ok {
			return
		}
		third, ok := d.back(held[2], 2)
		if !ok || !d.ack(first, third) || !d.publish(4) {
			return
		}
		last, ok := d.take(d.b.Receive, 4, 1, "all others were acknowledged")
		for attempt := 2; ok && attempt <= 6; attempt++ {
			if !d.nack(last) {
				return
			}
			last, ok = d.take(d.b.Receive, 4, attempt, "it was refused again and again")
		}
		if !ok || !d.ack(last) || !d.over(5, "all others were acknowledged") || !d.publish(6, 7) {
			return
		}
		for attempt := 1; attempt <= 2; attempt++ { // and it comes before those that were published later
			if last, ok = d.take(d.b.Receive, 6, attempt, "it was published first"); !ok || attempt == 1 && !d.nack(last) {
				return
			}
		}
		if behind, ok := d.take(d.b.Receive, 7, 1, "it was published last"); ok {
			d.ack(last, behind)
		}
	})
}

// deadLetter: what had all of its attempts goes to the dead-letter queue, and
// nothing else does.
func (k *kit) deadLetter(ctx context.Context, t *testing.T) {
	offered := true
	k.patiently(ctx, t, "dead_letter", Config{Queues: 1, MaxAttempts: deadLetterAttempts}, func(d *fixture) {
		var dead DeadLetter
		if dead, offered = d.b.(DeadLetter); offered {
			d.deadLetters(dead)
		}
	})
	if !offered {
		k.NotOffered("dead_letter", "the subject has no dead-letter queue")
		return
	}
}

func (d *fixture) deadLetters(dead DeadLetter) {
	if !d.publish(1, 2) {
		return
	}
	for attempt := 1; attempt <= deadLetterAttempts; attempt++ {
		refused, ok := d.take(d.b.Receive, 1, attempt, "it has attempts left")
		if !ok || !d.nack(refused) {
			return
		}
	}
	why := fmt.Sprintf("message 1 was refused %d times", deadLetterAttempts)
	second, ok := d.take(d.b.Receive, 2, 1, why)
	if !ok || !d.ack(second) || !d.publish(3) {
		return
	}
	letter, ok := d.takeDead(dead, 1, why)
	if !ok || !d.ack(letter) {
		return
	}
	for attempt := 1; attempt <= deadLetterAttempts; attempt++ {
		late, ok := d.take(d.b.Receive, 3, attempt, "it has attempts left")
		if !ok {
			return
		}
		d.letGo(late)
	}
	letter, ok = d.takeDead(dead, 3, fmt.Sprintf("message 3 was not acknowledged in %d attempts", deadLetterAttempts))
	if ok && d.ack(letter) {
		d.over(4, "all others were acknowledged or are dead letters")
	}
}

// takeDead is take from the dead-letter queue, where the count of the attempts
// is the subject's affair.
func (d *fixture) takeDead(dead DeadLetter, id uint64, why string) (takenMessage, bool) {
	return d.take(func(ctx context.Context, queue int) (Delivery, error) {
		got, err := dead.ReceiveDead(ctx, queue)
		if err != nil {
			return nil, fmt.Errorf("the dead-letter queue: %w", err)
		}
		return deadLetter{got}, nil
	}, id, 0, why)
}

type deadLetter struct{ Delivery }

func (deadLetter) Attempt() int { return 0 }

// bounded: at its bound a queue has publishers wait, or refuses.
func (k *kit) bounded(ctx context.Context, t *testing.T) {
	b := k.start(t, Config{Queues: 1, MaxLen: fullLength})
	bounded, offered := b.(Bounded)
	if !offered {
		k.close(b)
		k.NotOffered("bounded", "the subject does not bound its queues")
		return
	}
	k.blocking(ctx, b)
	k.close(b)
	b = k.start(t, Config{Queues: 1, MaxLen: fullLength, Reject: true})
	k.refusing(ctx, b, bounded.Full())
	k.close(b)
}

// publishing is a Publish that may wait.
type publishing struct {
	id   uint64
	done chan struct{}
	err  error
}

// attempt publishes on a goroutine of its own and returns once that waits, or
// has ended.
func (d *fixture) attempt(ctx context.Context, id uint64) *publishing {
	a := &publishing{id: id, done: make(chan struct{})}
	wait.UntilParked(d.ctx, new(sync.WaitGroup), func() {
		defer close(a.done)
		a.err = d.b.Publish(ctx, 0, payload.Body(id))
	})
	return a
}

// ends tells whether a Publish ends in time, and what came of it.
func (a *publishing) ends(patience time.Duration) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-a.done:
		return true
	case <-late.C:
		return false
	}
}

func (k *kit) blocking(ctx context.Context, b Broker) {
	d := &fixture{kit: k, ctx: ctx, b: b, criterion: "bounded", visibility: longVisibility}
	for id := range uint64(fullLength) {
		if a := d.attempt(ctx, id); !a.ends(scenario.Settle) || a.err != nil {
			k.Violate("bounded", "message %d waits or is refused (%v) in a queue that holds %d and is bounded to %d",
				id, a.err, id, fullLength)
			return
		}
	}
	giveUp, cancel := context.WithCancel(ctx)
	defer cancel()
	leaves, waits := d.attempt(giveUp, fullLength), d.attempt(ctx, fullLength+1)
	var early *publishing
	pause := time.NewTimer(wait.Pause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-leaves.done:
		early = leaves
	case <-waits.done:
		early = waits
	}
	if early != nil {
		k.Violate("bounded", "message %d did not wait in a queue that is full with %d: Publish returned %v",
			early.id, fullLength, early.err)
		return
	}
	cancel()
	if !leaves.ends(scenario.Settle) || leaves.err == nil {
		k.Violate("bounded", "a publisher whose context ended while it waited for room gave %v", leaves.err)
		return
	}
	first, ok := d.take(b.Receive, 0, 1, "the queue is fresh")
	if !ok || !d.ack(first) {
		return
	}
	if !waits.ends(scenario.Settle) || waits.err != nil {
		k.Violate("bounded", "a waiting publisher was not let in (%v) though a message was acknowledged", waits.err)
		return
	}
	for id := uint64(1); id <= fullLength+1; id++ {
		if id == leaves.id {
			continue
		}
		next, ok := d.take(b.Receive, id, 1, "the publisher of message 8 gave up")
		if !ok || !d.ack(next) {
			return
		}
	}
}

func (k *kit) refusing(ctx context.Context, b Broker, full error) {
	d := &fixture{kit: k, ctx: ctx, b: b, criterion: "bounded", visibility: longVisibility}
	var accepted atomic.Int64
	for range 2 {
		// Several at once: a bound that is looked at before it is kept lets
		// one too many in.
		wait.AllWithin(ctx, scenario.Settle, 4*fullLength, func(i int) {
			defer k.Recovered("bounded")
			err := b.Publish(ctx, 0, payload.Body(uint64(i)))
			if err == nil {
				accepted.Add(1)
			} else if !errors.Is(err, full) {
				k.Violate("bounded", "a full queue that is to refuse returned %v, must be %v", err, full)
			}
		})
		if n := accepted.Load(); n != fullLength {
			k.Violate("bounded", "a queue bounded to %d took %d messages", fullLength, n)
			return
		}
		receive, cancel := context.WithTimeout(ctx, scenario.Settle)
		got, err := b.Receive(receive, 0)
		cancel()
		if !k.must(err, "Receive from a full queue") || !k.must(got.Ack(d.ctx), "Ack") {
			return
		}
		accepted.Add(-1)
	}
}

// deadline: a consumer whose context ends gets an error and takes no message
// with it, also in the very instant in which one comes.
func (k *kit) deadline(ctx context.Context, t *testing.T) {
	const rounds = 40
	k.patiently(ctx, t, "deadline", Config{Queues: 1}, func(d *fixture) {
		for round := uint64(0); round < rounds && d.givesUp(round, round%2 == 0) && !k.Failed(); round++ {
		}
	})
}

// givesUp has a consumer give up before a message comes, or at that instant;
// whoever gets the message then acknowledges it.
func (d *fixture) givesUp(id uint64, before bool) bool {
	waiting, giveUp := context.WithCancel(d.ctx)
	defer giveUp()
	got := make(chan Delivery, 1)
	asked := time.Now()
	wait.UntilParked(d.ctx, new(sync.WaitGroup), func() {
		defer close(got)
		if delivery, err := d.b.Receive(waiting, 0); err == nil {
			got <- delivery
		}
	})
	if before {
		giveUp()
	} else {
		go giveUp()
	}
	if !d.publish(id) {
		return false
	}
	late := time.NewTimer(scenario.Settle)
	defer late.Stop()
	select {
	case delivery := <-got:
		if delivery != nil {
			return d.done(takenMessage{delivery, id, asked}, "Ack", delivery.Ack(d.ctx))
		}
	case <-late.C:
		d.Violate("deadline", "a consumer still waits %v after its context ended", scenario.Settle)
		return false
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.visibility+scenario.Settle)
	defer cancel()
	asked = time.Now()
	delivery, err := d.b.Receive(ctx, 0)
	if err != nil {
		d.Violate("deadline", "a consumer gave up while message %d came, and nobody gets the message: %v", id, err)
		return false
	}
	return d.done(takenMessage{delivery, id, asked}, "Ack", delivery.Ack(d.ctx))
}

// closing: Close turns those who wait away, and everybody who comes later.
func (k *kit) closing(ctx context.Context, t *testing.T) {
	b := k.start(t, Config{Queues: 2})
	if !k.must(b.Publish(ctx, 1, payload.Body(1)), "Publish") {
		return
	}
	const waiting = 4
	ended := make(chan error, waiting)
	for range waiting {
		wait.UntilParked(ctx, new(sync.WaitGroup), func() {
			_, err := b.Receive(ctx, 0)
			ended <- err
		})
	}
	closed := make(chan struct{})
	go func() {
		k.close(b)
		close(closed)
	}()
	late := time.NewTimer(scenario.Settle)
	defer late.Stop()
	for range waiting {
		select {
		case err := <-ended:
			if err == nil {
				k.Violate("close", "Close gave a message to a consumer that waited at an empty queue")
			}
		case <-late.C:
			k.Violate("close", "a consumer still waits %v after Close was called", scenario.Settle)
			return
		}
	}
	select {
	case <-closed:
	case <-late.C:
		k.Violate("close", "Close has not returned after %v", scenario.Settle)
		return
	}
	short, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	if err := b.Publish(short, 0, payload.Body(2)); err == nil {
		k.Violate("close", "Publish after Close returned nil")
	}
	if _, err := b.Receive(short, 1); err == nil {
		k.Violate("close", "Receive after Close returned a message")
	}
	if short.Err() != nil {
		k.Violate("close", "calls after Close did not return within %v", scenario.Settle)
	}
}

// contention: many publishers and consumers at few queues, and some messages
// are refused once.
func (k *kit) contention(ctx context.Context, t *testing.T) {
	const queues, refuseEvery = 4, 16
	each := min(max(k.N/mostWorkers, 250), 5000)
	n := each * mostWorkers
	b := k.start(t, Config{Queues: queues})
	book := k.newBook("contention", n, each, queues)
	k.Follow(n, wait.Counter(&book.acked), book.flight.Now)
	began := time.Now()
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	stall.Watch(book.steps)
	ended := wait.AllWithin(ctx, scenario.Settle, 3*mostWorkers, func(w int) {
		defer k.Recovered("contention")
		if w < mostWorkers {
			for i := range each {
				if id := uint64(w*each + i); !book.publish(ctx, b, id, i%queues, payload.Body(id)) {
					return
				}
			}
			return
		}
		for {
			d, id, _, ok := book.receive(ctx, b, w%queues)
			if !ok {
				return
			}
			if id%refuseEvery == 0 && d.Attempt() == 1 {
				ok = book.nack(ctx, d, id, w%queues)
			} else {
				ok = book.ack(ctx, d, id, w%queues)
			}
			if !ok {
				return
			}
			if int(book.acked.Load()) >= n {
				stall.End(errSettled)
			}
		}
	})
	stall.Stop()
	if !book.finished(ctx, began, ended) {
		return
	}
	k.nothingLeft(book, b, queues)
	k.close(b)
	k.Book("contention", book.ledger.Audit(false))
}

// nothingLeft ends the queues and expects nothing else in them.
func (k *kit) nothingLeft(book *messageBook, b Broker, queues int) {
	ctx, cancel := context.WithTimeout(context.Background(), scenario.Settle)
	defer cancel()
	var all sync.WaitGroup
	for q := range queues {
		all.Go(func() {
			defer k.Recovered("contention")
			for ok, ended := book.end(ctx, b, q), false; ok && !ended; {
				_, _, ended, ok = book.receive(ctx, b, q)
			}
		})
	}
	all.Wait()
}
