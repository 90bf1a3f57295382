package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

// optionLives are the lives of a durable broker with every option on.
type optionLives struct {
	*brokerLives
	abilities optionAbilities
	queues    []*optionQueue
	quick     bool // its disk can not be made slow
}

const (
	optionPatience = 20 * time.Millisecond // of a Receive at a queue that may be empty, at first
	optionDelay    = optionVisibility      // of what is refused with one, at most
	ackOfSome      = 0.4                   // the part of the messages that is acknowledged while they are alive
	ackOfDead      = 0.8
	trimPatience   = time.Second // for a log that removes files
	trimMost       = 3           // of them
	slowSync       = 5 * time.Millisecond
)

func (k *kit) newOptionLives(cfg Config, a optionAbilities) *optionLives {
	l := &optionLives{brokerLives: k.newLives("option kills", cfg.Dir, 0, "durable_lost"), abilities: a}
	l.cfg = cfg
	for i := range cfg.Queues {
		l.queues = append(l.queues, k.newOptionQueue(cfg, i))
	}
	return l
}

// publish publishes some messages to a queue, in one call or in several, and says
// how many were confirmed and whether the queue was full.
func (l *optionLives) publish(ctx context.Context, q *optionQueue) (confirmed int, full bool, err error) {
	ids := q.send(q.upTo(workMost))
	r := brokerRequest{Op: askPublish, Queue: q.index, IDs: ids, Pad: q.upTo(optionPad), Batch: q.coin()}
	out, err := l.request(ctx, r)
	if err != nil {
		return 0, false, err
	}
	q.confirm(ids[:out.Done])
	if out.Why != "" {
		return out.Done, false, fmt.Errorf("%w: Publish returned %s", errBroker, out.Why)
	}
	return out.Done, out.Full, nil
}

// received are deliveries of a queue or its dead-letter queue, and the instant at
// which they were asked for.
type received struct {
	from  *optionQueue
	dead  bool
	asked time.Time
	all   []wireMessage
}

// receive receives messages of a queue or its dead-letter queue, as far as r says.
// That none came is no error.
func (l *optionLives) receive(ctx context.Context, q *optionQueue, dead bool, r brokerRequest) (received, error) {
	got := received{from: q, dead: dead, asked: time.Now()}
	r.Op, r.Queue, r.Dead, r.Batch = askReceive, q.index, dead, r.Batch && !dead
	if r.Patience > optionPatience && !r.Batch {
		r.Count = 1 // the first is not kept waiting for others
	}
	out, err := l.request(ctx, r)
	if err != nil {
		return got, err
	}
	for _, w := range out.Messages {
		q.arrive(w, dead, got.asked)
	}
	got.all = out.Messages
	return got, nil
}

// settle has deliveries meet their fates.
func (l *optionLives) settle(ctx context.Context, got received, acked float64) error {
	q := got.from
	dealt := q.draw(got.all, acked)
	delay := time.Duration(q.upTo(int(optionDelay)))
	err := errors.Join(
		l.end(ctx, got, dealt[fateAck], brokerRequest{Op: askAck, Batch: !got.dead && q.coin()}),
		l.end(ctx, got, dealt[fateNack], brokerRequest{Op: askNack}),
		l.end(ctx, got, dealt[fateDelay], brokerRequest{Op: askNack, Delay: delay}))
	select {
	case q.room <- struct{}{}:
	default:
	}
	return err
}

// end acknowledges or refuses some of what was received.
func (l *optionLives) end(ctx context.Context, got received, some []wireMessage, r brokerRequest) error {
	if len(some) == 0 {
		return nil
	}
	q, ack, began := got.from, r.Op == askAck, time.Now()
	r.Queue, r.Handles = q.index, q.end(some, ack)
	out, err := l.request(ctx, r)
	switch {
	case err != nil:
		return err
	case out.Done < len(some) && time.Since(got.asked) >= optionVisibility:
		return nil // leases may have ended: the kit is to blame
	case out.Done < len(some):
		return fmt.Errorf("%w: %s of a message that is held returned %s", errBroker, r.Op, out.Why)
	case ack:
		q.acked(some)
	case out.Delayed && !got.dead:
		q.delayed(some, began.Add(r.Delay))
	}
	return nil
}

// places are where messages come from: false for the queues, true for their
// dead-letter queues.
func (l *optionLives) places() []bool {
	if l.abilities.dead {
		return []bool{false, true}
	}
	return []bool{false}
}

// check goes on until everything has come that must be in a queue or its
// dead-letter queue, and acknowledges a part. It is more patient after each round that
// got nothing: on a busy machine what was taken may not have come before.
func (l *optionLives) check(ctx context.Context, q *optionQueue, part float64) error {
	missing := q.missing()
	for patience, since := optionPatience, time.Now(); len(missing) > 0; missing = q.missing() {
		came := 0
		for _, dead := range l.places() {
			r := brokerRequest{Batch: true, Count: min(len(missing), checkMost), Patience: patience}
			got, err := l.receive(ctx, q, dead, r)
			if err == nil {
				err = l.end(ctx, got, q.draw(got.all, part)[fateAck], brokerRequest{Op: askAck})
			}
			if err != nil {
				return err
			}
			came += len(got.all)
		}
		switch now := len(q.missing()); {
		case now < len(missing):
			patience, since = optionPatience, time.Now()
		case came > 0: // what came before, and was not acknowledged
		case patience < scenario.Settle:
			patience = min(4*patience, scenario.Settle)
		case time.Since(since) > optionVisibility+scenario.Stall:
			q.lost(missing)
			return nil
		}
	}
	return nil
}

