package queuetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var (
	errShut = errors.New("closed")
	errLate = errors.New("the lease has ended")
	errMany = errors.New("too many")
)

// faultyBroker is sound, but for the fault that it is told to have. It offers
// everything that a broker in memory may.
type faultyBroker struct {
	cfg    Config
	fault  string
	mu     sync.Mutex
	more   sync.Cond // something has changed
	live   []*faultyQueue
	dead   []*faultyQueue
	closed bool
}

// faultyQueue has its messages in order.
type faultyQueue struct {
	b      *faultyBroker
	most   int // attempts
	dead   *faultyQueue
	bound  int
	ready  []*faultyMessage
	held   int // leased and delayed
	last   int
	slots  []*faultyLease
	recent *faultyMessage // "delivers twice"
}

type faultyMessage struct {
	number  int
	body    []byte
	attempt int
	lease   *faultyLease
}

type faultyLease struct {
	q       *faultyQueue
	m       *faultyMessage
	attempt int
	slot    int
}

func newFaulty(cfg Config, fault string) *faultyBroker {
	b := &faultyBroker{cfg: cfg, fault: fault}
	b.more.L = &b.mu
	for range cfg.Queues {
		dead := &faultyQueue{b: b}
		q := &faultyQueue{b: b, bound: cfg.MaxLen}
		if cfg.MaxAttempts > 0 {
			q.dead, q.most = dead, cfg.MaxAttempts
			switch fault {
			case "dies too early":
				q.most = max(q.most-1, 1)
			case "dies too late":
				q.most++
			}
		}
		if fault == "one too many" && q.bound > 0 {
			q.bound++
		}
		b.live, b.dead = append(b.live, q), append(b.dead, dead)
	}
	return b
}

func (*faultyBroker) Full() error { return errMany }

// counts is how many messages count for the bound.
func (q *faultyQueue) counts() int {
	if q.b.fault == "does not count what is leased" {
		return len(q.ready)
	}
	return len(q.ready) + q.held
}

// changed wakes all who wait.
func (b *faultyBroker) changed() {
	if b.fault == "one signal for all" {
		b.more.Signal()
		return
	}
	b.more.Broadcast()
}

// wait waits for a change; ctx ends it.
func (b *faultyBroker) wait(ctx context.Context, done func() bool) error {
	if b.fault != "heeds no context" {
		stop := context.AfterFunc(ctx, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.more.Broadcast()
		})
		defer stop()
	}
	for {
		switch {
		case b.closed:
			return errShut
		case done():
			return nil
		case ctx.Err() != nil && b.fault != "heeds no context":
			return ctx.Err()
		}
		b.more.Wait()
	}
}

func (b *faultyBroker) Publish(ctx context.Context, queue int, body []byte) error {
	return b.PublishBatch(ctx, queue, [][]byte{body})
}

