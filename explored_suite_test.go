package tensile

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/explore"
	"tensile/stress/load"
	"tensile/stress/measure"
)

// A burst has all of its operations in flight at once, or says how many it had not.
func TestBurstExplored(t *testing.T) {
	explore.Test(t, func(e *explore.Run) {
		const n = 3
		ctx, cancel := context.WithCancel(e.Context())
		if e.Draw(2) == 1 {
			e.Go("canceller", cancel)
		}
		var calls [n]atomic.Int32
		c := load.Burst(ctx, n, nil, func(i int, g *load.Gate) {
			calls[i].Add(1)
			<-g.All()
		})
		called := 0
		for i := range calls {
			got := int(calls[i].Load())
			e.Check(got <= 1, "operation %d was called %d times", i, got)
			called += got
		}
		e.Check(c.Unfinished == n-called, "%d are unfinished, %d of %d were called", c.Unfinished, called, n)
		if called > 0 {
			e.Check(c.Peak == n, "the peak is %d of %d that waited for each other", c.Peak, n)
		}
		e.Wait()
		cancel()
	}, exploredBy()...)
}

// Each operation of a steady load begins once, when it is due or later, unless the
// context ends before.
func TestSteadyExplored(t *testing.T) {
	explore.Test(t, func(e *explore.Run) {
		const n = 5
		ctx, cancel := context.WithCancel(e.Context())
		defer cancel()
		if e.Draw(2) == 1 {
			e.Go("canceller", func() {
				time.Sleep(2 * time.Millisecond)
				cancel()
			})
		}
		var calls [n]atomic.Int32
		var began time.Time
		o := load.Steady(ctx, load.Plan{Count: n, Rate: 1000, Generators: 2, Seed: 1, Inline: e.Draw(2) == 1},
			func(at time.Time, _ *load.InFlight) { began = at },
			func(i int, due int64) {
				e.Check(int64(time.Since(began)) >= due, "operation %d came before it was due", i)
				calls[i].Add(1)
			})
		called := 0
		for i := range calls {
			got := int(calls[i].Load())
			e.Check(got <= 1, "operation %d was called %d times", i, got)
			called += got
		}
		e.Check(o.Unfinished == n-called, "%d are unfinished, %d of %d were called", o.Unfinished, called, n)
		e.Wait()
	}, exploredBy()...)
}

// The ledger's account is that of what was done to each message.
func TestLedgerExplored(t *testing.T) {
	explore.Test(t, func(e *explore.Run) {
		const n, senders, destinations = 4, 2, 2
		const (
			arrives = iota
			arrivesTwice
			isLost
			isRefused
			isCorrupted
			goesAstray
			fates
		)
		l := measure.NewLedger(n, n/senders, destinations)
		want := measure.Account{Sent: n}
		var does [n]int
		for i := range does {
			does[i] = e.Draw(fates)
			switch does[i] {
			case arrives:
				want.Delivered++
			case arrivesTwice:
				want.Delivered++
				want.Duplicated++
			case isLost:
				want.Lost++
			case isRefused:
				want.Refused++
			case isCorrupted:
				want.Corrupted++
				want.Lost++
			case goesAstray:
				want.Misrouted++
				want.Lost++
			}
		}
		for i := range n {
			e.Go("sender", func() {
				to := i % destinations
				l.Send(uint64(i), to)
				switch does[i] {
				case arrivesTwice:
					e.Go("again", func() { l.Arrive(uint64(i), to, true) })
					l.Arrive(uint64(i), to, true)
				case arrives, isCorrupted:
					l.Arrive(uint64(i), to, does[i] == arrives)
				case isRefused:
					l.Refused(uint64(i))
				case goesAstray:
					l.Arrive(uint64(i), 1-to, true)
				}
			})
		}
		e.Wait()
		got := l.Audit(false)
		got.Examples = nil
		e.Check(got.Kinds()[0] == want.Kinds()[0] && got.Faults() == want.Faults() && got.Sent == want.Sent &&
			got.Refused == want.Refused && got.Delivered == want.Delivered, "the account is %+v, must be %+v", got, want)
	}, exploredBy()...)
}
