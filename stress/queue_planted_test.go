package stress_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue/wal"
	"tensile/stress/queuetest"
	"tensile/stress/report"
	"tensile/stress/validate"
)

func TestPlantedBrokers(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyQueue", []fault{
		{"loses one in 100,000", "lost"},
		{"doubles one", "duplicated"},
		{"invents one", "phantom"},
		{"corrupts one", "corrupted"},
		{"takes the wrong queue", "misrouted"},
		{"two holders", "was given to a second consumer while one held it"},
		{"time-outs end too early", "its visibility time-out is"},
		{"nack loses", "it was refused: message 1 came instead of message 2"},
		{"attempt stuck", "as attempt 1 and it is its attempt 2"},
		{"unbounded", "did not wait in a queue that is full"},
		{"one too many in a queue", "a queue bounded to 8 took 9 messages"},
		{"another error when full", "a full queue that is to refuse returned"},
		{"takes after close", "Publish after Close returned nil"},
		{"remembers what was acknowledged", "each message that was acknowledged leaves "},
		{"forgets the fifth who waits", "8 consumers waited and as many messages were published"},
	})
}

func TestPlantedBrokersThatNeverAnswer(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaughtWaiting(t, "TestFaultyQueue", []fault{
		{"swaps two messages", "reordered"}, // and has a consumer wait for the end of its queue
		{"forgets time-outs", "the visibility time-out has ended: message 1 did not come"},
		{"ack does nothing", "message 2 came instead of message"},
		{"misses the dead letter", "queueing.dead_letter"},
		{"dead letter is lost", "the dead-letter queue"},
		{"forgets a waiting publisher", "was not let in"},
		{"publish hangs", "never ended"},
		{"forgets a waiting consumer", "no operation has ended"},
		{"too slow", "too slow: "},
		{"takes a message with it", "a consumer gave up"},
		{"close forgets who waits", "still waits"},
		{"leaks a goroutine", "1 goroutines"},
		{"close loses what is left", "after Close and opening again message"},
		{"confirms before the write", "was confirmed and is gone"},
	})
	mustBeCaughtWaiting(t, "TestFaultyQueue$/^disk", []fault{
		{"confirms on a full disk", "queueing.disk: message"},
	}, processes)
}

func TestPlantedDurableBrokers(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyQueue", []fault{
		{"loses confirmed acks", "though its acknowledgement had been confirmed"},
		{"comes back as new", "it came back as new"},
		{"swaps two on the disk", "queueing.durable_reordered"},
		{"invents one after a restart", "was never sent"},
		{"cries wolf", "the process had only been killed"},
		{"crashes", "its process ended by itself"},
		{"does not open again", "it did not open after restart 1"},
		{"no lock", "a second process opened the log"},
		{"refuses a damaged log", "the broker does not open"},
		{"stops at damage", "is lost, although it is readable"},
		{"swallows damage", "the broker does not report that place"},
		{"never syncs", "was confirmed while the sync that would bring it to the disk had not ended"},
		{"confirms after a failed sync", "was confirmed though the sync that should have brought it to the disk failed"},
		{"tries a failed sync again", "was confirmed though the sync that should have brought it to the disk failed"},
	})
}

// TestPowerCutsOfPlantedBrokers: what is only lost by a power cut, and not by
// SIGKILL, is found where the power is cut.
func TestPowerCutsOfPlantedBrokers(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyQueue$/^power_cut$", []fault{
		{"syncs no folder", "its folder queues"},
		{"syncs a file once", "no sync of the file came after that"},
		{"two types, and never syncs", "no sync of the file came after that"},
		{"confirms after a failed sync", "failed after that"},
		{"tries a failed sync again", "failed after that"},
		{"confirms on a full disk", "no space left on device"},
	}, "STRESS_SCALE=100000", "STRESS_PATIENCE=10s") // a call must fail in the right place: that takes many programs
}

func TestPlantedOptionsOfDurableBrokers(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaught(t, "TestFaultyQueue", []fault{
		{"delivers once too often after a restart", "it must be a dead letter after 1"},
		{"brings the dead back", "again after it had come as a dead letter"},
		{"has no bound on the disk", "were held at once, it is bounded to 8"},
		{"ends delays early", "before its delay had passed"},
		{"acknowledges one of a batch", "though its acknowledgement had been confirmed"},
		{"reverses a batch", "queueing.durable_reordered"},
	})
	mustBeCaughtWaiting(t, "TestFaultyQueue", []fault{
		{"buries before it is on the disk", "neither in its queue nor in the dead-letter queue"},
		{"drops the last of a batch", "neither in its queue nor in the dead-letter queue"},
	})
}

