package sessiontest

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/load"
	"tensile/stress/measure"
)

// workload is the part of a load that a node offers to its own store, in its
// process, as a program does that has the store in it: what is measured is the
// store, and not the way to a node.
//
// Sessions 2i and 2i+1 belong to the node i modulo the number of nodes: it writes
// them, and the next node reads them.
type workload struct {
	At       int64 `json:"at"` // when it begins, in ns of the wall clock, which all processes share
	Node     int   `json:"node"`
	Nodes    int   `json:"nodes"`
	Sessions int   `json:"sessions"` // the first so many; 0, before it is offered, for all
	Control  bool  `json:"control,omitempty"`
	// Acked are the numbers of the last acknowledged writes of the sessions of the
	// part, each 4 bytes little endian.
	Acked []byte `json:"acked"`

	// Of a closed load.
	Callers int  `json:"callers,omitempty"`
	Times   int  `json:"times,omitempty"` // how often each session is written or read, by one caller
	Read    bool `json:"read,omitempty"`

	// Of an open one, half writes and half reads.
	Rate     float64       `json:"rate,omitempty"`
	Count    int           `json:"count,omitempty"`
	Arrivals load.Arrivals `json:"arrivals,omitempty"`
	Seed     uint64        `json:"seed,omitempty"`
}

// account is what came of it.
type account struct {
	Samples []byte // as a Recorder exports them, from At on
	Acked   []byte // as in the load, now
	N       int    // operations
	Left    int    // of them, those that never ended
	Peak    int    // most in flight, of a closed load
	Wrong   []wrongRead
	First   string // the first error
	Open    load.Open
	Why     string // it was given up
}

// wrongRead is a read that returned what it must not.
type wrongRead struct{ Criterion, What string }

// owned are the sessions of a node.
func (l *workload) owned(node int) (all []int) {
	for first := 2 * node; first < l.Sessions; first += 2 * l.Nodes {
		all = append(all, first)
		if first+1 < l.Sessions {
			all = append(all, first+1)
		}
	}
	return all
}

// part are the sessions that the load is about. Of an open load the even ones are
// written and the odd ones read: so it is known what a read must return.
func (l *workload) part() []int {
	previous := l.owned((l.Node + l.Nodes - 1) % l.Nodes)
	switch {
	case l.Read:
		return previous
	case l.Rate == 0:
		return l.owned(l.Node)
	}
	all := slices.DeleteFunc(l.owned(l.Node), func(s int) bool { return s%2 == 1 })
	odd := slices.DeleteFunc(previous, func(s int) bool { return s%2 == 0 })
	mixed := make([]int, 0, 2*len(all))
	for i := range min(len(all), len(odd)) {
		mixed = append(mixed, all[i], odd[i])
	}
	return mixed
}

// numbers are what the book says of the sessions of the part.
func (l *workload) numbers(b *book) []byte {
	var out []byte
	for _, s := range l.part() {
		out = binary.LittleEndian.AppendUint32(out, b.acked[s].Load())
	}
	return out
}

// enter has the book say so.
func (l *workload) enter(b *book, numbers []byte) error {
	part := l.part()
	if len(numbers) != 4*len(part) {
		return fmt.Errorf("%d bytes of numbers for %d sessions", len(numbers), len(part))
	}
	for i, s := range part {
		n := binary.LittleEndian.Uint32(numbers[4*i:])
		b.acked[s].Store(n)
		b.tried[s].Store(n)
	}
	return nil
}

// mostWrongReads is how many wrong reads a node describes.
const mostWrongReads = 20

// offering is a load while it is offered.
type offering struct {
	workload
	store  Store
	errs   Errors
	book   *book
	flight load.InFlight
	rec    *measure.Recorder

	mu    sync.Mutex
	wrong []wrongRead
	first string
}

// offer offers the load to the store of this node.
func (n *childNode) offer(l workload) (*account, error) {
	if n.store == nil {
		return nil, errors.New("there is no store")
	}
	store := n.storeFor(l.Control)
	o := &offering{workload: l, store: store, errs: store.Errors(), book: newBook(l.Sessions)}
	if err := o.enter(o.book, l.Acked); err != nil {
		return nil, err
	}
	part := l.part()
	if len(part) == 0 {
		return &account{}, nil
	}
	if l.Rate > 0 {
		return o.open(part), nil
	}
	return o.closed(part), nil
}

// begin waits until the load begins, and returns that instant.
func (o *offering) begin() time.Time {
	left := time.Until(time.Unix(0, o.At))
	began := time.Now().Add(left)
	time.Sleep(left)
	return began
}

