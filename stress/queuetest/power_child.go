package queuetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tensile/stress/internal/powercut"
)

// powerFound is what a broker has after a cut.
type powerFound struct {
	Queues, Dead [][]powerMessage
	Damaged      []Gap
	Later        string `json:",omitempty"` // what was wrong when it was opened once more
}

// powerMessage came after a cut.
type powerMessage struct {
	Number int // or -1
	Wrong  string
	Acked  bool
}

// Numbers beyond those of programs: of a message that ends a reading, and of one
// that is kept from one life to the next.
const (
	powerEnd  = 1_000_000
	powerKept = 2_000_000
	powerSize = 40
)

func (k *kit) powerKit() *powercut.Kit[powerProgram, powerFound] {
	return &powercut.Kit[powerProgram, powerFound]{
		Prepare:    k.preparePower,
		Run:        k.runPower,
		Look:       k.lookPower,
		Recover:    k.recoverPower,
		Conditions: func(p powerProgram) powercut.Conditions { return p.Conditions },
		Same:       samePower,
		Judge:      judgePower,
		Smaller:    powerProgram.smaller,
		Heavy:      powerProgram.heavy,
		Concurrent: func(p powerProgram) bool { return !p.Serial },
		Operations: powerProgram.words,
		Print:      printPower,
	}
}

// openPower opens the broker of a program.
func (k *kit) openPower(dir string, p powerProgram) (Broker, error) {
	cfg := p.Config
	cfg.Dir = filepath.Join(dir, "queues")
	b, said := k.tryOpen(k.tb, cfg)
	if b == nil {
		return nil, fmt.Errorf("it does not open: %s", said)
	}
	return b, nil
}

// preparePower opens and closes the broker once.
func (k *kit) preparePower(dir string, p powerProgram) error {
	if p.Fresh {
		return nil
	}
	b, err := k.openPower(dir, p)
	if err == nil {
		_ = b.Close() // that it holds nothing is no fault
	}
	return err
}

// runPower runs a program.
func (k *kit) runPower(dir string, p powerProgram, say powercut.Say) error {
	b, err := k.openPower(dir, p)
	if err != nil {
		return err
	}
	run := &powerRun{b: b, p: p, say: say, held: make([][]Delivery, len(p.Ops))}
	if p.Serial {
		run.do(func(powerOp) bool { return true })
	} else {
		var all sync.WaitGroup
		for q := range p.Config.Queues {
			all.Go(func() { run.do(func(op powerOp) bool { return op.Queue == q }) })
		}
		all.Wait()
	}
	_ = b.Close() // that it holds messages is no fault
	return nil
}

type powerRun struct {
	b    Broker
	p    powerProgram
	say  powercut.Say
	held [][]Delivery // by the operation that received them
}

// powerPatience is how long a program waits for a message that should be ready.
const powerPatience = 500 * time.Millisecond

// do makes the calls that are meant, in their order.
func (r *powerRun) do(meant func(powerOp) bool) {
	for n, op := range r.p.Ops {
		if !meant(op) {
			continue
		}
		r.say.Begins(n)
		result, err := r.call(n, op)
		if err != nil {
			r.say.Failed(n, err)
		} else {
			r.say.Confirmed(n, result)
		}
	}
}

func (r *powerRun) call(n int, op powerOp) (result string, err error) {
	ctx := context.Background()
	batch, _ := r.b.(Batching)
	switch op.Verb {
	case powerPublish:
		bodies := make([][]byte, op.Count)
		for i := range bodies {
			bodies[i] = powercut.Value(n*powerBatch+i, op.Size)
		}
		if op.Batch && batch != nil {
			return "", batch.PublishBatch(ctx, op.Queue, bodies)
		}
		return "", r.b.Publish(ctx, op.Queue, bodies[0])
	case powerReceive:
		ctx, cancel := context.WithTimeout(ctx, powerPatience)
		defer cancel()
		if op.Batch && batch != nil {
			r.held[n], err = batch.ReceiveBatch(ctx, op.Queue, op.Count)
		} else {
			var d Delivery
			if d, err = r.b.Receive(ctx, op.Queue); err == nil {
				r.held[n] = []Delivery{d}
			}
		}
		var numbers []string
		for _, d := range r.held[n] {
			number, _ := powercut.ReadValue(d.Body())
			numbers = append(numbers, strconv.Itoa(number))
		}
		return strings.Join(numbers, " "), err
	case powerAck:
		if op.Batch && batch != nil && len(r.held[op.Of]) > 0 {
			return "", batch.AckBatch(ctx, op.Queue, r.held[op.Of])
		}
		for _, d := range r.held[op.Of] {
			err = errors.Join(err, d.Ack(ctx))
		}
	case powerNack:
		for _, d := range r.held[op.Of] {
			err = errors.Join(err, d.Nack())
		}
	}
	return "", err
}