func (b *faultyBroker) PublishBatch(ctx context.Context, queue int, bodies [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.live[queue]
	if b.fault == "takes after Close" && b.closed {
		return nil
	}
	room := func() bool { return q.bound == 0 || q.counts()+len(bodies) <= q.bound }
	if b.cfg.Reject && !b.closed && !room() && b.fault != "waits though it is to refuse" {
		if b.fault == "says another error" {
			return errLate
		}
		return errMany
	}
	if err := b.wait(ctx, room); err != nil {
		if b.fault == "counts who left" && err != errShut {
			q.held++
		}
		return err
	}
	if b.fault == "wrong queue" {
		q = b.live[(queue+1)%len(b.live)]
	}
	if b.fault == "reverses batches" {
		slices.Reverse(bodies)
	}
	for _, body := range bodies {
		q.add(body)
	}
	return nil
}

func (q *faultyQueue) add(body []byte) {
	q.last++
	m := &faultyMessage{number: q.last, body: body}
	if q.b.fault == "last first" {
		q.ready = slices.Insert(q.ready, 0, m)
	} else {
		q.ready = append(q.ready, m)
	}
	q.b.changed()
}

func (b *faultyBroker) Receive(ctx context.Context, queue int) (Delivery, error) {
	return b.one(ctx, b.live[queue])
}

func (b *faultyBroker) ReceiveDead(ctx context.Context, queue int) (Delivery, error) {
	return b.one(ctx, b.dead[queue])
}

func (b *faultyBroker) one(ctx context.Context, q *faultyQueue) (Delivery, error) {
	all, err := b.some(ctx, q, 1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (b *faultyBroker) ReceiveBatch(ctx context.Context, queue, most int) ([]Delivery, error) {
	return b.some(ctx, b.live[queue], most)
}

func (b *faultyBroker) some(ctx context.Context, q *faultyQueue, most int) (all []Delivery, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = b.wait(ctx, func() bool { return len(q.ready) > 0 || q.recent != nil && b.fault == "delivers twice" })
	if err == nil && b.fault == "keeps the lease of who left" && ctx.Err() != nil {
		q.lend()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if len(q.ready) == 0 {
		m := q.recent
		q.recent = nil
		return []Delivery{&faultyLease{q: q, m: m, attempt: m.attempt + 1}}, nil
	}
	for len(all) < most && len(q.ready) > 0 {
		all = append(all, q.lend())
	}
	return all, nil
}

// lend leases the first message.
func (q *faultyQueue) lend() *faultyLease {
	m := q.ready[0]
	q.ready = q.ready[1:]
	q.held++
	m.attempt++
	l := &faultyLease{q: q, m: m, attempt: m.attempt, slot: slices.Index(q.slots, nil)}
	if l.slot < 0 {
		l.slot = len(q.slots)
		q.slots = append(q.slots, nil)
	}
	q.slots[l.slot] = l
	q.recent, m.lease = m, l
	visibility := q.b.cfg.Visibility
	switch q.b.fault {
	case "attempt stuck":
		l.attempt = 1
	case "leases end too early":
		visibility /= 2
	case "leases never end":
		return l
	}
	time.AfterFunc(visibility, func() { l.end(func() { q.back(m) }) })
	return l
}

// end ends a lease.
func (l *faultyLease) end(how func()) error {
	q := l.q
	q.b.mu.Lock()
	defer q.b.mu.Unlock()
	if q.b.closed {
		return errShut
	}
	if l.m.lease != l {
		return errLate
	}
	l.free()
	how()
	return nil
}

func (l *faultyLease) free() {
	l.m.lease = nil
	l.q.slots[l.slot] = nil
	l.q.held--
	l.q.recent = nil
}

// back puts a message where it was, or among the dead letters.
func (q *faultyQueue) back(m *faultyMessage) {
	if q.dead != nil && m.attempt >= q.most {
		if q.b.fault != "loses the dead" {
			q.dead.add(m.body)
		}
		q.b.changed()
		return
	}
	at := len(q.ready)
	if q.b.fault != "back to the end" {
		at = 0
		for at < len(q.ready) && q.ready[at].number < m.number {
			at++
		}
	}
	q.ready = slices.Insert(q.ready, at, m)
	if q.b.fault != "wakes nobody for what comes back" {
		q.b.changed()
	}
}

func (l *faultyLease) Body() []byte {
	if l.q.b.fault == "corrupts" {
		return l.m.body[1:]
	}
	return l.m.body
}

func (l *faultyLease) Attempt() int { return l.attempt }

func (l *faultyLease) Ack(context.Context) error {
	b := l.q.b
	switch b.fault {
	case "acks the slot":
		b.mu.Lock()
		if now := l.q.slots[l.slot]; now != nil {
			l = now
		}
		b.mu.Unlock()
	case "forgets acks":
		return l.Nack()
	}
	return l.end(func() {
		if b.fault != "lets nobody in" {
			b.changed()
		}
	})
}

func (b *faultyBroker) AckBatch(ctx context.Context, _ int, all []Delivery) error {
	var errs error
	for i, d := range all {
		if i > 0 && b.fault == "acks one of a batch" {
			break
		}
		errs = errors.Join(errs, d.Ack(ctx))
	}
	return errs
}

func (l *faultyLease) Nack() error { return l.NackAfter(0) }

func (l *faultyLease) NackAfter(delay time.Duration) error {
	q, m := l.q, l.m
	if q.b.fault == "nacks for another" {
		q.b.mu.Lock()
		if m.lease != nil {
			l = m.lease
		}
		q.b.mu.Unlock()
	}
	return l.end(func() {
		if delay == 0 || q.b.fault == "knows no delay" {
			if q.b.fault != "loses what is refused" {
				q.back(m)
			}
			return
		}
		q.held++
		time.AfterFunc(delay, func() {
			q.b.mu.Lock()
			defer q.b.mu.Unlock()
			q.held--
			q.back(m)
		})
	})
}

func (b *faultyBroker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.fault != "leaves who waits alone" {
		b.more.Broadcast()
	}
	return nil
}
