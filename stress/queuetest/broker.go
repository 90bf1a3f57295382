package queuetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tensile/stress/internal/powercut"
	"tensile/stress/internal/proc"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Broker is the subject of the queueing scenario: queues that are identified by
// their index. Its methods are called concurrently. What it holds at most is judged,
// without what the kit does: see docs/criteria.md, "Memory of the subject".
//
// Publish and Receive return an error if their context has ended or the broker is
// closed, if a Bounded refuses, or if the disk fails, and for no other reason.
type Broker interface {
	// Publish puts a message at the end of a queue. If it returns nil, the message
	// is delivered until it is acknowledged. If it returns an error, the message
	// may or may not be delivered. The kit does not change body afterwards.
	Publish(ctx context.Context, queue int, body []byte) error
	// Receive returns the message of a queue that was published first among those
	// that are ready, and waits if there is none. No other caller gets the message
	// until the visibility time-out ends; then it is ready again. If Receive returns
	// an error, it has taken no message.
	Receive(ctx context.Context, queue int) (Delivery, error)
	// Close ends calls that wait, and releases everything that the broker holds. After
	// it, Publish and Receive return errors.
	Close() error
}

// Delivery is a message that was received. Ack and Nack succeed as long as the
// visibility time-out has not ended. After that they must not affect a caller that has
// received the message again: Ack then returns an error.
type Delivery interface {
	Body() []byte
	Attempt() int                  // deliveries of the message so far, including this one
	Ack(ctx context.Context) error // if it returns nil, the message never comes back
	Nack() error                   // the message comes back at once
}

// DeadLetter is a Broker that honours Config.MaxAttempts.
type DeadLetter interface {
	Broker
	// ReceiveDead is Receive from the dead-letter queue of a queue.
	ReceiveDead(ctx context.Context, queue int) (Delivery, error)
}

// Bounded is a Broker that honours Config.MaxLen. If Config.Reject is set, Publish
// returns an error that matches Full by errors.Is.
type Bounded interface {
	Broker
	Full() error
}

// Batching is a Broker that handles several messages in one call.
type Batching interface {
	Broker
	// PublishBatch publishes consecutive messages.
	PublishBatch(ctx context.Context, queue int, bodies [][]byte) error
	// ReceiveBatch waits like Receive for one message, and returns up to most.
	ReceiveBatch(ctx context.Context, queue, most int) ([]Delivery, error)
	// AckBatch acknowledges deliveries of one queue. If it returns nil, none of
	// them ever comes back.
	AckBatch(ctx context.Context, queue int, all []Delivery) error
}

// DelayedDelivery is a Delivery that can be refused for a while.
type DelayedDelivery interface {
	Delivery
	NackAfter(delay time.Duration) error // the message comes back when delay has passed
}

// Durable is a Broker that honours Config.Dir. What Publish and Ack confirm is on the
// disk, and a broker that is opened on the same folder has it, however the process
// ended, and after a power cut too. Attempts survive a process that was killed: a
// message that was delivered before does not come back as new.
type Durable interface {
	Broker
	Durable()
}

// Recovering is a Durable that reports what it could not read when it was opened:
// writes that were cut short, and other damage. A process that is killed and a power
// cut cause no other damage.
type Recovering interface {
	Durable
	Recovered() (torn, damaged []Gap)
}

// Gap is a place in a file that could not be read.
type Gap struct {
	File   string // its path, or what is left of it in the end
	Offset int64  // of the first byte concerned
}

// Config describes the broker that the kit needs.
type Config struct {
	Queues     int           // 0 to Queues-1
	Visibility time.Duration // how long a message that was received is not given to others
	// MaxAttempts is how often a message is delivered before it becomes a dead
	// letter; 0 means no limit. It is only for a DeadLetter.
	MaxAttempts int
	// MaxLen bounds the messages of a queue, with those that were received and not
	// acknowledged; 0 means no bound. At the bound Publish waits, or returns Full if
	// Reject is set. Both are only for a Bounded.
	MaxLen int
	Reject bool
	// Dir is the folder of a durable broker, which may not exist yet; "" means a
	// broker in memory. It is only for a Durable.
	Dir string
	// SegmentSize is the length of the files of the log, in bytes, if it has
	// several; 0 leaves it to the broker. The kit sets short ones, so that many are
	// begun and removed between two kills.
	SegmentSize int
}

