package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/scenario"
	"tensile/stress/internal/wait"
	"tensile/stress/load"
	"tensile/stress/measure"
	"tensile/stress/report"
	"tensile/stress/validate"
)

// heldMessage is one that a consumer has not acknowledged yet.
type heldMessage struct {
	delivery Delivery
	id       uint64
}

// reader receives from some queues in turn, up to the end of each, and holds
// a number of messages of each before it acknowledges the oldest.
type reader struct {
	book   *messageBook
	queues []consumedQueue
	acked  func(id uint64) // nil if nobody wants to know
}

type consumedQueue struct {
	queue  int
	expect int // messages
	got    int
	ended  bool
	ring   []heldMessage
	oldest int
}

// run consumes until all queues have ended.
func (c *reader) run(ctx context.Context, b Broker) {
	defer c.book.Recovered(c.book.phase)
	for open := len(c.queues); open > 0; {
		for i := range c.queues {
			q := &c.queues[i]
			if q.ended {
				continue
			}
			ok := c.next(ctx, b, q)
			if !ok {
				return
			}
			if q.ended {
				open--
			}
		}
	}
}

// next receives one message of a queue.
func (c *reader) next(ctx context.Context, b Broker, q *consumedQueue) bool {
	d, id, ended, ok := c.book.receive(ctx, b, q.queue)
	if !ok {
		return false
	}
	if !ended {
		q.got++
		return c.hold(ctx, q, heldMessage{d, id})
	}
	q.ended = true
	if !c.ack(ctx, q, heldMessage{d, id}) || !c.late(ctx, b, q) {
		return false
	}
	for i := range q.ring {
		if h := q.ring[(q.oldest+i)%len(q.ring)]; h.delivery != nil && !c.ack(ctx, q, h) {
			return false
		}
	}
	return true
}

// late gives what was passed by the end of its queue a while to come: so it is
// called reordered and not lost.
func (c *reader) late(ctx context.Context, b Broker, q *consumedQueue) bool {
	for q.got < q.expect {
		short, cancel := context.WithTimeout(ctx, wait.Pause)
		d, err := b.Receive(short, q.queue)
		cancel()
		if err != nil {
			return true // the ledger says what is missing
		}
		m, intact := payload.ReadBody(d.Body())
		c.book.ledger.Arrive(m.ID, q.queue, intact)
		if !c.ack(ctx, q, heldMessage{d, m.ID}) {
			return false
		}
		q.got++
	}
	return true
}

// hold keeps a message and acknowledges the oldest, if there are enough.
func (c *reader) hold(ctx context.Context, q *consumedQueue, h heldMessage) bool {
	if len(q.ring) == 0 {
		return c.ack(ctx, q, h)
	}
	h, q.ring[q.oldest] = q.ring[q.oldest], h
	q.oldest = (q.oldest + 1) % len(q.ring)
	return h.delivery == nil || c.ack(ctx, q, h)
}

func (c *reader) ack(ctx context.Context, q *consumedQueue, h heldMessage) bool {
	if !c.book.ack(ctx, h.delivery, h.id, q.queue) {
		return false
	}
	if c.acked != nil && h.id < uint64(len(c.book.states)) {
		c.acked(h.id)
	}
	return true
}

// trafficPlan is n messages to some queues. Every queue has one publisher and
// one consumer, so that its order is known.
type trafficPlan struct {
	queues, n int
	hold      int // messages that a consumer holds of each queue
	acked     func(id uint64)
}

// workers is the number of publishers, and of consumers.
func (t trafficPlan) workers() int { return min(mostWorkers, t.queues) }

// each is the number of messages of a publisher.
func (t trafficPlan) each() int { return t.n / t.workers() }

// queueOf is where the i-th message of a publisher goes: those of a worker are
// every k-th queue, in turn.
func (t trafficPlan) queueOf(worker, i int) int {
	return worker + i%t.queuesOf(worker)*t.workers()
}

func (t trafficPlan) queuesOf(worker int) int {
	return (t.queues - worker + t.workers() - 1) / t.workers()
}

