package queuetest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/disk"
	"tensile/stress/internal/payload"
	"tensile/stress/internal/powercut"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// The shape of the durable part.
const (
	killsAtBase       = 20                                // and fewer below N = 100,000
	killTime          = durableVisibility + 5*time.Second // leases may outlive the broker
	leastPerLife      = 250                               // messages
	durableQueues     = 32
	durablePublishers = 1000
)

// durableCriteria are those of the durable part.
var durableCriteria = []string{"kills", "durable_lost", "durable_redelivered", "durable_reordered", "durable_phantom",
	"durable_throughput", "lock", "torn", "disk", "power_cut"}

// survives are the criteria of every phase in which a durable broker is killed.
const survives = "durable_lost durable_redelivered durable_reordered durable_phantom"

// durablePhases take the broker through what only one on disk can show.
func (k *kit) durablePhases(t *testing.T) []phase {
	offered := true
	if !k.Aborted && !k.Failed() { // else none of them is reached
		k.abilities, offered = k.durable(t)
	}
	if !offered {
		for _, c := range slices.Concat(durableCriteria, optionCriteria) {
			k.NotOffered(c, "the subject keeps messages in memory only")
		}
		return nil
	}
	kills := k.killCount()
	bound := scenario.PhaseBound + time.Duration(kills)*killTime
	phases := []phase{
		{Name: "reopen", Body: k.reopen, Shows: survives, Sound: true},
		{Name: "durable throughput", Body: k.durableThroughput, Shows: "durable_lost durable_throughput", Sound: true},
		{Name: "kills", Body: k.kills, Shows: survives + " kills", Sound: true, Bound: bound},
		{Name: "lock", Body: k.lock, Shows: "lock", Sound: true, Within: scenario.PhaseBound / 2},
		{Name: "damage", Body: k.damage, Shows: "torn", Sound: true},
		{Name: "disk", Body: k.disk, Shows: "disk", Sound: true},
	}
	if len(k.abilities.combinations()) > 0 {
		// As it takes the longest, it comes late. A life waits for leases that end, and
		// for a disk that is made slow, which a busy machine stretches.
		phases = append(phases, phase{Name: "kills with every option", Body: k.optionKills, Sound: true, Bound: 4 * bound,
			Shows: survives + " redelivery option_kills durable_dead_letter durable_bounded"})
	} else if !k.Failed() {
		for _, c := range optionCriteria {
			k.NotOffered(c, "the subject has neither dead-letter queues nor bounds")
		}
	}
	return append(phases, phase{Name: "power cut", Body: k.power, Shows: "power_cut", Sound: true,
		Bound: 2*scenario.PhaseBound + 2*powercut.ShrinkTime})
}

// durable tells whether the broker is durable, and what it offers besides. Users
// may have one type in memory and another on disk: the one that is asked for a folder
// counts.
func (k *kit) durable(t *testing.T) (a optionAbilities, offered bool) {
	b, said := k.tryOpen(t, Config{Queues: 1, Visibility: longVisibility, Dir: filepath.Join(t.TempDir(), "queues")})
	if b == nil { // or it has no use for a folder
		b = k.start(t, Config{Queues: 1})
		defer k.close(b)
		if _, offered = b.(Durable); offered {
			k.Violate("durable_lost", "a durable broker does not open in a folder that is not there: %s", said)
		}
		return brokerAbilities(b), offered
	}
	defer k.close(b)
	_, offered = b.(Durable)
	return brokerAbilities(b), offered
}

// killCount is how often the durable broker is killed.
func (k *kit) killCount() int {
	if set := k.Run.Settings.Kills; set > 0 {
		return set
	}
	return min((killsAtBase*k.N+validate.BaseScale-1)/validate.BaseScale, killsAtBase)
}

