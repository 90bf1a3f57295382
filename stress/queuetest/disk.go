package queuetest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
)

const (
	diskTries = 10   // publishes that must fail
	fillTries = 2000 // publishes until a limit is met
	fillPad   = 500  // bytes behind each
)

// disk has the disk fail under the broker, as its kernel would say it: syncs
// that fail, and files that cannot grow. What could not be written is not
// confirmed, and what was confirmed is there afterwards.
func (k *kit) disk(ctx context.Context, t *testing.T) {
	err := k.failingSync(ctx, filepath.Join(t.TempDir(), "queues"))
	if err == nil && !k.Failed() {
		err = k.fullDisk(ctx, filepath.Join(t.TempDir(), "queues"))
	}
	if err != nil {
		k.Violate("disk", "%v", err)
	}
}

// failingSync takes the syncs of a broker over.
func (k *kit) failingSync(ctx context.Context, dir string) error {
	l := k.newLives("failing sync", dir, 1, "disk")
	defer l.abandon()
	if _, err := l.open(ctx); err != nil {
		return err
	}
	q := l.queues[0]
	if err := l.some(ctx, q, 20); err != nil {
		return err
	}
	out, err := l.request(ctx, brokerRequest{Op: askIntercept})
	if err != nil {
		return err
	}
	if out.Done == 0 {
		k.NotMeasured("disk", "failing syncs were not tried: %s", out.Why)
		return nil
	}
	tries := []func(context.Context, *durableQueue) error{l.heldSync, l.failedSync, l.brokenDisk}
	if quiet, err := l.quiet(ctx); err != nil {
		return err
	} else if !quiet {
		k.Note("The broker syncs while it is idle: a single sync that fails was not tried.")
		tries = slices.Delete(tries, 1, 2)
	}
	for _, try := range tries {
		if err := try(ctx, q); err != nil || k.Failed() {
			return err
		}
	}
	return l.restarted(ctx)
}

// quiet tells whether the broker syncs nothing while nobody asks it to.
func (l *brokerLives) quiet(ctx context.Context) (bool, error) {
	before, err := l.request(ctx, brokerRequest{Op: askSyncs})
	if err != nil {
		return false, err
	}
	time.Sleep(wait.Pause)
	after, err := l.request(ctx, brokerRequest{Op: askSyncs})
	return before.Done == after.Done, err
}

// some publishes messages that must be confirmed.
func (l *brokerLives) some(ctx context.Context, q *durableQueue, n int) error {
	for range n {
		done, why, err := l.publish(ctx, q, 1, 0)
		if err != nil {
			return err
		} else if done == 0 {
			return fmt.Errorf("%w: Publish returned %s", errBroker, why)
		}
	}
	return nil
}

// restarted kills the broker and goes through the ledger after the restart.
func (l *brokerLives) restarted(ctx context.Context) error {
	if err := l.kill(); err != nil {
		return err
	}
	if _, err := l.open(ctx); err != nil {
		return err
	}
	if err := l.checkAll(ctx, 1); err != nil {
		return err
	}
	return l.leave()
}

// publishOutcome is what came of a request that may wait.
type publishOutcome struct {
	done int
	why  string
	err  error
}

// held publishes a message while syncs are held up, and returns once the broker
// has asked for one.
func (l *brokerLives) held(ctx context.Context, q *durableQueue) (published chan publishOutcome, err error) {
	if _, err := l.request(ctx, brokerRequest{Op: askHold}); err != nil {
		return nil, err
	}
	before, err := l.request(ctx, brokerRequest{Op: askSyncs})
	if err != nil {
		return nil, err
	}
	published = make(chan publishOutcome, 1)
	go func() {
		var o publishOutcome
		o.done, o.why, o.err = l.publish(ctx, q, 1, 0)
		published <- o
	}()
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	late := time.NewTimer(scenario.Settle)
	defer late.Stop()
	for {
		select {
		case o := <-published:
			if o.done > 0 {
				l.Violate("disk", "a message was confirmed while the sync that would bring it to the disk had not ended")
			}
			published <- o
			return published, o.err
		case <-late.C:
			return nil, fmt.Errorf("%w: Publish neither returned nor synced anything within %v", errBroker, scenario.Settle)
		case <-pause.C:
		}
		now, err := l.request(ctx, brokerRequest{Op: askSyncs})
		if err != nil {
			return nil, err
		}
		if now.Done > before.Done {
			return published, nil
		}
	}
}