// consumers returns those of the traffic.
func (t trafficPlan) consumers(book *messageBook) []*reader {
	all := make([]*reader, t.workers())
	for w := range all {
		c := &reader{book: book, acked: t.acked}
		of := t.queuesOf(w)
		for i := range of {
			c.queues = append(c.queues, consumedQueue{queue: t.queueOf(w, i), ring: make([]heldMessage, t.hold),
				expect: (t.each() - i + of - 1) / of})
		}
		all[w] = c
	}
	return all
}

// bodies makes the messages before the clock starts.
func (t trafficPlan) bodies() func(id int) []byte {
	buf := make([]byte, 0, 16*t.n)
	for id := range t.n {
		buf = payload.AppendBody(buf, uint64(id))
	}
	return func(id int) []byte { return buf[16*id : 16*id+16 : 16*id+16] }
}

// publisher publishes the messages of a worker and ends its queues.
func (t trafficPlan) publisher(ctx context.Context, b Broker, book *messageBook, worker int, body func(id int) []byte) {
	defer book.Recovered(book.phase)
	for i := range t.each() {
		id := worker*t.each() + i
		if !book.publish(ctx, b, uint64(id), t.queueOf(worker, i), body(id)) {
			return
		}
	}
	for i := range t.queuesOf(worker) {
		if !book.end(ctx, b, t.queueOf(worker, i)) {
			return
		}
	}
}

// traffic sends messages from publishers to consumers, all of them at once, and
// audits them. started is called when the clock starts.
func (k *kit) traffic(ctx context.Context, t *testing.T, phase string, tr trafficPlan, started func()) bool {
	tr.n = tr.each() * tr.workers()
	b := k.start(t, Config{Queues: tr.queues})
	book := k.newBook(phase, tr.n, tr.each(), tr.queues)
	body, consumers := tr.bodies(), tr.consumers(book)
	k.Follow(tr.n, wait.Counter(&book.acked), book.flight.Now)
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	stall.Watch(book.steps)
	began := time.Now()
	if started != nil {
		started()
	}
	ended := wait.AllWithin(ctx, scenario.Settle, 2*tr.workers(), func(i int) {
		if w := i / 2; i%2 == 0 {
			tr.publisher(ctx, b, book, w, body)
		} else {
			consumers[w].run(ctx, b)
		}
	})
	stall.Stop()
	if !book.finished(ctx, began, ended) {
		return false
	}
	k.close(b)
	k.book(phase, book.ledger.Audit(true))
	return !k.Failed()
}

// order sends to one queue, from one publisher to one consumer.
func (k *kit) order(ctx context.Context, t *testing.T) {
	k.traffic(ctx, t, "order", trafficPlan{queues: 1, n: 20_000}, nil)
}

// inFlight has N messages delivered and not acknowledged at the same moment.
func (k *kit) inFlight(ctx context.Context, t *testing.T) {
	tr := trafficPlan{queues: min(queueCount, k.N), n: k.N}
	b := k.start(t, Config{Queues: tr.queues})
	book := k.newBook("in flight", k.N, k.N, tr.queues)
	k.Follow(k.N, wait.Counter(&book.acked), book.flight.Now)
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	began := time.Now()
	stall.Watch(book.steps)
	held := make([][]heldMessage, tr.queues)
	var receiving sync.WaitGroup
	receiving.Add(tr.workers())
	everything := make(chan struct{})
	go func() { receiving.Wait(); close(everything) }()
	ended := wait.AllWithin(ctx, scenario.Settle, tr.workers(), func(w int) {
		defer k.Recovered("in flight")
		k.fetch(ctx, b, book, tr, w, held)
		receiving.Done()
		<-everything // acknowledging begins when all is in flight
		for q := w; q < tr.queues; q += tr.workers() {
			for _, h := range held[q] {
				if !book.ack(ctx, h.delivery, h.id, q) {
					return
				}
			}
		}
	})
	stall.Stop()
	if !book.finished(ctx, began, ended) {
		return
	}
	k.close(b)
	k.Book("in flight", book.ledger.Audit(true))
	k.Measured("in_flight", float64(book.flight.Peak()))
	k.RecordBurst(func(b *report.Burst) { b.Peak = book.flight.Peak() })
	k.Record(func(r *report.Scenario) { r.Operations += k.N })
}

