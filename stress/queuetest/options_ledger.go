package queuetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// optionQueue is the account of one queue and its dead-letter queue over all
// lives of a broker that has every option on: a message may be acknowledged,
// refused, delayed, left until its lease ends, and become a dead letter.
type optionQueue struct {
	kit   *kit
	cfg   Config
	index int
	room  chan struct{} // holds a token when messages may have left a full queue

	mu       sync.Mutex
	random   *rand.Rand
	messages []optionMessage // by number
	life     int             // of the broker
	newest   int             // the highest number that this life took in and delivered
	leased   map[int]bool    // numbers held from the queue itself, some no more
	totals   optionTotals
}

// optionTotals are what became of messages.
type optionTotals struct{ confirmed, acked, dead, expired, delayed, full int }

func (t *optionTotals) add(o optionTotals) {
	t.confirmed, t.acked, t.dead = t.confirmed+o.confirmed, t.acked+o.acked, t.dead+o.dead
	t.expired, t.delayed, t.full = t.expired+o.expired, t.delayed+o.delayed, t.full+o.full
}

// optionMessage is what the parent knows of a message.
type optionMessage struct {
	confirmed bool      // Publish returned nil
	tried     bool      // Ack was called
	acked     bool      // Ack returned nil
	dead      bool      // it came as a dead letter
	died      time.Time // when that was first known
	delivered int       // how often it came from its queue, at least
	sent      int       // the life in which it was published
	seen      int       // the life in which it came last; -1 before
	// held is when the last delivery was asked for; zero once it was ended.
	held time.Time
	// back is before when a message that was refused with a delay must not come.
	back time.Time
}

func (k *kit) newOptionQueue(cfg Config, index int) *optionQueue {
	return &optionQueue{kit: k, cfg: cfg, index: index, room: make(chan struct{}, 1), leased: make(map[int]bool),
		random: rand.New(rand.NewPCG(k.Seed, uint64(cfg.MaxAttempts)<<32|uint64(index)))}
}

// begin begins a life of the broker: leases and delays may have ended.
func (q *optionQueue) begin(life int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.life, q.newest = life, -1
	clear(q.leased)
}

// send notes n messages that are about to be published.
func (q *optionQueue) send(n int) []uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = uint64(q.index)<<32 | uint64(len(q.messages))
		q.messages = append(q.messages, optionMessage{sent: q.life, seen: -1})
	}
	return ids
}

// confirm notes that messages were confirmed.
func (q *optionQueue) confirm(ids []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		q.messages[uint32(id)].confirmed = true
	}
	q.totals.confirmed += len(ids)
}

// arrive takes a delivery in, from the queue or its dead-letter queue, that was
// asked for at an instant.
func (q *optionQueue) arrive(w wireMessage, dead bool, asked time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	number, where := int(uint32(w.ID)), q.name(dead)
	switch {
	case !w.Intact:
		q.kit.Violate("durable_phantom", "a corrupted message came from %s", where)
		return
	case w.ID>>32 != uint64(q.index) || number >= len(q.messages):
		q.kit.Violate("durable_phantom", "message %#x came from %s and was never sent there", w.ID, where)
		return
	}
	m := &q.messages[number]
	if !dead && m.dead && asked.Before(m.died) {
		// It came before, and is heard of only now: the queue and its dead-letter queue
		// have a consumer each.
		m.delivered++
		return
	}
	here := m.seen == q.life && m.dead == dead // it came before from the same place
	switch {
	case m.dead && !dead:
		q.kit.Violate("durable_dead_letter", "message %d came from %s again after it had come as a dead letter",
			number, where)
	case m.acked:
		q.kit.Violate("durable_redelivered", "message %d came from %s though its acknowledgement had been confirmed",
			number, where)
	case here && !m.held.IsZero() && time.Since(m.held) < q.cfg.Visibility:
		q.kit.Violate("exclusive", "message %d was delivered again from %s while it was held", number, where)
	case !dead:
		q.alive(w, m, number, where)
	}
	if here && !m.held.IsZero() {
		q.totals.expired++
	}
	if dead {
		if !m.dead {
			q.totals.dead++
			m.died = time.Now()
		}
		m.dead = true
	} else {
		m.delivered++
		q.leased[number] = true
	}
	m.seen, m.held, m.back = q.life, asked, time.Time{}
	q.bound()
}