// one performs an operation on a session, number i of the load, which began or
// was due at from.
func (o *offering) one(ctx context.Context, i int, from int64, session int, read bool) {
	op := operation{kind: opGet, key: keyOf(session)}
	var number uint32
	if !read {
		op.kind = opPut
		number, op.value = o.book.next(session)
	}
	r := op.perform(ctx, o.store, o.errs)
	criterion, what := "", ""
	switch {
	case read:
		criterion, what = o.book.judge(session, r)
	case r.outcome == opDone:
		o.book.acked[session].Store(number)
	}
	if r.err == nil && what == "" {
		o.rec.Done(i, from)
		return
	}
	o.rec.Failed(i)
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.err != nil && o.first == "" {
		o.first = r.err.Error()
	}
	if what != "" && len(o.wrong) < mostWrongReads {
		o.wrong = append(o.wrong, wrongRead{criterion, what})
	}
}

// closed has callers take the sessions one after the other, until all are done or
// nothing ends any more.
func (o *offering) closed(part []int) *account {
	n := len(part) * o.Times
	o.rec = measure.NewRecorder(n)
	var next atomic.Int64
	o.rec.Begin(o.begin())
	stalled := wait.NewStall(context.Background(), scenario.Stall)
	defer stalled.Release()
	stalled.Watch(o.flight.Ended)
	wait.AllWithin(stalled, 0, min(o.Callers, len(part)), func(int) {
		var within deadline
		for at := int(next.Add(1)) - 1; at < len(part) && stalled.Err() == nil; at = int(next.Add(1)) - 1 {
			for turn := range o.Times {
				ctx := within.context(opTime)
				o.flight.Start()
				o.one(ctx, at*o.Times+turn, o.rec.Since(), part[at], o.Read)
				o.flight.End()
			}
		}
		within.end()
	})
	return o.account(n, n-o.flight.Ended(), stalled.Cause())
}

// open is an open load.
func (o *offering) open(part []int) *account {
	o.rec = measure.NewRecorder(o.Count)
	stalled := wait.NewStall(context.Background(), scenario.Stall)
	defer stalled.Release()
	var within deadline
	o.begin()
	out := load.Steady(stalled, load.Plan{Rate: o.Rate, Count: o.Count, Arrivals: o.Arrivals, Seed: o.Seed},
		func(began time.Time, f *load.InFlight) {
			o.rec.Begin(began)
			stalled.Watch(f.Ended)
		}, func(i int, due int64) {
			o.one(within.context(opTime), i, due, part[i%len(part)], i%2 == 1)
		})
	stalled.Stop()
	a := o.account(o.Count, out.Unfinished, stalled.Cause())
	a.Open = out
	if out.Unfinished == 0 {
		within.end()
	}
	return a
}

func (o *offering) account(n, left int, why error) *account {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := &account{N: n, Left: left, Peak: o.flight.Peak(), Wrong: o.wrong, First: o.first, Acked: o.numbers(o.book)}
	if left > 0 {
		a.Why = why.Error()
		return a // its samples may still change
	}
	a.Samples = o.rec.Export()
	return a
}

// deadline is a context for operations that follow each other: each gets one that
// ends between half its bound and the whole of it later. A timer for each of
// 100,000 operations a second would cost more than some stores do.
type deadline struct {
	mu     sync.Mutex
	ctx    context.Context
	renew  time.Time
	cancel context.CancelFunc
}

func (d *deadline) context(within time.Duration) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.After(d.renew) {
		// The one before has no need to be cancelled: it ends by itself, and others
		// may still be under it.
		d.ctx, d.cancel = context.WithTimeout(context.Background(), within)
		d.renew = now.Add(within / 2)
	}
	return d.ctx
}

// end is for after the last operation.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel()
	}
}

// offer has the nodes offer the parts of a load at the same time.
func (c *cluster) offer(ctx context.Context, b *book, l workload) ([]*account, error) {
	l.At = time.Now().Add(load.HeadStart).UnixNano()
	l.Nodes, l.Sessions = len(c.nodes), cmp.Or(l.Sessions, len(b.acked))
	accounts, errs := make([]*account, len(c.nodes)), make([]error, len(c.nodes))
	var all sync.WaitGroup
	for i, n := range c.nodes {
		all.Go(func() {
			part := l
			part.Node = i
			part.Seed += uint64(i)
			part.Acked = part.numbers(b)
			reply, err := n.ask(ctx, nodeCommand{Load: &part})
			if err == nil && reply.Account == nil {
				err = errors.New("no account of a load")
			}
			if err == nil && len(reply.Account.Acked) > 0 {
				err = part.enter(b, reply.Account.Acked)
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", n.name, err)
			}
			accounts[i] = reply.Account
		})
	}
	all.Wait()
	return accounts, errors.Join(errs...)
}

// gather adds the samples of the parts of a load to rec, behind those that are
// there, and adds up what was in flight and the accounts of an open load.
func gather(rec *measure.Recorder, accounts []*account) (peak int, open load.Open) {
	began := rec.Took()
	parts := make([]load.Open, len(accounts))
	for i, a := range accounts {
		rec.Import(a.Samples, began)
		peak += a.Peak
		parts[i] = a.Open
	}
	return peak, load.Merge(parts)
}
