package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue"
	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

func onDisk(disk *faultfs.FS) queue.Options {
	return queue.Options{Dir: "/queues", FS: disk, SegmentSize: wal.MinSegmentSize}
}

// killed is the disk as SIGKILL would leave it now.
func killed(t *testing.T, b *queue.Broker, disk *faultfs.FS) *faultfs.FS {
	left := disk.Clone()
	require.NoError(t, b.Close())
	return left
}

func TestRestartKeepsWhatWasConfirmed(t *testing.T) {
	disk := faultfs.New()
	b := open(t, onDisk(disk))
	dead := declare(t, b, "dead", queue.Config{})
	q := declare(t, b, "q", queue.Config{MaxAttempts: 2, DeadLetter: "dead"})
	publish(t, q, "a", "b", "c", "d", "e", "f")
	got := expect(t, q, "a", "b", "c", "d")
	require.NoError(t, got[0].Ack(t.Context()))
	require.NoError(t, got[1].Nack(0))
	got = append(got, expect(t, q, "b")...)
	require.NoError(t, got[4].Nack(0)) // a dead letter
	n, err := q.AckBatch(t.Context(), got[2:3])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	publish(t, dead, "x")

	disk = killed(t, b, disk)
	b = open(t, onDisk(disk))
	assert.Equal(t, map[string]int{"q": 3, "dead": 2}, b.Recovery().Queues)
	_, err = b.Queue("q")
	assert.ErrorIs(t, err, queue.ErrUnknownQueue, "it is not declared yet")
	dead = declare(t, b, "dead", queue.Config{})
	q = declare(t, b, "q", queue.Config{MaxAttempts: 2, DeadLetter: "dead"})
	got = expect(t, q, "d", "e", "f")
	assert.Equal(t, []int{2, 1, 1}, attempts(got), "a delivery before the kill counts")
	assert.Equal(t, []uint64{4, 5, 6}, ids(got))
	assert.Equal(t, []uint64{1, 2}, ids(expect(t, dead, "b", "x")))
	for _, d := range got {
		require.NoError(t, d.Ack(t.Context()))
	}
	require.NoError(t, b.Close())

	b = open(t, onDisk(disk))
	dead = declare(t, b, "dead", queue.Config{})
	q = declare(t, b, "q", queue.Config{})
	assert.Zero(t, q.Stats().Len())
	publish(t, q, "g")
	assert.Equal(t, []uint64{7}, ids(expect(t, q, "g")), "an ID is not given twice")
	assert.Equal(t, []int{2, 2}, attempts(expect(t, dead, "b", "x")))
	require.NoError(t, b.Close())
}

func attempts(deliveries []queue.Delivery) (all []int) {
	for _, d := range deliveries {
		all = append(all, d.Attempt)
	}
	return all
}

func ids(deliveries []queue.Delivery) (all []uint64) {
	for _, d := range deliveries {
		all = append(all, d.ID)
	}
	return all
}

// What had its last attempt when the process died is a dead letter once its
// queue is declared.
func TestLastAttemptBeforeTheKill(t *testing.T) {
	disk := faultfs.New()
	b := open(t, onDisk(disk))
	q := declare(t, b, "q", queue.Config{})
	publish(t, q, "a", "b", "c")
	expect(t, q, "a", "b")
	disk = killed(t, b, disk)
	b = open(t, onDisk(disk))
	dead := declare(t, b, "dead", queue.Config{})
	q = declare(t, b, "q", queue.Config{MaxAttempts: 1, DeadLetter: "dead"})
	expect(t, q, "c")
	expect(t, dead, "a", "b")
	require.NoError(t, b.Close())
}