// reopen: what a broker holds when it is closed is there when it is opened
// again, in order; what was acknowledged is not.
func (k *kit) reopen(ctx context.Context, t *testing.T) {
	for cfg := (Config{Queues: 1, Visibility: shortVisibility}); ctx.Err() == nil; cfg.Visibility *= 4 {
		cfg.Dir = filepath.Join(t.TempDir(), "queues")
		d := &fixture{kit: k, ctx: ctx, criterion: "durable_lost", visibility: cfg.Visibility, b: k.start(t, cfg)}
		ok := d.beforeClose()
		k.close(d.b)
		if ok {
			d.b, d.held = k.start(t, cfg), nil
			d.afterClose()
			k.close(d.b)
		}
		if !d.slow || k.Failed() {
			return
		}
	}
}

// What reopen publishes, what it acknowledges of that, and what it has received
// when it closes.
const reopenSent, reopenAcked, reopenHeld = 40, 10, 20

func (d *fixture) beforeClose() bool {
	for id := range uint64(reopenSent) {
		if !d.publish(id) {
			return false
		}
	}
	for id := range uint64(reopenHeld) {
		got, ok := d.take(d.b.Receive, id, 1, "the queue is fresh")
		if !ok || id < reopenAcked && !d.ack(got) {
			return false
		}
	}
	return true
}

// afterClose expects what was not acknowledged. What was held may come in its
// place or later, when its time-out has ended, as the broker likes.
func (d *fixture) afterClose() {
	next := map[bool]uint64{true: reopenAcked, false: reopenHeld} // of what was held, and of the rest
	for range reopenSent - reopenAcked {
		wait, cancel := context.WithTimeout(d.ctx, d.visibility+scenario.Settle)
		asked := time.Now()
		got, err := d.b.Receive(wait, 0)
		cancel()
		if err != nil {
			d.Violate("durable_lost", "after Close and opening again message %d or %d did not come: %v",
				next[true], next[false], err)
			return
		}
		m, intact := payload.ReadBody(got.Body())
		held := m.ID < reopenHeld
		switch {
		case !intact || m.ID >= reopenSent:
			d.Violate("durable_phantom", "after Close and opening again a message came that was never sent")
			return
		case m.ID < reopenAcked:
			d.Violate("durable_redelivered",
				"after Close and opening again message %d came back though its acknowledgement had been confirmed", m.ID)
			return
		case m.ID != next[held]:
			d.Violate("durable_reordered", "after Close and opening again message %d came instead of message %d",
				m.ID, next[held])
			return
		}
		next[held]++
		if !d.done(takenMessage{got, m.ID, asked}, "Ack", got.Ack(d.ctx)) {
			return
		}
	}
}

// durableThroughput has 1,000 publishers wait for the disk.
func (k *kit) durableThroughput(ctx context.Context, t *testing.T) {
	b := k.start(t, Config{Queues: queueCount, Dir: filepath.Join(t.TempDir(), "queues")})
	defer k.close(b)
	publishers := min(durablePublishers, k.N)
	n := k.N / publishers * publishers
	var confirmed atomic.Int64
	var failed sync.Once
	k.Follow(n, wait.Counter(&confirmed), nil)
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	stall.Watch(wait.Counter(&confirmed))
	ended, took := false, time.Duration(0)
	k.UnderLoad(func() {
		began := time.Now()
		ended = wait.AllWithin(ctx, scenario.Settle, publishers, func(p int) {
			defer k.Recovered("durable throughput")
			for i := range n / publishers {
				if err := b.Publish(ctx, p%queueCount, payload.Body(uint64(p*n/publishers+i))); err != nil {
					failed.Do(func() { k.Fault("Publish returned %v", err) })
					return
				}
				confirmed.Add(1)
			}
		})
		took = time.Since(began)
	})
	stall.Stop()
	if !ended {
		k.Unfinished("durable_throughput", max(n-int(confirmed.Load()), 1), n, scenario.Settle, context.Cause(ctx))
		return
	}
	k.Timed("durable_throughput", float64(n)/took.Seconds())
	k.Record(func(r *report.Scenario) { r.Operations += n })
	if sync, err := disk.SyncTime(t.TempDir()); err == nil {
		k.Note("%d publishers had %s messages a second confirmed as durable, on a disk whose own sync of 4 KB took %v "+
			"(median).",
			publishers, validate.Number(float64(n)/took.Seconds()), sync)
	}
}