// recoverPower opens what a cut has left. To receive a message would be to use it.
func (k *kit) recoverPower(dir string, p powerProgram, _ func(powerFound)) error {
	b, err := k.openPower(dir, p)
	if err != nil {
		return fmt.Errorf("after the cut %w", err)
	}
	_ = b.Close() // that it holds messages is no fault
	return nil
}

// lookPower opens what a cut has left, takes everything out of it, and looks what is
// left when it is opened again.
func (k *kit) lookPower(dir string, p powerProgram, patient bool) (found powerFound, err error) {
	look := &powerLook{p: p, patient: patient}
	if look.b, err = k.openPower(dir, p); err != nil {
		return found, fmt.Errorf("after the cut %w", err)
	}
	if r, ok := look.b.(Recovering); ok {
		_, found.Damaged = r.Recovered()
	}
	defer func() { _ = look.b.Close() }() // the second time where all went well
	for q := range p.Config.Queues {
		all, dead, err := look.empty(q, powerEnd+q)
		if err != nil {
			return found, fmt.Errorf("after the cut, at queue %d, %w", q, err)
		}
		found.Queues, found.Dead = append(found.Queues, all), append(found.Dead, dead)
	}
	if err := look.b.Publish(context.Background(), 0, powercut.Value(powerKept, powerSize)); err != nil {
		return found, fmt.Errorf("after the cut Publish returned %w", err)
	}
	_ = look.b.Close() // that it holds a message is no fault
	if look.b, err = k.openPower(dir, p); err != nil {
		return found, fmt.Errorf("closed after the cut, %w", err)
	}
	look.patient = false
	for q := range p.Config.Queues {
		all, _, err := look.empty(q, powerEnd+powerBatch+q)
		if err != nil {
			return found, fmt.Errorf("opened again after the cut, at queue %d, %w", q, err)
		}
		var want []int
		if q == 0 {
			want = []int{powerKept}
		}
		var got []int
		for _, m := range all {
			got = append(got, m.Number)
		}
		if !slices.Equal(got, want) && found.Later == "" {
			found.Later = fmt.Sprintf("after the cut all messages of queue %d were acknowledged and %d published; opened again "+
				"it has %v",
				q, len(want), powerNumbers(got))
		}
	}
	return found, nil
}

func powerNumbers(all []int) string {
	var text []string
	for _, n := range all {
		switch {
		case n == powerKept:
			text = append(text, "what was published after the cut")
		default:
			text = append(text, fmt.Sprintf("message %d", n))
		}
	}
	if len(text) == 0 {
		return "nothing"
	}
	return strings.Join(text, ", ")
}

// powerLook takes messages out of a broker.
type powerLook struct {
	b       Broker
	p       powerProgram
	patient bool
}

// powerAtOnce is how long is waited for what may not be there.
const powerAtOnce = time.Millisecond

// empty takes all messages out of a queue: a message that is published now ends it.
func (l *powerLook) empty(q, end int) (all, dead []powerMessage, err error) {
	take := func(receive func(context.Context, int) (Delivery, error), wait time.Duration) (m powerMessage, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		d, err := receive(ctx, q)
		if err != nil {
			return m, err
		}
		m.Number, m.Wrong = powercut.ReadValue(d.Body())
		m.Acked = d.Ack(context.Background()) == nil
		return m, nil
	}
	const long = 5 * time.Second
	for {
		err := l.b.Publish(context.Background(), q, powercut.Value(end, powerSize))
		if err == nil {
			break
		}
		if b, ok := l.b.(Bounded); !ok || !errors.Is(err, b.Full()) {
			return nil, nil, fmt.Errorf("publish returned %w", err)
		}
		m, err := take(l.b.Receive, long)
		if err != nil {
			return nil, nil, fmt.Errorf("the queue is full and Receive returned %w", err)
		}
		all = append(all, m)
	}
	for {
		m, err := take(l.b.Receive, long)
		if err != nil {
			return all, nil, fmt.Errorf("a message was published, and Receive returned %w", err)
		}
		if m.Number == end {
			break
		}
		all = append(all, m)
	}
	wait := powerAtOnce
	if l.patient { // what was received before the cut comes when its time-out has ended
		wait = 3 * powerVisibility
	}
	more := func(receive func(context.Context, int) (Delivery, error)) (rest []powerMessage) {
		for {
			m, err := take(receive, wait)
			if err != nil {
				return rest
			}
			rest = append(rest, m)
		}
	}
	if l.patient {
		all = append(all, more(l.b.Receive)...)
	}
	if b, ok := l.b.(DeadLetter); ok && l.p.Config.MaxAttempts > 0 {
		dead = more(b.ReceiveDead)
	}
	return all, dead, nil
}

// servePower is the life of a child of this phase.
func servePower(t *testing.T, open func(testing.TB, Config) Broker) *powercut.Kit[powerProgram, powerFound] {
	return (&kit{tb: t, open: open}).powerKit()
}