// TestBrokerWithoutOptions: what a broker does not offer is not asked of it, and
// the report says so.
func TestBrokerWithoutOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a process of its own")
	}
	out := t.TempDir()
	said, _ := runKitWith(unexplored, "TestFaultyQueue", plantedVariable+"=offers no options", "STRESS_SCALE=2000",
		"STRESS_OUT="+out)
	r, err := report.Load(out)
	require.NoError(t, err, said)
	nothingButSlow(t, r)
	left := map[string]validate.Verdict{}
	for _, s := range r.Scenarios {
		for _, c := range s.Checks {
			left[c.ID] = c.Verdict
		}
	}
	for _, id := range []string{"option_kills", "durable_dead_letter", "durable_bounded"} {
		assert.Equal(t, validate.NotOffered, left["queueing."+id], id)
	}
	assert.Equal(t, validate.Passed, left["queueing.kills"])
}

// TestFaultyQueue is the kit over a broker with the fault that is planted.
func TestFaultyQueue(t *testing.T) {
	skipUnlessPlanted(t)
	queuetest.TestBroker(t, func(tb testing.TB, cfg queuetest.Config) queuetest.Broker {
		plantInConfig(&cfg)
		return plantInBroker(tb, openBrokerOn(tb, cfg, faultyDisk()), cfg)
	})
}

// faultyBroker is a sound broker with a fault on top.
type faultyBroker struct {
	subjectBroker
	cfg       queuetest.Config
	published atomic.Int64
	received  atomic.Int64
	acked     atomic.Int64
	closed    atomic.Bool
	mu        sync.Mutex
	last      map[int]*faultyDelivery // of each queue, held by somebody
	put       []byte                  // aside, to be swapped
	putQueue  int
	async     []chan []byte
	waiting   atomic.Int32 // consumers
	kept      [][]byte
}

// plantInConfig is for faults that lie in what the queues are asked for.
func plantInConfig(cfg *queuetest.Config) {
	switch planted {
	case "forgets time-outs":
		cfg.Visibility = time.Hour
	case "time-outs end too early":
		cfg.Visibility /= 2
	case "unbounded":
		if !cfg.Reject {
			cfg.MaxLen = 0
		}
	case "one too many in a queue":
		if cfg.Reject {
			cfg.MaxLen++
		}
	case "has no bound on the disk":
		if cfg.Dir != "" {
			cfg.MaxLen, cfg.Reject = 0, false
		}
	case "delivers once too often after a restart":
		if reopened(*cfg) && cfg.MaxAttempts > 0 {
			cfg.MaxAttempts++
		}
	}
}

// reopened tells whether a broker is opened on what another has left.
func reopened(cfg queuetest.Config) bool {
	left, err := os.ReadDir(cfg.Dir)
	return err == nil && len(left) > 0
}

// faultyDisk is for faults that lie below the log; nil if the fault is elsewhere.
func faultyDisk() wal.FS {
	switch planted {
	case "no lock", "never syncs", "confirms after a failed sync", "tries a failed sync again", "confirms on a full disk",
		"syncs no folder", "syncs a file once", "two types, and never syncs":
		return faultySystem{}
	}
	return nil
}

