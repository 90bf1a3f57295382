package queuetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// durableQueue is the account of one queue over all lives of its broker. It has
// one publisher, so its order is known.
type durableQueue struct {
	kit   *kit
	lost  string // criterion of a confirmed message that is gone
	index int

	mu       sync.Mutex
	random   *rand.Rand
	messages []durableMessage // by number
	life     int              // of the broker
	newest   int              // the highest number that was delivered for the first time in this life
	fresh    int              // confirmed in this life and not yet delivered
	more     chan struct{}    // holds a token when fresh has grown
}

// durableMessage is what the parent knows of a message.
type durableMessage struct {
	confirmed bool // Publish returned nil
	asked     bool // Ack was called
	acked     bool // Ack returned nil
	gone      bool // it is known not to be there any more
	life      int  // in which it was delivered last
	since     time.Time
	ever      bool // it was delivered
}

// durableVisibility is long enough that no time-out ends in a life, and short
// enough to wait for where leases outlive the broker.
const durableVisibility = 10 * time.Second

func (k *kit) newDurableQueues(n int, lost string) []*durableQueue {
	all := make([]*durableQueue, n)
	for i := range all {
		all[i] = &durableQueue{
			kit: k, lost: lost, index: i, random: rand.New(rand.NewPCG(k.Seed, uint64(i))), more: make(chan struct{}, 1),
		}
	}
	return all
}

// id is that of the message with a number.
func (q *durableQueue) id(number int) uint64 { return uint64(q.index)<<32 | uint64(number) }

// begin begins a life of the broker, in which everything may come again.
func (q *durableQueue) begin(life int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.life, q.newest, q.fresh = life, -1, 0
}

// send notes n messages that are about to be published, and returns their IDs.
func (q *durableQueue) send(n int) []uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	ids := make([]uint64, n)
	for i := range ids {
		ids[i] = q.id(len(q.messages))
		q.messages = append(q.messages, durableMessage{life: -1})
	}
	return ids
}

// sent is how many messages there were.
func (q *durableQueue) sent() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

func (q *durableQueue) number(id uint64) int { return int(id & (1<<32 - 1)) }

// confirm notes that messages were confirmed.
func (q *durableQueue) confirm(ids []uint64) {
	q.mu.Lock()
	for _, id := range ids {
		q.messages[q.number(id)].confirmed = true
	}
	q.fresh += len(ids)
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// arrive takes a delivery in, asked for at an instant.
func (q *durableQueue) arrive(w wireMessage, asked time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k, after := q.kit, ""
	if q.life > 0 {
		after = fmt.Sprintf(" after restart %d", q.life)
	}
	number := q.number(w.ID)
	switch {
	case !w.Intact:
		k.Violate("durable_phantom", "a corrupted message came from queue %d%s", q.index, after)
		return
	case w.ID>>32 != uint64(q.index) || number >= len(q.messages):
		k.Violate("durable_phantom", "message %#x came from queue %d%s and was never sent there", w.ID, q.index, after)
		return
	}
	m := &q.messages[number]
	switch {
	case m.acked:
		k.Violate("durable_redelivered", "message %d of queue %d came back%s though its acknowledgement had been confirmed",
			number, q.index, after)
	case m.asked && w.Attempt == 1:
		k.Violate("durable_redelivered",
			"message %d of queue %d was delivered and its acknowledgement was in flight, and%s it came back as new",
			number, q.index, after)
	case m.life == q.life && time.Since(m.since) < durableVisibility:
		k.Violate("exclusive", "message %d of queue %d was delivered again while it was held", number, q.index)
	case m.life != q.life:
		// One that was held when the broker was killed may come late, where leases
		// outlive it: when its own has ended. A log may count in whole seconds.
		late := m.ever && time.Since(m.since) >= durableVisibility-time.Second
		if number < q.newest && !late {
			k.Violate("durable_reordered", "message %d of queue %d came after message %d%s", number, q.index, q.newest, after)
		}
		q.newest = max(q.newest, number)
		if q.fresh > 0 && !m.ever {
			q.fresh--
		}
	}
	m.life, m.since, m.ever = q.life, asked, true
}

// missing returns the numbers that must have come in this life, before end, and
// have not.
func (q *durableQueue) missing(end int) (numbers []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.messages[:end] {
		if m := &q.messages[i]; m.confirmed && !m.asked && !m.gone && m.life != q.life {
			numbers = append(numbers, i)
		}
	}
	return numbers
}

// settle draws the line under the messages before end: what is missing is lost,
// and what was never confirmed and did not come will not.
func (q *durableQueue) settle(end int) (lost int) {
	numbers := q.missing(end)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range numbers {
		q.kit.Violate(q.lost, "message %d of queue %d was confirmed and is gone after restart %d", i, q.index, q.life)
	}
	for i := range q.messages[:end] {
		if m := &q.messages[i]; m.life != q.life {
			m.gone = true
		}
	}
	return len(numbers)
}

// available is how many confirmed messages nobody has received yet, up to most.
func (q *durableQueue) available(most int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return min(q.fresh, most)
}

// ask notes that deliveries are about to be acknowledged.
func (q *durableQueue) ask(all []wireMessage) (handles []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		handles = append(handles, w.Handle)
		if n := q.number(w.ID); n < len(q.messages) {
			q.messages[n].asked = true
		}
	}
	return handles
}

// oldest is the time since the first of the deliveries was asked for.
func (q *durableQueue) oldest(all []wireMessage) (longest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		if n := q.number(w.ID); n < len(q.messages) {
			longest = max(longest, time.Since(q.messages[n].since))
		}
	}
	return longest
}

// acked notes that they were, for sure.
func (q *durableQueue) acked(all []wireMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		if n := q.number(w.ID); n < len(q.messages) {
			q.messages[n].acked = true
		}
	}
}

// some draws a part of the deliveries.
func (q *durableQueue) some(all []wireMessage, part float64) (chosen []wireMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range all {
		if q.random.Float64() < part {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// draw returns a number from 1 to most.
func (q *durableQueue) draw(most int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return 1 + q.random.IntN(most)
}

// totals are how many messages were confirmed, and acknowledged for sure.
func (q *durableQueue) totals() (confirmed, acked int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.messages {
		if q.messages[i].confirmed {
			confirmed++
		}
		if q.messages[i].acked {
			acked++
		}
	}
	return confirmed, acked
}