// alive judges a delivery that comes from the queue itself.
func (q *optionQueue) alive(w wireMessage, m *optionMessage, number int, where string) {
	most := q.cfg.MaxAttempts
	switch {
	case most > 0 && max(w.Attempt, m.delivered+1) > most:
		q.kit.Violate("durable_dead_letter",
			"message %d came from %s as attempt %d, and had come %d times: it must be a dead letter after %d",
			number, where, w.Attempt, m.delivered, most)
	case m.tried && w.Attempt == 1:
		q.kit.Violate("durable_redelivered",
			"message %d was delivered and its acknowledgement was in flight, and came from %s as new", number, where)
	case m.seen == q.life && time.Now().Before(m.back):
		q.kit.Violate("redelivery", "message %d, refused with a delay, came from %s before its delay had passed",
			number, where)
	}
	// What came back may come at any time; what is new comes in order.
	if m.sent == q.life && m.delivered == 0 && w.Attempt == 1 {
		if number < q.newest {
			q.kit.Violate("durable_reordered", "message %d came from %s after message %d", number, where, q.newest)
		}
		q.newest = max(q.newest, number)
	}
}

// bound judges how many messages a queue holds: at least those of which the
// leases last and that nobody has tried to end.
func (q *optionQueue) bound() {
	for number := range q.leased {
		m := &q.messages[number]
		if m.dead || m.held.IsZero() || time.Since(m.held) >= q.cfg.Visibility {
			delete(q.leased, number)
		}
	}
	if n := len(q.leased); q.cfg.MaxLen > 0 && n > q.cfg.MaxLen {
		q.kit.Violate("durable_bounded", "%d messages of %s were held at once, it is bounded to %d",
			n, q.name(false), q.cfg.MaxLen)
	}
}

func (q *optionQueue) name(dead bool) string {
	text := fmt.Sprintf("queue %d", q.index)
	if dead {
		text = fmt.Sprintf("the dead-letter queue of queue %d", q.index)
	}
	if q.life > 0 {
		text += fmt.Sprintf(" after restart %d", q.life)
	}
	return text
}

// missing are the numbers that must be in the queue or its dead-letter queue and
// have not come in this life: nobody has tried to acknowledge them.
func (q *optionQueue) missing() (numbers []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.messages {
		if m := &q.messages[i]; m.confirmed && !m.tried && m.seen != q.life {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// lost says of messages that they are gone.
func (q *optionQueue) lost(numbers []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	places := "not in its queue"
	if q.cfg.MaxAttempts > 0 {
		places = "neither in its queue nor in the dead-letter queue"
	}
	for _, i := range numbers {
		q.kit.Violate("durable_lost",
			"message %d of queue %d was confirmed, nobody has tried to acknowledge it, and after restart %d it is %s",
			i, q.index, q.life, places)
		q.messages[i].confirmed = false // it was told
	}
}

// end notes that deliveries are about to be acknowledged or refused, and returns
// their handles.
func (q *optionQueue) end(all []wireMessage, ack bool) []uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	handles := make([]uint64, len(all))
	for i, w := range all {
		handles[i] = w.Handle
		if m := q.at(w); m != nil {
			m.tried = m.tried || ack
			m.held = time.Time{}
		}
	}
	return handles
}

// at is what is known of a message, nil if it was never sent.
func (q *optionQueue) at(w wireMessage) *optionMessage {
	if n := int(uint32(w.ID)); w.ID>>32 == uint64(q.index) && n < len(q.messages) {
		return &q.messages[n]
	}
	return nil
}

// acked notes that deliveries were acknowledged, for sure.
func (q *optionQueue) acked(all []wireMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		if m := q.at(w); m != nil {
			m.acked = true
			q.totals.acked++
		}
	}
}

// delayed notes that deliveries from the queue were refused with a delay: they
// must not come back before an instant.
func (q *optionQueue) delayed(all []wireMessage, back time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		if m := q.at(w); m != nil {
			m.back = back
			q.totals.delayed++
		}
	}
}

// fate is what a consumer does with a delivery.
type fate int

const (
	fateAck fate = iota
	fateNack
	fateDelay
	fateLeave // until its lease ends
)

// draw has a part of the deliveries acknowledged, and deals the rest out among
// the other fates.
func (q *optionQueue) draw(all []wireMessage, acked float64) (dealt [fateLeave + 1][]wireMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		f := fateAck
		if q.random.Float64() >= acked {
			f = fateNack + fate(q.random.IntN(int(fateLeave)))
		}
		dealt[f] = append(dealt[f], w)
	}
	return dealt
}

// upTo returns a number from 1 to most.
func (q *optionQueue) upTo(most int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return 1 + q.random.IntN(most)
}

// coin is true half of the time.
func (q *optionQueue) coin() bool { return q.upTo(2) == 1 }

func (q *optionQueue) sums() optionTotals {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.totals
}

// met notes that a publish met a full queue.
func (q *optionQueue) met() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.totals.full++
}