func TestUndeclaredQueueIsKept(t *testing.T) {
	disk := faultfs.New()
	b := open(t, onDisk(disk))
	publish(t, declare(t, b, "q", queue.Config{}), "a")
	require.NoError(t, b.Close())
	for range 3 {
		b = open(t, onDisk(disk))
		other := declare(t, b, "other", queue.Config{})
		for range 200 { // through several segments
			publish(t, other, "x")
			require.NoError(t, receive(t, other).Ack(t.Context()))
		}
		require.NoError(t, b.Close())
	}
	b = open(t, onDisk(disk))
	expect(t, declare(t, b, "q", queue.Config{}), "a")
	require.NoError(t, b.Close())
}

// One message that nobody fetches must not keep the log from shrinking.
func TestLogStaysSmall(t *testing.T) {
	disk := faultfs.New()
	b := open(t, onDisk(disk))
	old := declare(t, b, "old", queue.Config{})
	idle := declare(t, b, "idle", queue.Config{})
	q := declare(t, b, "q", queue.Config{})
	publish(t, old, "a", "b")
	expect(t, old, "a")
	publish(t, idle, "x")
	require.NoError(t, receive(t, idle).Ack(t.Context()))
	for range 500 {
		publish(t, q, "a message that comes and goes")
		require.NoError(t, receive(t, q).Ack(t.Context()))
	}
	require.Eventually(t, func() bool { return b.LogStats().Segments <= 8 }, 10*time.Second, time.Millisecond)
	assert.Greater(t, b.LogStats().Written, int64(100*wal.MinSegmentSize))
	disk = killed(t, b, disk)
	b = open(t, onDisk(disk))
	old = declare(t, b, "old", queue.Config{})
	q = declare(t, b, "q", queue.Config{})
	assert.Empty(t, b.Recovery().Damage)
	got := expect(t, old, "a", "b")
	assert.Equal(t, []int{2, 1}, attempts(got), "its attempts move with it")
	assert.Zero(t, q.Stats().Len())
	idle = declare(t, b, "idle", queue.Config{})
	publish(t, idle, "y")
	assert.Equal(t, []uint64{2}, ids(expect(t, idle, "y")), "though no record of the first is left")
	require.NoError(t, b.Close())
}

// powerFailsAtRemove lets the power fail, on a copy, whenever a file has just
// been removed.
type powerFailsAtRemove struct {
	*faultfs.FS
	random  *rand.Rand
	removed func(left *faultfs.FS)
}

func (f powerFailsAtRemove) Remove(path string) error {
	left := f.Clone()
	if err := f.FS.Remove(path); err != nil {
		return err
	}
	if err := left.Remove(path); err != nil {
		return err
	}
	if err := left.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	left.PowerFailure(f.random)
	f.removed(left)
	return nil
}

// A segment goes only when what is still needed of it is safe elsewhere.
func TestSegmentsGoOnlyWhenTheirMessagesAreSafe(t *testing.T) {
	var times atomic.Int64
	var ready atomic.Bool
	disk := powerFailsAtRemove{faultfs.New(), rand.New(rand.NewPCG(1, 1)), func(left *faultfs.FS) {
		times.Add(1)
		if !ready.Load() {
			return
		}
		b, err := queue.Open(onDisk(left))
		if assert.NoError(t, err) {
			assert.Equal(t, 10, b.Recovery().Queues["old"], "after %d segments have gone", times.Load())
			assert.NoError(t, b.Close())
		}
	}}
	b := open(t, queue.Options{Dir: "/queues", FS: disk, SegmentSize: wal.MinSegmentSize})
	old := declare(t, b, "old", queue.Config{})
	q := declare(t, b, "q", queue.Config{})
	_, err := old.PublishBatch(t.Context(), make([][]byte, 10))
	require.NoError(t, err)
	ready.Store(true)
	for range 100 {
		publish(t, q, "a message that comes and goes")
		require.NoError(t, receive(t, q).Ack(t.Context()))
	}
	// Close ends the keeper where it is.
	assert.Eventually(t, func() bool { return times.Load() > 10 }, time.Minute, time.Millisecond)
	require.NoError(t, b.Close())
}