func plantInBroker(tb testing.TB, s subjectBroker, cfg queuetest.Config) queuetest.Broker {
	if planted == "offers no options" {
		return plainBroker{s}
	}
	if planted == "two types, and never syncs" {
		if cfg.Dir == "" {
			return inMemory{s}
		}
		return plainBroker{s}
	}
	b := &faultyBroker{subjectBroker: s, cfg: cfg, last: make(map[int]*faultyDelivery)}
	restarted := cfg.Dir != "" && len(s.Recovery().Queues) > 0
	torn, damaged := s.Recovered()
	switch {
	case planted == "leaks a goroutine" && cfg.MaxAttempts > 0:
		go func() { select {} }()
	case planted == "does not open again" && restarted && cfg.Queues > 1:
		tb.Fatal("I do not like this log")
	case planted == "refuses a damaged log" && len(torn)+len(damaged) > 0:
		_ = s.Close()
		tb.Fatal("the log is damaged")
	case planted == "stops at damage" && len(damaged) > 0:
		for range s.queues[0].Stats().Ready / 2 {
			d, err := s.queues[0].Receive(context.Background())
			if err != nil || d.Ack(context.Background()) != nil {
				tb.Fatal(err)
			}
		}
	case planted == "invents one after a restart" && restarted:
		_ = s.Publish(context.Background(), 0, inventedBody())
	case planted == "confirms before the write" && cfg.Dir != "" && cfg.Queues > 1:
		for i := range s.queues {
			bodies := make(chan []byte, 1024)
			b.async = append(b.async, bodies)
			go func() {
				for body := range bodies {
					time.Sleep(time.Millisecond)
					_ = s.Publish(context.Background(), i, body)
				}
			}()
		}
	}
	return b
}

// inventedBody is a message that looks like one of the kit.
func inventedBody() []byte {
	const id, factor = uint64(1<<32 - 1), uint64(0x9E3779B97F4A7C15)
	body := binary.LittleEndian.AppendUint64(nil, id)
	sum := id
	sum = sum*factor + 1
	return binary.LittleEndian.AppendUint64(body, sum)
}

func (b *faultyBroker) Publish(ctx context.Context, queue int, body []byte) error {
	n := b.published.Add(1)
	switch {
	case planted == "loses one in 100,000" && n%100_000 == 0:
		return nil
	case planted == "doubles one" && n == 5_000:
		_ = b.subjectBroker.Publish(ctx, queue, body)
	case planted == "invents one" && n == 5_000:
		_ = b.subjectBroker.Publish(ctx, queue, inventedBody())
	case planted == "corrupts one" && n == 5_000:
		body = append([]byte{body[0] ^ 1}, body[1:]...)
	case planted == "takes the wrong queue" && n == 5_000 && b.cfg.Queues > 1:
		queue = (queue + 8) % b.cfg.Queues
	case planted == "swaps two messages", planted == "swaps two on the disk" && b.cfg.Dir != "" && b.cfg.Queues > 1 &&
		b.cfg.Queues < 100:
		return b.swap(ctx, queue, body, n)
	case planted == "another error when full":
		if err := b.subjectBroker.Publish(ctx, queue, body); err != nil {
			return errors.New("no")
		}
		return nil
	case planted == "forgets a waiting publisher" && b.cfg.MaxLen > 0 && n > int64(b.cfg.MaxLen):
		<-ctx.Done()
		return ctx.Err()
	case planted == "too slow" && b.cfg.Queues == 100:
		time.Sleep(10 * time.Millisecond)
	case planted == "publish hangs" && n == 5_000:
		select {}
	case planted == "takes after close" && b.closed.Load():
		return nil
	case planted == "confirms before the write" && b.async != nil:
		b.async[queue] <- body
		return nil
	case planted == "refuses one on the disk" && b.cfg.Dir != "" && n == 500:
		return errors.New("no")
	case planted == "crashes" && b.cfg.Dir != "" && b.cfg.Queues > 1 && b.cfg.Queues < 100 && n == 200:
		panic("on purpose")
	}
	return b.subjectBroker.Publish(ctx, queue, body)
}

// swap puts every 500th message aside and publishes it after the next of its
// queue.
func (b *faultyBroker) swap(ctx context.Context, queue int, body []byte, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.put == nil && n%500 == 0 {
		b.put, b.putQueue = body, queue
		return nil
	}
	err := b.subjectBroker.Publish(ctx, queue, body)
	if b.put != nil && b.putQueue == queue && err == nil {
		err = b.subjectBroker.Publish(ctx, queue, b.put)
		b.put = nil
	}
	return err
}

