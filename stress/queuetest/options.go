package queuetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/wait"
	"tensile/stress/report"
)

// The shape of the kills with every option on.
const (
	optionQueues     = 3                      // few, and short: so that most of the log is not needed any more
	optionVisibility = 200 * time.Millisecond // so that leases end in every life
	optionBound      = workMost
	optionSegment    = 4 << 10
	optionPad        = 2000 // bytes of a body, at most
	optionPerLife    = 150  // messages: enough for many segments, at any N
)

// optionAbilities are what a durable broker offers besides.
type optionAbilities struct{ dead, bounded, batches bool }

func brokerAbilities(b Broker) (a optionAbilities) {
	_, a.dead = b.(DeadLetter)
	_, a.bounded = b.(Bounded)
	_, a.batches = b.(Batching)
	return a
}

// combinations are all of what a broker may be asked for together: one attempt
// and several, a bound that blocks and one that rejects.
func (a optionAbilities) combinations() (all []Config) {
	attempts, lengths, overflows := []int{0}, 0, []bool{false}
	if a.dead {
		attempts = []int{1, deadLetterAttempts}
	}
	if a.bounded {
		lengths, overflows = optionBound, []bool{false, true}
	}
	if !a.dead && !a.bounded {
		return nil
	}
	for _, most := range attempts {
		for _, reject := range overflows {
			all = append(all, Config{Queues: optionQueues, Visibility: optionVisibility, MaxAttempts: most,
				MaxLen: lengths, Reject: reject, SegmentSize: optionSegment})
		}
	}
	return all
}

// optionCriteria are those of the kills with every option on.
var optionCriteria = []string{"option_kills", "durable_dead_letter", "durable_bounded"}

// optionKills has brokers with every option that they offer killed again and
// again: what was confirmed and nobody has tried to acknowledge is in its queue
// or in the dead-letter queue after each.
func (k *kit) optionKills(ctx context.Context, t *testing.T) {
	a, kills := k.abilities, k.killCount()
	var done atomic.Int64
	var sums optionTotals
	all := a.combinations()
	k.Follow(max(kills, len(all)), wait.Counter(&done), nil)
	for i, cfg := range all {
		cfg.Dir = filepath.Join(t.TempDir(), "queues")
		l := k.newOptionLives(cfg, a)
		err := l.run(ctx, max((kills+i)/len(all), 1), optionPerLife, &done)
		l.abandon()
		if err != nil {
			k.Violate("durable_lost", "with every option on (%s), after %d kills: %v", l.what(), l.life, err)
		}
		for _, q := range l.queues {
			sums.add(q.sums())
		}
		if k.Failed() {
			break
		}
	}
	k.Note("%d kills (SIGKILL) with every option on, in %d combinations: %d messages were confirmed and %d acknowledged, "+
		"%d came as dead letters, %d deliveries expired, %d were delayed, %d publishes met a full queue.",
		done.Load(), len(all), sums.confirmed, sums.acked, sums.dead, sums.expired, sums.delayed, sums.full)
	k.Measured("option_kills", float64(done.Load()))
	for criterion, offered := range map[string]bool{"durable_dead_letter": a.dead, "durable_bounded": a.bounded} {
		if !offered {
			k.NotOffered(criterion, "the subject has no such queues")
		}
	}
	k.Record(func(r *report.Scenario) { r.Operations += sums.confirmed })
}

// run has the broker live and be killed that many times, with that many messages
// each time.
func (l *optionLives) run(ctx context.Context, kills, each int, done *atomic.Int64) error {
	for {
		for _, q := range l.queues {
			q.begin(l.life)
		}
		if _, err := l.open(ctx); err != nil {
			return err
		}
		if err := l.checkAll(ctx, ackInCheck); err != nil {
			return err
		}
		if l.life == kills || l.Failed() {
			break
		}
		if err := l.work(ctx, each); err != nil {
			return err
		}
		done.Add(1)
	}
	// What is left is acknowledged, and outlives a Close that nobody hurries.
	if err := l.leave(); err != nil {
		return err
	}
	l.life++
	for _, q := range l.queues {
		q.begin(l.life)
	}
	if _, err := l.open(ctx); err != nil {
		return err
	}
	if err := l.checkAll(ctx, 1); err != nil {
		return err
	}
	return l.leave()
}

// what names the combination.
func (l *optionLives) what() string {
	return fmt.Sprintf("attempts %d, bound %d, rejecting %t", l.cfg.MaxAttempts, l.cfg.MaxLen, l.cfg.Reject)
}

// trimmed returns once a number of files have gone from dir, or when the context
// ends: that is the instant at which a log that has removed too much has nothing
// left of it. One that is renamed does not count.
func trimmed(ctx context.Context, dir string, number int) {
	poll := time.NewTicker(100 * time.Microsecond)
	defer poll.Stop()
	for files := 0; ; {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return
		}
		if number -= max(files-len(entries), 0); number <= 0 {
			return
		}
		files = len(entries)
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}