// kills has the broker killed again and again in the middle of its work, and
// goes through the ledger after each restart.
func (k *kit) kills(ctx context.Context, t *testing.T) {
	kills := k.killCount()
	l := k.newLives("kills", filepath.Join(t.TempDir(), "queues"), durableQueues, "durable_lost")
	defer l.abandon()
	if kills < killsAtBase {
		k.Note("Kills of the durable broker cut from %d to %d, in proportion to N.", killsAtBase, kills)
	}
	each := max(k.N/kills, leastPerLife)
	restarts := report.Repeats{Name: "restart of the durable broker after SIGKILL", Unit: "ms"}
	var done atomic.Int64
	k.Follow(kills, wait.Counter(&done), nil)
	err := func() error {
		for {
			took, err := l.open(ctx)
			if err != nil {
				return err
			}
			if l.life > 0 {
				restarts.Values = append(restarts.Values, float64(took)/1e6)
				if err := l.checkAll(ctx, ackInCheck); err != nil {
					return err
				}
			}
			if l.life == kills || k.Failed() {
				break
			}
			if err := l.work(ctx, each); err != nil {
				return err
			}
			done.Add(1)
		}
		// Twice: what is acknowledged now does not come again.
		for range 2 {
			if err := l.checkAll(ctx, 1); err != nil {
				return err
			}
		}
		return l.leave()
	}()
	if err != nil {
		k.Violate("durable_lost", "after %d kills: %v", l.life, err)
	}
	confirmed, acked := 0, 0
	for _, q := range l.queues {
		c, a := q.totals()
		confirmed, acked = confirmed+c, acked+a
	}
	k.Note("%d kills (SIGKILL): %d messages were confirmed, %d acknowledgements.", l.life, confirmed, acked)
	k.Measured("kills", float64(l.life))
	k.Record(func(r *report.Scenario) {
		r.Operations += confirmed
		r.Repeats = append(r.Repeats, restarts)
	})
}

// lock: while a process has the log open, no other can.
func (k *kit) lock(ctx context.Context, t *testing.T) {
	l := k.newLives("lock", filepath.Join(t.TempDir(), "queues"), 1, "durable_lost")
	defer l.abandon()
	if _, err := l.open(ctx); err != nil {
		k.Violate("lock", "%v", err)
		return
	}
	second := make(chan Broker, 1)
	go func() {
		b, _ := k.tryOpen(t, Config{Queues: 1, Visibility: longVisibility, Dir: l.cfg.Dir})
		second <- b
	}()
	refused := false
	select {
	case b := <-second:
		if refused = b == nil; !refused {
			k.Violate("lock", "a second process opened the log while the first had it open")
			k.close(b)
			refused = true
		}
	case <-time.After(lockPatience): // it waits, and that is as good
	}
	if err := l.kill(); err != nil {
		k.Violate("lock", "%v", err)
	}
	if !refused {
		select {
		case b := <-second:
			if b != nil {
				k.close(b)
			}
		case <-time.After(scenario.Settle):
			k.Aborted = true
			k.Violate("lock", "a second process does not open the log %v after the first was killed", scenario.Settle)
		}
	}
}

// lockPatience is how long a broker may take to say that the log is open
// elsewhere; one that takes longer counts as waiting for it.
const lockPatience = 2 * time.Second

// tryOpen opens a broker and returns what it said if it did not open.
func (k *kit) tryOpen(t testing.TB, cfg Config) (b Broker, said string) {
	c := &scenario.Catcher{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if value := recover(); value != nil {
				c.Say(fmt.Sprint("panic: ", value))
			}
		}()
		b = k.open(c, cfg)
	}()
	<-done
	if c.Failed() && b == nil {
		return nil, c.Said
	} else if b == nil {
		return nil, "it returned nil"
	}
	return b, ""
}