// fetch publishes the messages of every k-th queue, and receives them.
func (k *kit) fetch(ctx context.Context, b Broker, book *messageBook, tr trafficPlan, w int, held [][]heldMessage) {
	for q := w; q < tr.queues; q += tr.workers() {
		for id := q; id < tr.n; id += tr.queues {
			if !book.publish(ctx, b, uint64(id), q, payload.Body(uint64(id))) {
				return
			}
		}
		if !book.end(ctx, b, q) {
			return
		}
	}
	for q := w; q < tr.queues; q += tr.workers() {
		for ended := false; !ended; {
			d, id, end, ok := book.receive(ctx, b, q)
			if !ok {
				return
			}
			held[q], ended = append(held[q], heldMessage{d, id}), end
		}
	}
}

// messages is how many are sent under load: enough for a fault that strikes
// once in 100,000 to strike.
func (k *kit) messages() int {
	if k.Environment().Race {
		return scenario.MinMessages / 2
	}
	return min(max(10*k.N, scenario.MinMessages), scenario.MaxMessages)
}

func (k *kit) throughput(ctx context.Context, t *testing.T) {
	n := k.messages()
	var rec *measure.Recorder
	var err error
	k.UnderLoad(func() { rec, err = k.full(ctx, t, "throughput", k.N, n) })
	if err != nil {
		return
	}
	rate := rec.Throughput()
	k.Timed("throughput_reach", rate)
	k.Record(func(r *report.Scenario) { r.Operations += n })
	k.RecordBurst(func(b *report.Burst) {
		b.Seconds, b.Throughput, b.Little = float64(rec.Took())/1e9, rate, report.Little(k.N, rate)
		b.Series = rec.Series()
	})
	turn := func(k *kit) func(n int) (float64, bool) {
		return func(n int) (float64, bool) {
			rec, err := k.full(ctx, t, "turns", k.heldOf(n), n)
			if err != nil {
				return 0, false
			}
			return rec.Throughput(), true
		}
	}
	if c, ok := k.CompareRate(ctx, "throughput", n, rate, turn(k), turn(k.beside())); ok {
		k.rate = min(c.Subject, c.Control)
		k.Compared("throughput", c)
	}
}

// heldOf is how many are held of a load of n messages, in proportion to the whole.
func (k *kit) heldOf(n int) int {
	return min(max(int(float64(k.N)*float64(n)/float64(k.messages())), mostWorkers), k.N)
}

// pace is the rate of the throughput phase; where that was left out, of a shorter
// load.
func (k *kit) pace(ctx context.Context, t *testing.T) float64 {
	if k.rate > 0 {
		return k.rate
	}
	n := max(k.messages()/measure.LeastPairs, mostWorkers)
	k.UnderLoad(func() {
		if rec, err := k.full(ctx, t, "throughput", k.heldOf(n), n); err == nil {
			k.rate = rec.Throughput()
		}
	})
	return k.rate
}

// full takes messages from publish to acknowledgement as fast as that goes,
// while consumers hold about n.
func (k *kit) full(ctx context.Context, t *testing.T, phase string, n, messages int) (*measure.Recorder, error) {
	tr := trafficPlan{queues: min(queueCount, n), n: messages}
	tr.hold = n / tr.queues
	rec := measure.NewRecorder(messages)
	tr.acked = func(id uint64) { rec.Done(int(id), 0) }
	if !k.traffic(ctx, t, phase, tr, func() { rec.Begin(time.Now()) }) {
		return nil, errors.New("messages were not handled as they should")
	}
	return rec, ctx.Err()
}

func (k *kit) steady(ctx context.Context, t *testing.T) {
	pace := k.pace(ctx, t)
	if pace == 0 {
		return // and why has been said
	}
	rate := k.SteadyRate(pace)
	turn := func(k *kit) scenario.SteadyLoad {
		return func(ctx context.Context, n int, rate float64) (scenario.SteadyTurn, bool) {
			return k.offerSteady(ctx, t, n, rate)
		}
	}
	k.CompareSteady(ctx, scenario.SteadyCount(k.messages(), rate), rate, turn(k), turn(k.beside()))
}