func (b *faultyBroker) Receive(ctx context.Context, queue int) (queuetest.Delivery, error) {
	n := b.received.Add(1)
	defer b.waiting.Add(-1)
	switch waiting := b.waiting.Add(1); {
	case planted == "forgets the fifth who waits" && waiting > 4:
		<-ctx.Done()
		return nil, ctx.Err()
	case planted == "two holders" && b.cfg.Queues == 100 && n%100 == 0: // where none is acknowledged meanwhile
		b.mu.Lock()
		last := b.last[queue]
		if last != nil {
			last.shared = make(chan struct{})
			delete(b.last, queue)
		}
		b.mu.Unlock()
		if last != nil {
			return last, nil
		}
	case planted == "forgets a waiting consumer" && n == 5_000:
		<-ctx.Done()
		return nil, ctx.Err()
	case planted == "close forgets who waits":
		d, err := b.subjectBroker.Receive(ctx, queue)
		if err != nil {
			<-ctx.Done()
		}
		return d, err
	case planted == "takes a message with it" && b.cfg.Queues == 1:
		got := make(chan queuetest.Delivery, 1)
		go func() {
			if d, err := b.subjectBroker.Receive(context.Background(), queue); err == nil {
				if ctx.Err() != nil {
					_ = d.Ack(ctx)
				}
				got <- d
			}
		}()
		select {
		case d := <-got:
			return d, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	d, err := b.subjectBroker.Receive(ctx, queue)
	if err != nil {
		return nil, err
	}
	f := &faultyDelivery{subjectDelivery: d.(subjectDelivery), b: b, queue: queue}
	b.mu.Lock()
	b.last[queue] = f
	b.mu.Unlock()
	return f, nil
}

func (b *faultyBroker) PublishBatch(ctx context.Context, queue int, bodies [][]byte) error {
	switch {
	case planted == "drops the last of a batch" && len(bodies) > 1:
		bodies = bodies[:len(bodies)-1]
	case planted == "reverses a batch":
		slices.Reverse(bodies)
	}
	return b.subjectBroker.PublishBatch(ctx, queue, bodies)
}

func (b *faultyBroker) ReceiveBatch(ctx context.Context, queue, most int) ([]queuetest.Delivery, error) {
	all, err := b.subjectBroker.ReceiveBatch(ctx, queue, most)
	for i, d := range all {
		all[i] = &faultyDelivery{subjectDelivery: d.(subjectDelivery), b: b, queue: queue}
	}
	return all, err
}

func (b *faultyBroker) AckBatch(ctx context.Context, queue int, all []queuetest.Delivery) error {
	own := make([]queuetest.Delivery, len(all))
	for i, d := range all {
		own[i] = d.(*faultyDelivery).subjectDelivery
	}
	if planted == "acknowledges one of a batch" {
		own = own[:1]
	}
	return b.subjectBroker.AckBatch(ctx, queue, own)
}

func (b *faultyBroker) ReceiveDead(ctx context.Context, queue int) (queuetest.Delivery, error) {
	if planted == "brings the dead back" && b.cfg.Dir != "" {
		d, err := b.subjectBroker.ReceiveDead(ctx, queue)
		if err == nil {
			err = b.subjectBroker.Publish(ctx, queue, d.Body())
		}
		return d, err
	}
	if planted == "dead letter is lost" {
		d, err := b.subjectBroker.ReceiveDead(ctx, queue)
		if err == nil {
			err = errors.Join(d.Ack(ctx))
		}
		if err != nil {
			return nil, err
		}
	}
	return b.subjectBroker.ReceiveDead(ctx, queue)
}

func (b *faultyBroker) Close() error {
	b.closed.Store(true)
	if planted == "close loses what is left" && b.cfg.Dir != "" {
		for _, q := range b.queues {
			for range q.Stats().Ready {
				if d, err := q.Receive(context.Background()); err == nil {
					_ = d.Ack(context.Background())
				}
			}
		}
	}
	return b.subjectBroker.Close()
}

func (b *faultyBroker) Recovered() (torn, damaged []queuetest.Gap) {
	torn, damaged = b.subjectBroker.Recovered()
	switch planted {
	case "swallows damage":
		return nil, nil
	case "cries wolf":
		damaged = append(damaged, queuetest.Gap{File: "imagined"})
	}
	return torn, damaged
}

type faultyDelivery struct {
	subjectDelivery
	b      *faultyBroker
	queue  int
	shared chan struct{} // closed once both of two holders are done; nil with one holder
	done   atomic.Int32  // holders
}

func (d *faultyDelivery) Attempt() int {
	if planted == "attempt stuck" || planted == "comes back as new" && d.b.cfg.Dir != "" {
		return 1
	}
	return d.subjectDelivery.Attempt()
}

func (d *faultyDelivery) Ack(ctx context.Context) error {
	d.b.mu.Lock()
	if d.b.last[d.queue] == d {
		delete(d.b.last, d.queue)
	}
	shared := d.shared
	d.b.mu.Unlock()
	if shared != nil { // the first holder keeps it until the second has it
		if d.done.Add(1) == 2 {
			close(shared)
		}
		select {
		case <-shared:
		case <-ctx.Done():
		}
	}
	n := d.b.acked.Add(1)
	switch {
	case planted == "remembers what was acknowledged":
		d.b.mu.Lock()
		d.b.kept = append(d.b.kept, d.Body())
		d.b.mu.Unlock()
	case planted == "ack does nothing":
		return nil
	case planted == "loses confirmed acks" && d.b.cfg.Dir != "" && d.b.cfg.Queues > 1 && n%20 == 0:
		return nil
	case planted == "comes back as new" && d.b.cfg.Dir != "" && d.b.cfg.Queues > 1:
		time.Sleep(200 * time.Millisecond) // so that some are in flight at every kill
	}
	return d.subjectDelivery.Ack(ctx)
}

// last tells whether it is the last attempt.
func (d *faultyDelivery) last() bool {
	return d.b.cfg.MaxAttempts > 0 && d.subjectDelivery.Attempt() == d.b.cfg.MaxAttempts
}

func (d *faultyDelivery) Nack() error {
	switch {
	case planted == "nack loses":
		return d.subjectDelivery.Ack(context.Background())
	case planted == "misses the dead letter" && d.last():
		body := d.Body()
		if err := d.subjectDelivery.Ack(context.Background()); err != nil {
			return err
		}
		return d.b.subjectBroker.Publish(context.Background(), d.queue, body)
	case planted == "buries before it is on the disk" && d.b.cfg.Dir != "" && d.last():
		if err := d.subjectDelivery.Ack(context.Background()); err != nil {
			return err
		}
		go func() {
			time.Sleep(20 * time.Millisecond) // so that some are in flight at every kill
			_, _ = d.b.dead[d.queue].Publish(context.Background(), d.Body())
		}()
		return nil
	}
	return d.subjectDelivery.Nack()
}

func (d *faultyDelivery) NackAfter(delay time.Duration) error {
	if planted == "ends delays early" || d.last() {
		return d.Nack()
	}
	return d.subjectDelivery.NackAfter(delay)
}

// plainBroker is a durable broker without dead letters, bounds and batches.
type plainBroker struct{ broker subjectBroker }

func (p plainBroker) Publish(ctx context.Context, queue int, body []byte) error {
	return p.broker.Publish(ctx, queue, body)
}

func (p plainBroker) Receive(ctx context.Context, queue int) (queuetest.Delivery, error) {
	return p.broker.Receive(ctx, queue)
}

func (p plainBroker) Close() error { return p.broker.Close() }
func (plainBroker) Durable()       {}

// inMemory is a broker without any ability.
type inMemory struct{ queuetest.Broker }

// faultySystem is the file system of the operating system with a fault on top.
type faultySystem struct{ wal.System }

func (s faultySystem) Create(path string) (wal.File, error) {
	f, err := s.System.Create(path)
	return faultyFile{f, new(atomic.Int32)}, err
}

func (s faultySystem) SyncDir(dir string) error {
	if planted == "syncs no folder" {
		return nil
	}
	return s.System.SyncDir(dir)
}

func (s faultySystem) Lock(path string) (io.Closer, error) {
	if planted == "no lock" {
		return io.NopCloser(nil), nil
	}
	return s.System.Lock(path)
}

type faultyFile struct {
	wal.File
	syncs *atomic.Int32
}

func (f faultyFile) Datasync() error {
	switch {
	case planted == "never syncs", planted == "two types, and never syncs",
		planted == "syncs a file once" && f.syncs.Add(1) > 1:
		return nil
	}
	err := f.File.Datasync()
	switch {
	case err != nil && planted == "confirms after a failed sync":
		return nil
	case err != nil && planted == "tries a failed sync again":
		return f.File.Datasync()
	}
	return err
}

func (f faultyFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	if planted == "confirms on a full disk" {
		return len(p), nil
	}
	return n, err
}