// After the disk has failed everybody is told, and nothing is confirmed until
// the broker is opened again.
func TestFailedSync(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.Datasync} {
		t.Run(string(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := faultfs.New()
				b := open(t, onDisk(disk))
				q := declare(t, b, "q", queue.Config{})
				empty := declare(t, b, "empty", queue.Config{})
				bounded := declare(t, b, "bounded", queue.Config{MaxLen: 1})
				publish(t, bounded, "x")
				publish(t, q, "a", "b", "c")
				d := receive(t, q)
				var turned atomic.Int32
				go func() {
					_, err := empty.Receive(context.Background())
					assert.ErrorIs(t, err, queue.ErrFailed)
					turned.Add(1)
				}()
				go func() {
					_, err := bounded.Publish(context.Background(), nil)
					assert.ErrorIs(t, err, queue.ErrFailed)
					turned.Add(1)
				}()
				synctest.Wait()
				once := false
				disk.Fail(func(o faultfs.Op, _ string) error {
					if o == op && !once {
						once = true
						return syscall.EIO
					}
					return nil
				})
				_, err := q.Publish(t.Context(), []byte("unconfirmed"))
				assert.ErrorIs(t, err, queue.ErrFailed)
				assert.ErrorIs(t, err, syscall.EIO, "with its cause")
				synctest.Wait()
				assert.Equal(t, int32(2), turned.Load())
				for range 2 {
					for _, err := range []error{
						second(q.Publish(t.Context(), nil)), second(q.PublishBatch(t.Context(), make([][]byte, 2))),
						second(q.Receive(t.Context())), d.Ack(t.Context()), d.Nack(0), d.Extend(1),
						second(q.AckBatch(t.Context(), []queue.Delivery{d})), second(b.Declare("new", queue.Config{})),
					} {
						assert.ErrorIs(t, err, queue.ErrFailed)
					}
				}
				assert.ErrorIs(t, b.Close(), queue.ErrFailed)

				b = open(t, onDisk(disk))
				q = declare(t, b, "q", queue.Config{})
				got := expect(t, q, "a", "b", "c")
				assert.Equal(t, []int{2, 1, 1}, attempts(got))
				publish(t, q, "works again")
				require.NoError(t, b.Close())
			})
		})
	}
}

func TestContextEndsWhileTheDiskIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		b := open(t, onDisk(disk))
		q := declare(t, b, "q", queue.Config{})
		var release chan struct{}
		var slow atomic.Bool
		disk.Fail(func(op faultfs.Op, _ string) error {
			if op == faultfs.Datasync && slow.Load() {
				<-release
			}
			return nil
		})
		publish(t, q, "a")
		release = make(chan struct{})
		slow.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := q.Publish(ctx, []byte("b"))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		slow.Store(false)
		close(release)
		publish(t, q, "c")
		expect(t, q, "a", "b", "c") // it may have taken effect: here it has
		require.NoError(t, b.Close())
	})
}

func TestLogOfSomethingElseIsRefused(t *testing.T) {
	for what, payload := range map[string]string{
		"kind is 77": "\x4d", "name": "\x01\x00", "ID is 0": "\x03\x01q\x00", "number": "\x01\x01q\x01",
	} {
		disk := faultfs.New()
		l, _, err := wal.Open("/queues", wal.Options{FS: disk, SegmentSize: wal.MinSegmentSize}, nil)
		require.NoError(t, err)
		c, err := l.Append([]byte(payload), nil)
		require.NoError(t, err)
		require.NoError(t, c.Wait(t.Context()))
		require.NoError(t, l.Close())
		_, err = queue.Open(onDisk(disk))
		assert.ErrorIs(t, err, queue.ErrFormat)
		assert.ErrorContains(t, err, what)
		assert.ErrorContains(t, err, "/queues/0000000000000001.wal")
		assert.ErrorContains(t, err, "offset 4096")
	}
}

func TestTwoBrokersOfOneFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queues")
	b := open(t, queue.Options{Dir: dir})
	_, err := queue.Open(queue.Options{Dir: dir})
	assert.ErrorIs(t, err, queue.ErrLocked)
	assert.ErrorContains(t, err, dir)
	publish(t, declare(t, b, "q", queue.Config{}), "a")
	require.NoError(t, b.Close())
	b = open(t, queue.Options{Dir: dir})
	expect(t, declare(t, b, "q", queue.Config{}), "a")
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
}

// Damage takes the messages concerned and no others.
func TestDamageIsReportedAndTheRestKept(t *testing.T) {
	disk := faultfs.New()
	large := func() queue.Options { return queue.Options{Dir: "/queues", FS: disk} }
	b := open(t, large())
	q := declare(t, b, "q", queue.Config{})
	publish(t, q, "message one", "message two", "message three")
	disk = killed(t, b, disk)
	disk.Edit(disk.Files()[0], func(data []byte) []byte {
		data[bytes.Index(data, []byte("two"))] ^= 1
		return data
	})
	b = open(t, large())
	require.Len(t, b.Recovery().Damage, 1)
	assert.Equal(t, disk.Files()[0], "/queues/0000000000000001.wal.damaged")
	assert.Equal(t, "/queues/0000000000000001.wal", b.Recovery().Damage[0].File)
	expect(t, declare(t, b, "q", queue.Config{}), "message one", "message three")
	require.NoError(t, b.Close())
}

// Publishers and consumers at work on several queues with dead letters while the
// process is killed, the power fails, or the disk refuses, at any call of the file
// system: nothing confirmed is lost or doubled, nothing acknowledged for sure comes
// back, nothing received as a dead letter does, the order holds, and attempts only
// grow.
func TestNothingConfirmedIsLost(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		tr := &trial{t: t, random: rand.New(rand.NewPCG(uint64(round), 5)), disk: faultfs.New(), seen: newSeen()}
		for range 4 {
			tr.run()
		}
		tr.check()
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

type trial struct {
	t      *testing.T
	random *rand.Rand
	disk   *faultfs.FS
	sent   atomic.Int64

	mu sync.Mutex
	seen
	before seen // when the broker was opened
}

// seen is what the callers of a broker know of its messages.
type seen struct {
	confirmed map[string]bool // Publish returned nil
	acked     map[string]bool // Ack returned nil
	tried     map[string]bool // Ack was called
	dead      map[string]bool // received as a dead letter
	attempt   map[string]int  // the highest seen, by queue and message
}

func newSeen() seen {
	set := func() map[string]bool { return make(map[string]bool) }
	return seen{confirmed: set(), acked: set(), tried: set(), dead: set(), attempt: make(map[string]int)}
}

func (s seen) clone() seen {
	return seen{
		confirmed: maps.Clone(s.confirmed), acked: maps.Clone(s.acked), tried: maps.Clone(s.tried),
		dead: maps.Clone(s.dead), attempt: maps.Clone(s.attempt),
	}
}

// open returns the queues, of which the first gets the dead letters of the others.
func (tr *trial) open(dead, cfg queue.Config) (*queue.Broker, []*queue.Queue) {
	b := open(tr.t, onDisk(tr.disk))
	require.Empty(tr.t, b.Recovery().Damage)
	tr.before = tr.seen.clone()
	queues := []*queue.Queue{declare(tr.t, b, "dead", dead)}
	cfg.DeadLetter = "dead"
	for i := range 3 {
		queues = append(queues, declare(tr.t, b, fmt.Sprintf("queue-%d", i), cfg))
	}
	return b, queues
}

func (tr *trial) took(from *queue.Queue, d queue.Delivery) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	body := string(d.Body)
	// Of this life nothing can be said: who received a message and comes here late
	// may find that it was a dead letter meanwhile.
	if tr.before.acked[body] {
		assert.Fail(tr.t, "came back", "%s was acknowledged for sure", body)
	}
	if from.Name() == "dead" {
		tr.dead[body] = true
	} else if tr.before.dead[body] {
		assert.Fail(tr.t, "came back", "%s was received as a dead letter", body)
	}
	at := from.Name() + " " + body
	if last := tr.attempt[at]; d.Attempt <= last {
		assert.Fail(tr.t, "attempts", "%s: attempt %d after attempt %d", at, d.Attempt, last)
	}
	tr.attempt[at] = d.Attempt
}