// offerSteady publishes n messages at a rate; a message's latency ends with its
// acknowledgement.
func (k *kit) offerSteady(ctx context.Context, t *testing.T, n int, rate float64) (turn scenario.SteadyTurn, ok bool) {
	tr := trafficPlan{queues: min(queueCount, max(k.N, mostWorkers)), n: max(n/mostWorkers, 1) * mostWorkers}
	rec, due := measure.NewRecorder(tr.n), make([]int64, tr.n)
	tr.acked = func(id uint64) { rec.Done(int(id), due[id]) }
	b := k.start(t, Config{Queues: tr.queues})
	book := k.newBook("steady", tr.n, tr.each(), tr.queues)
	body, consumers := tr.bodies(), tr.consumers(book)
	k.Follow(tr.n, wait.Counter(&book.acked), book.flight.Now)
	stall := wait.NewStall(ctx, scenario.Stall)
	defer stall.Release()
	ctx = stall
	stall.Watch(book.steps)
	began, ended := time.Now(), false
	var consuming sync.WaitGroup
	consuming.Go(func() {
		ended = wait.AllWithin(ctx, scenario.Settle, len(consumers), func(w int) { consumers[w].run(ctx, b) })
	})
	turn.Out = load.Steady(ctx, load.Plan{Rate: rate, Count: tr.n, Arrivals: k.Run.Settings.Arrivals, Seed: k.Seed,
		Generators: scenario.Generators, Inline: true},
		func(began time.Time, _ *load.InFlight) { rec.Begin(began) },
		func(i int, at int64) {
			// Workers take turns, so that each generator has some of its own.
			w, i := i%mostWorkers, i/mostWorkers
			id := w*tr.each() + i
			due[id] = at
			book.publish(ctx, b, uint64(id), tr.queueOf(w, i), body(id))
		})
	for q := range tr.queues {
		book.end(ctx, b, q)
	}
	consuming.Wait()
	stall.Stop()
	if !book.finished(ctx, began, ended) {
		return turn, false
	}
	k.close(b)
	k.book("steady", book.ledger.Audit(true))
	turn.Rec = rec
	return turn, !k.Failed()
}

// loads are those by which the broker is taken beyond the scenario.
func (k *kit) loads(t *testing.T) scenario.Loads {
	return scenario.Loads{
		Burst: func(ctx context.Context, n int) (float64, error) {
			rec, err := k.full(ctx, t, "scaling", n, max(n, scenario.MinMessages))
			if err != nil {
				return 0, err
			}
			return rec.Throughput(), nil
		},
		Steady: func(ctx context.Context, n int, rate float64) (load.Open, measure.Latency, error) {
			turn, ok := k.offerSteady(ctx, t, n, rate)
			if !ok {
				return turn.Out, measure.Latency{}, errors.New("messages were not handled as they should")
			}
			return turn.Out, turn.Rec.Latency(), ctx.Err()
		},
	}
}

// BenchmarkBroker measures messages from publish to acknowledgement over 100
// queues in memory, with 100,000 delivered and not acknowledged all the while.
func BenchmarkBroker(b *testing.B, open func(testing.TB, Config) Broker) {
	broker := open(b, Config{Queues: queueCount, Visibility: longVisibility})
	ctx := context.Background()
	body := payload.Body(1)
	const each = validate.BaseScale / queueCount
	cycle := func(queue int, rings [][]Delivery, i int) error {
		if err := broker.Publish(ctx, queue, body); err != nil {
			return err
		}
		d, err := broker.Receive(ctx, queue)
		if err != nil {
			return err
		}
		ring := rings[queue]
		d, ring[i%each] = ring[i%each], d
		if d == nil {
			return nil
		}
		return d.Ack(ctx)
	}
	rings := make([][]Delivery, queueCount)
	for q := range rings {
		rings[q] = make([]Delivery, each)
		for i := range each {
			if err := cycle(q, rings, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	failures := make(chan error, mostWorkers)
	for w := range mostWorkers {
		all.Go(func() {
			of := (queueCount - w + mostWorkers - 1) / mostWorkers
			for i := range (b.N + mostWorkers - 1) / mostWorkers {
				if err := cycle(w+i%of*mostWorkers, rings, i/of); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	select {
	case err := <-failures:
		b.Fatal(err)
	default:
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	for q := range rings {
		for _, d := range rings[q] {
			if err := d.Ack(ctx); err != nil {
				b.Fatal(fmt.Errorf("queue %d: %w", q, err))
			}
		}
	}
	if err := broker.Close(); err != nil {
		b.Fatal(err)
	}
}
