package queue_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tensile/queue"
	"tensile/queue/internal/faultfs"
	"tensile/queue/wal"
)

// model is what a queue must do, said as plainly as possible.
type model struct {
	cfg      queue.Config
	dead     *model
	last     uint64
	messages []*modelled
}

type modelled struct {
	id       uint64
	body     string
	attempts int
	leased   bool
	due      time.Time // end of the lease or the delay; zero while ready
}

func (m *model) publish(body string) uint64 {
	m.last++
	m.messages = append(m.messages, &modelled{id: m.last, body: body})
	return m.last
}

func (m *model) ready(now time.Time) []*modelled {
	m.expire(now)
	ready := slices.DeleteFunc(slices.Clone(m.messages), func(x *modelled) bool { return !x.due.IsZero() })
	slices.SortFunc(ready, func(a, b *modelled) int { return cmp.Compare(a.id, b.id) })
	return ready
}

func (m *model) expire(now time.Time) {
	due := slices.DeleteFunc(slices.Clone(m.messages), func(x *modelled) bool {
		return x.due.IsZero() || x.due.After(now)
	})
	// In the order in which their time is up, as that is the order of dead letters.
	slices.SortStableFunc(due, func(a, b *modelled) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.id, b.id))
	})
	for _, x := range due {
		m.comeBack(x)
	}
}

func (m *model) comeBack(x *modelled) {
	x.leased, x.due = false, time.Time{}
	if m.cfg.MaxAttempts > 0 && x.attempts >= m.cfg.MaxAttempts {
		m.remove(x)
		m.dead.publish(x.body)
	}
}

func (m *model) remove(x *modelled) {
	m.messages = slices.DeleteFunc(m.messages, func(y *modelled) bool { return y == x })
}

// restart is the death of the process: leases and delays end.
func (m *model) restart() {
	for _, x := range m.messages {
		x.leased, x.due = false, time.Time{}
	}
	for _, x := range slices.Clone(m.messages) {
		m.comeBack(x)
	}
}

// held pairs a delivery with what the model knows of it.
type held struct {
	delivery queue.Delivery
	message  *modelled
	attempt  int
}

// A queue does what the model does, whatever comes in whatever order.
func TestModel(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 40
	}
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable=%v", durable), func(t *testing.T) {
			for round := range rounds {
				synctest.Test(t, func(t *testing.T) {
					m := newModelRun(t, uint64(round), durable)
					for range 300 {
						m.step()
					}
				})
				if t.Failed() {
					t.Fatalf("round %d", round)
				}
			}
		})
	}
}

type modelRun struct {
	t      *testing.T
	random *rand.Rand
	disk   *faultfs.FS // nil in memory
	b      *queue.Broker
	queues []*queue.Queue // the dead-letter queue first
	models []*model
	held   []held
	log    []string
}

func newModelRun(t *testing.T, seed uint64, durable bool) *modelRun {
	r := &modelRun{t: t, random: rand.New(rand.NewPCG(seed, 11))}
	if durable {
		r.disk = faultfs.New()
	}
	dead := &model{cfg: queue.Config{Visibility: 7 * time.Second}}
	r.models = []*model{dead, {dead: dead, cfg: queue.Config{
		Visibility: 5 * time.Second, MaxAttempts: 3, DeadLetter: "dead", MaxLen: 20, Overflow: queue.Reject,
	}}}
	r.start()
	t.Cleanup(r.close)
	return r
}

func (r *modelRun) start() {
	o := queue.Options{}
	if r.disk != nil {
		o = queue.Options{Dir: "/queues", FS: r.disk, SegmentSize: wal.MinSegmentSize}
	}
	r.b = open(r.t, o)
	require.Empty(r.t, r.b.Recovery().Damage)
	r.queues = []*queue.Queue{declare(r.t, r.b, "dead", r.models[0].cfg), declare(r.t, r.b, "q", r.models[1].cfg)}
}

func (r *modelRun) fail(format string, args ...any) {
	for _, line := range r.log {
		r.t.Log(line)
	}
	r.t.Fatalf(format, args...)
}