// run works until a fault, and leaves the disk as that does.
func (tr *trial) run() {
	const visibility = 5 * time.Millisecond
	b, queues := tr.open(queue.Config{Visibility: visibility, MaxLen: tr.random.IntN(2) * 5},
		queue.Config{Visibility: visibility, MaxAttempts: 1 + tr.random.IntN(2)})
	calls, last := 0, 20+tr.random.IntN(300)
	reached := make(chan struct{})
	fault := error(nil)
	if tr.random.IntN(3) == 0 {
		fault = errors.New("the disk refuses")
	}
	var left *faultfs.FS
	var then seen
	tr.disk.Fail(func(op faultfs.Op, _ string) error {
		if calls++; calls != last {
			return nil
		}
		// What is confirmed from here on the disk need not have: it is the past that
		// must survive.
		tr.mu.Lock()
		then = tr.seen.clone()
		tr.mu.Unlock()
		left = tr.disk.Clone()
		close(reached)
		return fault
	})
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i, q := range queues {
		if i > 0 {
			all.Go(func() { tr.publish(ctx, q) })
		}
		all.Go(func() { tr.consume(ctx, q) })
	}
	<-reached
	cancel()
	tr.disk.Fail(nil)
	_ = b.Close() // it may have failed
	all.Wait()
	if tr.random.IntN(2) == 0 {
		left.PowerFailure(tr.random)
	}
	tr.disk, tr.seen = left, then
}

func (tr *trial) publish(ctx context.Context, q *queue.Queue) {
	for ctx.Err() == nil {
		body := fmt.Sprintf("%s-%09d", q.Name(), tr.sent.Add(1))
		if _, err := q.Publish(context.Background(), []byte(body)); err != nil {
			return
		}
		tr.mu.Lock()
		tr.confirmed[body] = true
		tr.mu.Unlock()
	}
}

func (tr *trial) consume(ctx context.Context, q *queue.Queue) {
	for n := 0; ; n++ {
		d, err := q.Receive(ctx)
		if err != nil {
			return
		}
		tr.took(q, d)
		switch n % 5 {
		case 0:
			continue // its time-out will end
		case 1, 2:
			_ = d.Nack(time.Duration(n%2) * time.Millisecond)
			continue
		}
		tr.mu.Lock()
		tr.tried[string(d.Body)] = true
		tr.mu.Unlock()
		if d.Ack(context.Background()) == nil {
			tr.mu.Lock()
			tr.acked[string(d.Body)] = true
			tr.mu.Unlock()
		}
	}
}

// check fetches all that is left.
func (tr *trial) check() {
	b, queues := tr.open(queue.Config{Visibility: time.Hour}, queue.Config{Visibility: time.Hour, MaxAttempts: 1 << 20})
	left := make(map[string]bool)
	for i, q := range queues {
		var bodies []string
		for range q.Stats().Len() {
			d := receive(tr.t, q)
			tr.took(q, d)
			if left[string(d.Body)] {
				assert.Fail(tr.t, "doubled", "%s is there twice", d.Body)
			}
			bodies = append(bodies, string(d.Body))
			left[string(d.Body)] = true
		}
		if i > 0 && !slices.IsSorted(bodies) {
			assert.Fail(tr.t, "order", "%s: %v", q.Name(), bodies)
		}
	}
	for body := range tr.confirmed {
		if !left[body] && !tr.tried[body] {
			assert.Fail(tr.t, "lost", "%s was confirmed", body)
		}
	}
	require.NoError(tr.t, b.Close())
}