// The shape of the scenario.
const (
	queueCount         = 100
	mostWorkers        = 8
	shortVisibility    = 250 * time.Millisecond // where time-outs are to end
	longVisibility     = time.Hour              // where none may
	deadLetterAttempts = 3                      // attempts
	fullLength         = 8
)

// TestBroker tests the brokers that open returns in the queueing scenario. The
// durable part executes the test again, in child processes, and kills them.
func TestBroker(t *testing.T, open func(testing.TB, Config) Broker) {
	site := proc.At(t, brokerRole)
	site.Serve(func(l *proc.Link) error { return serveBroker(t, l, open) })
	power := proc.At(t, powercut.Role)
	if power.Child() {
		power.Serve(servePower(t, open).Serve)
		return
	}
	parts := explorations(open)
	if programs.Alone(t, parts, func(t *testing.T) []string { return lookAt(t, open).packages }) {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Queueing), tb: t, open: open, site: site, powerSite: power}
	explored := k.prepare(parts)
	soon := scenario.PhaseBound / 2
	k.Take(
		explored.Soon(),
		phase{Name: "order", Body: k.order, Shows: booked},
		phase{Name: "redelivery", Body: k.redelivery, Shows: "redelivery"},
		phase{Name: "waiters", Body: k.waiters, Shows: "lost corrupted"},
		phase{Name: "dead letter", Body: k.deadLetter, Shows: "dead_letter"},
		phase{Name: "bounded", Body: k.bounded, Shows: "bounded", Within: soon},
		phase{Name: "deadline", Body: k.deadline, Shows: "deadline"},
		phase{Name: "close", Body: k.closing, Shows: "close", Within: soon},
		explored.Whenever(), // before any load
		phase{Name: "contention", Body: k.contention, Shows: booked, Sound: true},
		phase{Name: "in flight", Body: k.inFlight, Shows: "in_flight " + booked, Sound: true},
		phase{Name: "throughput", Body: k.throughput, Shows: "throughput throughput_reach slowness " + booked, Sound: true},
		phase{Name: "steady", Body: k.steady, Shows: "p50 p95 p99 slowness " + booked, Sound: true},
		phase{Name: "kept", Body: k.kept, Shows: "kept deadline", Sound: true},
	)
	k.Take(k.durablePhases(t)...)
	k.Take(k.Limits(k.pace, k.loads)...)
	k.judge()
	if !k.Aborted {
		k.Audit(0)
	}
}

type phase = scenario.Phase

// booked are the criteria of every phase in which messages are accounted for.
const booked = "lost duplicated reordered corrupted misrouted phantom exclusive"

type kit struct {
	*scenario.Scenario
	tb        testing.TB
	open      func(testing.TB, Config) Broker
	site      *proc.Site
	powerSite *proc.Site
	abilities optionAbilities // of the durable broker
	rate      float64         // of the slower of subject and control; 0 before it was measured
	plain     bool            // it is the control: the report does not name it, nor count its messages
}

// beside is the kit at work on the control.
func (k *kit) beside() *kit {
	return &kit{Scenario: k.Scenario, tb: k.tb, open: openControl, plain: true}
}

// book keeps the account of a phase.
func (k *kit) book(phase string, a measure.Account) {
	if !k.plain {
		k.Book(phase, a)
	} else if !a.Clean() {
		k.Fail("queueing: the control, %s: %s", phase, a)
	}
}

// start opens a broker of the subject.
func (k *kit) start(t testing.TB, cfg Config) Broker {
	if cfg.Visibility == 0 {
		cfg.Visibility = longVisibility
	}
	b := k.open(t, cfg)
	if !k.plain {
		k.Subject(b)
	}
	return b
}

// close closes a broker that may hold messages; that it says so is no fault.
func (k *kit) close(b Broker) { _ = b.Close() }

// must fails the phase with what was tried if err is not nil.
func (k *kit) must(err error, what string, args ...any) bool {
	if err != nil {
		k.Fault("%s returned %v", fmt.Sprintf(what, args...), err)
	}
	return err == nil
}

// judge measures the criteria that all phases in memory add to.
func (k *kit) judge() {
	if k.Account.Sent == 0 {
		return
	}
	k.JudgeLedger()
}