func (r *modelRun) did(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// step does one random thing to both, and compares.
func (r *modelRun) step() {
	at := r.random.IntN(2)
	q, m := r.queues[at], r.models[at]
	now := time.Now()
	switch what := r.random.IntN(100); {
	case what < 30:
		r.publish(q, m)
	case what < 55:
		r.receive(q, m, now)
	case what < 85 && len(r.held) > 0:
		r.end(r.random.IntN(len(r.held)), now)
	case what < 98:
		pause := time.Duration(r.random.IntN(3000)) * time.Millisecond
		r.did("pause %v", pause)
		time.Sleep(pause)
	case r.disk != nil:
		r.restart()
	}
	synctest.Wait()
	for _, m := range slices.Backward(r.models) { // dead letters last
		m.expire(time.Now())
	}
	for i, m := range r.models {
		s := r.queues[i].Stats()
		leased, delayed := 0, 0
		for _, x := range m.messages {
			if x.leased {
				leased++
			} else if !x.due.IsZero() {
				delayed++
			}
		}
		if s.Len() != len(m.messages) || s.InFlight != leased || s.Delayed != delayed {
			r.fail("%s holds %d, %d leased and %d delayed; the model %d, %d and %d",
				r.queues[i].Name(), s.Len(), s.InFlight, s.Delayed, len(m.messages), leased, delayed)
		}
	}
}

func (r *modelRun) publish(q *queue.Queue, m *model) {
	n := 1 + r.random.IntN(4)
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = fmt.Appendf(nil, "%s-%d-%d", q.Name(), m.last, r.random.IntN(1000))
	}
	var first uint64
	var err error
	if n == 1 {
		first, err = q.Publish(r.t.Context(), bodies[0])
	} else {
		first, err = q.PublishBatch(r.t.Context(), bodies)
	}
	r.did("publish %s to %s: %d, %v", bodies, q.Name(), first, err)
	if m.cfg.MaxLen > 0 && len(m.messages)+n > m.cfg.MaxLen {
		require.ErrorIs(r.t, err, queue.ErrFull)
		return
	}
	require.NoError(r.t, err)
	for i, body := range bodies {
		if id := m.publish(string(body)); id != first+uint64(i) {
			r.fail("the ID of %s is %d, the model says %d", body, first+uint64(i), id)
		}
	}
}

func (r *modelRun) receive(q *queue.Queue, m *model, now time.Time) {
	ready := m.ready(now)
	buf := make([]queue.Delivery, 1+r.random.IntN(4))
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Nanosecond) // of a clock that stands still
	defer cancel()
	if len(ready) > 0 {
		ctx = context.Background()
	}
	n, err := q.ReceiveBatch(ctx, buf)
	r.did("receive %d from %s: %d, %v", len(buf), q.Name(), n, err)
	if len(ready) == 0 {
		require.ErrorIs(r.t, err, context.DeadlineExceeded)
		return
	}
	require.NoError(r.t, err)
	if want := min(len(buf), len(ready)); n != want {
		r.fail("%d received, the model says %d", n, want)
	}
	for i, d := range buf[:n] {
		x := ready[i]
		x.attempts++
		x.leased, x.due = true, now.Add(m.cfg.Visibility)
		if d.ID != x.id || string(d.Body) != x.body || d.Attempt != x.attempts {
			r.fail("received %d %q attempt %d, the model says %+v", d.ID, d.Body, d.Attempt, x)
		}
		r.held = append(r.held, held{d, x, x.attempts})
	}
}

// end does something with a delivery, which may be stale.
func (r *modelRun) end(i int, now time.Time) {
	h := r.held[i]
	at := slices.IndexFunc(r.models, func(m *model) bool { return slices.Contains(m.messages, h.message) })
	holds := at >= 0 && h.message.leased && h.message.attempts == h.attempt
	var err error
	switch r.random.IntN(5) {
	case 0, 1:
		err = h.delivery.Ack(r.t.Context())
		r.did("ack %q: %v", h.delivery.Body, err)
		if holds {
			r.models[at].remove(h.message)
		}
	case 2:
		err = h.delivery.Nack(0)
		r.did("nack %q: %v", h.delivery.Body, err)
		if holds {
			r.models[at].comeBack(h.message)
		}
	case 3:
		delay := time.Duration(1+r.random.IntN(4000)) * time.Millisecond
		err = h.delivery.Nack(delay)
		r.did("nack %q for %v: %v", h.delivery.Body, delay, err)
		if holds {
			h.message.leased, h.message.due = false, now.Add(delay)
			if m := r.models[at]; m.cfg.MaxAttempts > 0 && h.message.attempts >= m.cfg.MaxAttempts {
				m.comeBack(h.message)
			}
		}
	case 4:
		more := time.Duration(1+r.random.IntN(9000)) * time.Millisecond
		err = h.delivery.Extend(more)
		r.did("extend %q by %v: %v", h.delivery.Body, more, err)
		if holds {
			h.message.due = now.Add(more)
		}
	}
	if holds {
		require.NoError(r.t, err)
	} else {
		require.ErrorIs(r.t, err, queue.ErrLeaseEnded)
	}
	if r.random.IntN(2) == 0 {
		r.held = slices.Delete(r.held, i, i+1)
	}
}

// restart kills the broker, or closes it, and opens it again.
func (r *modelRun) restart() {
	if r.random.IntN(2) == 0 {
		r.did("close")
		require.NoError(r.t, r.b.Close())
	} else {
		r.did("kill")
		killed := r.disk.Clone()
		require.NoError(r.t, r.b.Close())
		r.disk = killed
	}
	for _, m := range slices.Backward(r.models) {
		m.restart()
	}
	r.held = nil
	r.start()
}

func (r *modelRun) close() {
	err := r.b.Close()
	if r.disk != nil {
		assert.NoError(r.t, err)
	} else if err != nil {
		assert.ErrorIs(r.t, err, queue.ErrDiscarded)
	}
}
