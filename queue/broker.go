package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"tensile/queue/wal"
)

// Broker holds queues by name. All of its methods are safe for concurrent use.
type Broker struct {
	epoch time.Time
	log   *wal.Log // nil in memory
	found Recovery

	mu     sync.RWMutex
	queues map[string]*Queue
	all    queueList // those declared in that order
	err    error     // why Declare is refused
	closed bool

	keeper keeper // if there is a log
}

// Recovery is what Open found in the log.
type Recovery struct {
	wal.Recovery
	// Queues has the number of messages of each queue that has any. They wait
	// until the queue is declared.
	Queues map[string]int
}

// Open returns a broker without queues, or with those that its log holds. Each of these
// is available once it is declared again.
//
// The errors are ErrLocked, ErrInvalid, ErrFormat, wal.ErrVersion, and those of the file
// system. Damage to the log is not an error; see Recovery.
func Open(o Options) (*Broker, error) {
	b := &Broker{epoch: time.Now(), queues: make(map[string]*Queue)}
	if o.Dir == "" {
		return b, nil
	}
	if o.SegmentSize != 0 && o.SegmentSize < wal.MinSegmentSize {
		return nil, invalid("SegmentSize", o.SegmentSize,
			fmt.Sprintf("0 for %d, or %d and more", wal.DefaultSegmentSize, wal.MinSegmentSize))
	}
	if err := b.openLog(o); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return b, nil
}

// Recovery returns what Open found. It is empty for a broker in memory.
func (b *Broker) Recovery() Recovery { return b.found }

// Declare makes a queue, or returns the one that was declared with the same Config. A
// queue that the log holds has its messages again, under the Config given now; the log
// does not hold the Config.
//
// The errors are ErrInvalid, ErrExists, ErrUnknownQueue for a dead-letter queue
// that was not declared, ErrClosed and ErrFailed.
func (b *Broker) Declare(name string, cfg Config) (*Queue, error) {
	if len(name) == 0 || len(name) > MaxName {
		return nil, invalid("length of name", len(name), fmt.Sprintf("1 to %d", MaxName))
	}
	if err := cfg.validate(); err != nil {
		return nil, &queueError{err, name}
	}
	q, err := b.declare(name, cfg)
	if err != nil {
		return nil, &queueError{err, name}
	}
	return q, nil
}

func (b *Broker) declare(name string, cfg Config) (*Queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	q := b.queues[name]
	if q != nil && q.declared {
		if q.cfg != cfg {
			return nil, fmt.Errorf("%w: %+v", ErrExists, q.cfg)
		}
		return q, nil
	}
	var deadLetter *Queue
	if cfg.DeadLetter != "" {
		if deadLetter = b.queues[cfg.DeadLetter]; deadLetter == nil || !deadLetter.declared {
			return nil, fmt.Errorf("%w: dead-letter queue %q, it must be declared before", ErrUnknownQueue, cfg.DeadLetter)
		}
	}
	if q == nil {
		q = b.add(name)
	} else {
		b.all.remove(q) // and added again: it must follow its dead-letter queue
		b.all.add(q)
	}
	if deadLetter != nil {
		deadLetter.buriers++
	}
	q.adopt(cfg, deadLetter)
	return q, nil
}

// add makes a queue that is not declared yet.
func (b *Broker) add(name string) *Queue {
	q := newQueue(b, name)
	b.queues[name] = q
	b.all.add(q)
	return q
}

// snapshot returns all queues, including those not declared.
func (b *Broker) snapshot() []*Queue {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Collect(b.all.each)
}

// adopt declares a queue, and buries messages whose last attempt was before the process
// ended.
func (q *Queue) adopt(cfg Config, deadLetter *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cfg, q.deadLetter, q.declared = cfg, deadLetter, true
	now := q.b.now()
	for m := q.ready.first; m != nil; {
		next := m.next
		if q.exhausted(m) {
			q.ready.remove(m)
			q.comeBack(m, now)
		}
		m = next
	}
}

// Queue returns a queue that was declared, or ErrUnknownQueue.
func (b *Broker) Queue(name string) (*Queue, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	q := b.queues[name]
	if q == nil || !q.declared {
		return nil, &queueError{ErrUnknownQueue, name}
	}
	return q, nil
}

// Drain refuses Publish and Declare from now on with ErrClosed, and returns when every
// message was acknowledged, including those in dead-letter queues. Receivers get the
// remaining messages and then ErrClosed. If ctx ends first, Drain returns its error, and
// the broker stays as it is. Close must still be called.
func (b *Broker) Drain(ctx context.Context) error {
	b.mu.Lock()
	if b.err == nil {
		b.err = ErrClosed
	}
	b.mu.Unlock()
	declared := slices.DeleteFunc(b.snapshot(), func(q *Queue) bool { return !q.declared })
	for _, q := range declared {
		q.stopPublishing()
	}
	// A dead-letter queue was declared before the queues whose dead letters it gets.
	// From the last to the first, no dead letter can arrive later.
	for _, q := range slices.Backward(declared) {
		if err := q.drained(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) stopPublishing() {
	q.mu.Lock()
	q.draining = true
	var out woken
	for w := q.publishers.shift(); w != nil; w = q.publishers.shift() {
		w.err = ErrClosed
		out.add(w)
	}
	q.mu.Unlock()
	out.wake()
}

// drained waits until nothing is held, and then turns receivers away.
func (q *Queue) drained(ctx context.Context) error {
	q.mu.Lock()
	if q.empty == nil {
		q.empty = make(chan struct{})
	}
	empty := q.empty
	woken := q.settle()
	q.mu.Unlock()
	woken.wake()
	select {
	case <-empty:
	case <-ctx.Done():
		return ctx.Err()
	}
	if held := q.end(ErrClosed); held > 0 {
		return q.fault(ErrClosed) // it was closed, or failed, in the meantime
	}
	return nil
}

// Close turns all waiters and later callers away with ErrClosed. A durable
// broker keeps every message for the next Open; one in memory returns an error
// that wraps ErrDiscarded if it held any. It returns ErrFailed if the log has failed.
// Closing again does nothing.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed, b.err = true, ErrClosed
	b.mu.Unlock()
	held := 0
	for _, q := range b.snapshot() {
		held += q.end(ErrClosed)
	}
	if b.log != nil {
		b.keeper.stop()
		return b.log.Close()
	}
	if held > 0 {
		return fmt.Errorf("queue: %w: %d", ErrDiscarded, held)
	}
	return nil
}

// LogStats returns the figures of the log. They are zero for a broker in memory.
func (b *Broker) LogStats() wal.Stats {
	if b.log == nil {
		return wal.Stats{}
	}
	return b.log.Stats()
}
