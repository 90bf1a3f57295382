package routertest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/wait"
	"tensile/stress/measure"
)

// send hands message id to the router until it is taken; a full mailbox is
// tried again. It returns false if ctx ended, or the error is another one.
func (k *kit) send(ctx context.Context, r Router, full error, l *measure.Ledger, id uint64, to int, name string) bool {
	l.Send(id, to)
	for tries := 0; ; tries++ {
		err := r.Send(name, message(id))
		if err == nil {
			return true
		}
		if !errors.Is(err, full) || tries%1024 == 1023 && ctx.Err() != nil {
			l.Refused(id)
			k.Fault("Send of message %d to %s returned %v", id, name, err)
			return false
		}
		runtime.Gosched()
	}
}

// traffic sends n messages in all to names and audits them. rec, if not nil,
// takes the time at which each was delivered.
func (k *kit) traffic(ctx context.Context, t *testing.T, phase string, names, n int, rec *measure.Recorder) {
	r := k.start(t)
	full := r.Errors().Full
	each := (n + senders - 1) / senders
	n = each * senders
	l := measure.NewLedger(n, each, names)
	var arrived atomic.Int64
	table, ok := k.register(r, "name", names, func(i int, m Message) {
		l.Arrive(m.ID, i, m.intact())
		if rec != nil && m.ID < uint64(n) {
			rec.Done(int(m.ID), 0)
		}
		arrived.Add(1)
	})
	if !ok {
		return
	}
	k.Follow(n, wait.Counter(&arrived), nil)
	if rec != nil {
		rec.Begin(time.Now())
	}
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				id := s*each + i
				to := (id / inARow * 7919) % names
				if !k.send(ctx, r, full, l, uint64(id), to, table[to]) {
					return
				}
			}
		})
	}
	all.Wait()
	if rec != nil {
		k.settle(ctx, &arrived, n, wait.Pause)
	}
	if !k.close(r) { // and that alone must deliver what is in flight
		return
	}
	k.book(phase, l.Audit(true))
}