func (l *optionLives) checkAll(ctx context.Context, part float64) error {
	errs := make([]error, len(l.queues))
	if !wait.AllWithin(ctx, scenario.Settle, len(l.queues), func(i int) { errs[i] = l.check(ctx, l.queues[i], part) }) {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// optionWork is what goes on in one life.
type optionWork struct {
	*optionLives
	ctx       context.Context
	cancel    context.CancelCauseFunc
	confirmed atomic.Int64
	steps     atomic.Int64 // calls that did what they should
}

// work publishes and consumes at all queues, and looks after the dead letters,
// until there was enough of all that, and kills the broker a moment later or when
// its log removes a file.
func (l *optionLives) work(ctx context.Context, n int) error {
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	w := &optionWork{optionLives: l, ctx: ctx, cancel: stall.End}
	stall.Watch(wait.Counter(&w.steps))
	before := l.sums()
	var all sync.WaitGroup
	for _, q := range l.queues {
		all.Go(func() { w.until(func() error { return w.publishing(q) }) })
		for _, dead := range l.places() {
			acked, patience := ackOfSome, optionPatience
			if dead {
				acked = ackOfDead
			}
			all.Go(func() { w.until(func() error { return w.consuming(q, dead, acked, &patience) }) })
		}
	}
	w.enough(n, before)
	if l.slowed(ctx) {
		wait, stop := context.WithTimeout(ctx, trimPatience)
		trimmed(wait, l.cfg.Dir, 1+l.random.IntN(trimMost))
		stop()
	} else {
		time.Sleep(time.Duration(l.random.Int64N(int64(killWithin)))) // any instant will do
	}
	err := l.kill()
	all.Wait()
	stall.Stop()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// slowed makes the disk slow at the end of all lives but each fourth: so there is
// much that the broker has in mind and not on the disk, and its log must not have
// relied on that when it removes a file.
func (l *optionLives) slowed(ctx context.Context) bool {
	if l.quick || l.life%4 == 3 {
		return false
	}
	out, err := l.request(ctx, brokerRequest{Op: askIntercept})
	if err == nil && out.Done == 0 {
		l.quick = true
		l.Note("The disk was not made slow for the kills with every option on: %s.", out.Why)
	}
	if err == nil && !l.quick {
		_, err = l.request(ctx, brokerRequest{Op: askSlow, Delay: slowSync})
	}
	return err == nil && !l.quick // a child that has ended is told of by kill
}

// until does something again and again until the child has ended. An error of
// the broker ends it before.
func (w *optionWork) until(do func() error) {
	for {
		err := do()
		if errors.Is(err, errBroker) {
			w.cancel(err)
		}
		if err != nil {
			return
		}
	}
}

// enough returns when that many messages were confirmed in this life, and some
// expired and became dead letters, or when it has taken long enough.
func (w *optionWork) enough(n int, before optionTotals) {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	long := time.NewTimer(killTime)
	defer long.Stop()
	for {
		now := w.sums()
		if int(w.confirmed.Load()) >= n && now.expired > before.expired && (now.dead > before.dead || !w.abilities.dead) {
			return
		}
		select {
		case <-poll.C:
		case <-long.C: // of a slow machine this is enough
			return
		case <-w.ctx.Done():
			return
		case <-w.p.Ended():
			return
		}
	}
}

func (l *optionLives) sums() (all optionTotals) {
	for _, q := range l.queues {
		all.add(q.sums())
	}
	return all
}

// publishing publishes once, and waits for room where there was none.
func (w *optionWork) publishing(q *optionQueue) error {
	confirmed, full, err := w.publish(w.ctx, q)
	if err != nil {
		return err
	}
	w.confirmed.Add(int64(confirmed))
	w.steps.Add(int64(confirmed))
	if !full {
		return nil
	}
	q.met()
	late := time.NewTimer(optionVisibility) // a lease that ends makes room, too
	defer late.Stop()
	select {
	case <-q.room:
	case <-late.C:
	case <-w.ctx.Done():
	case <-w.p.Ended():
	}
	return nil
}

// consuming receives once and settles what came. It is more patient after a receive
// that got nothing, as check is.
func (w *optionWork) consuming(q *optionQueue, dead bool, acked float64, patience *time.Duration) error {
	got, err := w.receive(w.ctx, q, dead, brokerRequest{Batch: q.coin(), Count: q.upTo(workMost), Patience: *patience})
	if err != nil {
		return err
	}
	if len(got.all) > 0 {
		*patience = optionPatience
	} else {
		*patience = min(4**patience, scenario.Settle)
	}
	w.steps.Add(int64(len(got.all)))
	return w.settle(w.ctx, got, acked)
}