// heldSync: while its sync is under way a message is not confirmed.
func (l *brokerLives) heldSync(ctx context.Context, q *durableQueue) error {
	published, err := l.held(ctx, q)
	if err != nil || l.Failed() {
		return err
	}
	select {
	case o := <-published:
		if o.done > 0 {
			l.Violate("disk", "a message was confirmed while the sync that would bring it to the disk had not ended")
		}
		return o.err
	case <-time.After(wait.Pause):
	}
	if _, err := l.request(ctx, brokerRequest{Op: askFail}); err != nil {
		return err
	}
	o := <-published
	if o.err == nil && o.done == 0 {
		return fmt.Errorf("%w: Publish returned %s though its sync, which took long, has succeeded", errBroker, o.why)
	}
	return o.err
}

// failedSync: one sync fails, and those after it succeed. That proves nothing of
// what the first should have written: the kernel may have dropped it.
func (l *brokerLives) failedSync(ctx context.Context, q *durableQueue) error {
	published, err := l.held(ctx, q)
	if err != nil {
		return err
	}
	if _, err := l.request(ctx, brokerRequest{Op: askFail, Fail: 1}); err != nil {
		return err
	}
	o := <-published
	if o.done > 0 {
		l.Violate("disk", "a message was confirmed though the sync that should have brought it to the disk failed")
	}
	return o.err
}

// brokenDisk: while all syncs fail nothing is confirmed.
func (l *brokerLives) brokenDisk(ctx context.Context, q *durableQueue) error {
	if _, err := l.request(ctx, brokerRequest{Op: askFail, Fail: -1}); err != nil {
		return err
	}
	for range diskTries {
		done, _, err := l.publish(ctx, q, 1, 0)
		if err != nil {
			return err
		}
		if done > 0 {
			l.Violate("disk", "a message was confirmed while every sync failed")
			return nil
		}
	}
	return nil
}

// fullDisk limits the size of the broker's files, first somewhere behind what
// is written now, then to nothing, and lifts the limit again.
func (k *kit) fullDisk(ctx context.Context, dir string) error {
	l := k.newLives("full disk", dir, 1, "disk")
	defer l.abandon()
	if _, err := l.open(ctx); err != nil {
		return err
	}
	q := l.queues[0]
	if err := l.some(ctx, q, 20); err != nil {
		return err
	}
	image, err := readImage(dir)
	if err != nil {
		return err
	}
	longest := 0
	for _, f := range image.files {
		longest = max(longest, len(f.data))
	}
	refused, why := 0, ""
	fill := func(limit int64, tries int) error {
		if _, err := l.request(ctx, brokerRequest{Op: askLimit, Limit: limit}); err != nil {
			return err
		}
		for range tries {
			done, said, err := l.publish(ctx, q, 1, fillPad)
			if err != nil {
				return err
			}
			if done == 0 {
				refused, why = refused+1, said
				if refused == 3 {
					break
				}
			}
		}
		return nil
	}
	if err := fill(int64(longest+q.draw(4096)), fillTries); err != nil {
		return err
	}
	if err := fill(1, diskTries); err != nil {
		return err
	}
	if err := fill(-1, diskTries); err != nil {
		return err
	}
	if refused == 0 {
		k.NotMeasured("disk", "the limit on the size of files, which stands for a full disk, made no Publish fail")
	} else {
		k.Note("A full disk was a limit on the size of files (RLIMIT_FSIZE): Publish returned %s.", why)
	}
	return l.restarted(ctx)
}
