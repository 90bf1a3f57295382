package routertest

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Router is the subject of the routing scenario. Its methods are called
// concurrently. Calls for one name must be linearizable. What it holds at most is
// judged, without what the kit does: see docs/criteria.md, "Memory of the subject".
type Router interface {
	// Register assigns a handler to a name. The handler is called with the
	// messages of the name, one at a time and in order for each sender. It may
	// call Send, and Register and Unregister other names. It may panic or block
	// without any effect on other names.
	Register(name string, handle func(Message)) error
	// Unregister removes a name. Messages that were accepted before are delivered
	// to the handler that the name had then. Until they are, Unregister may wait, and
	// so may Register of the name.
	Unregister(name string) error
	// Send returns nil if it accepts the message, which is then delivered exactly
	// once. If it returns an error, the message is not delivered. It does not wait
	// for room.
	Send(name string, m Message) error
	// Close returns nil once the handlers of all accepted messages have returned. From
	// then on, Send and Register return Closed.
	Close() error
	// Errors returns the errors of the other methods, for errors.Is.
	Errors() Errors
}

// Outlasting is a Router that survives a handler that calls runtime.Goexit, as
// testing.T.FailNow does. The message counts as delivered, and the name continues with
// the next message.
type Outlasting interface {
	Router
	Outlasts()
}

// Errors are the errors of a Router: the name is unknown, the name is in use, the
// mailbox is full, the router is closed. They must be distinct.
type Errors struct{ Unknown, Taken, Full, Closed error }

// Config describes the router that the kit needs.
type Config struct {
	// Mailbox is how many messages a name holds before Send returns Full. The message
	// that is being handled may count.
	Mailbox int
}

// Message is a routed message. Sum is a checksum of ID, so that damage is detected.
type Message struct{ ID, Sum uint64 }

func message(id uint64) Message { return Message(payload.NewMessage(id)) }

func (m Message) intact() bool { return payload.Message(m).Intact() }

// The shape of the scenario.
const (
	mailbox     = 1024
	heldPerName = 1000 // messages in flight to each held name; below mailbox
	senders     = 8
	inARow      = 4 // messages to one name before the next: so a swap shows
)

// TestRouter tests the routers that open returns in the routing scenario.
func TestRouter(t *testing.T, open func(testing.TB, Config) Router) {
	parts := explorations(open)
	if programs.Alone(t, parts, func(t *testing.T) []string { packages, _ := look(t, open); return packages }) {
		return
	}
	k := &kit{Scenario: scenario.Begin(t, validate.Routing), open: open}
	explored := k.prepare(parts)
	k.Take(
		explored.Soon(),
		phase{Name: "errors", Body: k.errors, Shows: "errors"},
		phase{Name: "full", Body: k.full, Shows: "full order" + moved},
		phase{Name: "order", Body: k.order, Shows: "order errors" + moved},
		phase{Name: "names", Body: k.names, Shows: "errors" + moved},
		phase{Name: "grow", Body: k.grow, Shows: "errors" + moved},
		phase{Name: "unregister", Body: k.unregister, Shows: "unregister order" + moved},
		phase{Name: "lives", Body: k.lives, Shows: "unregister errors" + moved},
		phase{Name: "relay", Body: k.relay, Shows: "handlers" + moved},
		phase{Name: "fair", Body: k.fair, Shows: "fair" + moved},
		phase{Name: "panic", Body: k.panics, Shows: "panic" + moved},
		phase{Name: "close", Body: k.closing, Shows: "close" + moved},
		explored.Whenever(),
		phase{Name: "idle", Body: k.idle, Shows: "errors idle_bytes idle_goroutines", Sound: true},
		phase{Name: "kept", Body: k.kept, Shows: "kept errors" + moved, Sound: true},
		phase{Name: "in flight", Body: k.inFlight, Shows: "errors in_flight" + moved, Sound: true},
		phase{Name: "throughput", Body: k.throughput, Shows: "errors throughput throughput_reach slowness" + moved,
			Sound: true},
		phase{Name: "steady", Body: k.steady, Shows: "errors mean p50 p95 p99 slowness" + moved, Sound: true},
		phase{Name: "churn", Body: k.churn, Shows: "churn errors" + moved, Sound: true},
	)
	k.Take(k.Limits(k.pace, k.loads)...)
	k.judge()
	if !k.Aborted {
		k.Audit(0)
	}
}

type phase = scenario.Phase

// moved are the criteria of every phase in which messages are accounted for.
const moved = " delivery lost duplicated reordered corrupted misrouted phantom"

type kit struct {
	*scenario.Scenario
	open  func(testing.TB, Config) Router
	rate  float64 // of the slower of subject and control; 0 before it was measured
	plain bool    // it is the control: the report does not name it, nor count its messages
}

// beside is the kit at work on the control.
func (k *kit) beside() *kit { return &kit{Scenario: k.Scenario, open: openControl, plain: true} }

func (k *kit) start(t testing.TB) Router {
	r := k.open(t, Config{Mailbox: mailbox})
	if !k.plain {
		k.Subject(r)
	}
	return r
}

// book keeps the account of a phase.
func (k *kit) book(phase string, a measure.Account) {
	if !k.plain {
		k.Book(phase, a)
	} else if !a.Clean() {
		k.Fail("routing: the control, %s: %s", phase, a)
	}
}

// register gives n names handlers that are told which of them they are for, and
// returns the names. Several goroutines register at the same time, as a router
// that grows under its callers must not lose any.
func (k *kit) register(r Router, prefix string, n int, handle func(i int, m Message)) (table []string, ok bool) {
	table = make([]string, n)
	var failed atomic.Bool
	k.together(func(part int) {
		for i := part; i < n && !failed.Load(); i += senders {
			table[i] = fmt.Sprintf("%s-%d", prefix, i)
			if err := r.Register(table[i], func(m Message) { handle(i, m) }); err != nil && failed.CompareAndSwap(false, true) {
				k.must(err, "Register")
			}
		}
	})
	return table, !failed.Load()
}

// judge measures the criteria that all phases add to.
func (k *kit) judge() {
	a := k.Account
	if a.Sent == 0 {
		return
	}
	k.Measured("delivery", 100*float64(a.Delivered)/float64(a.Sent-a.Refused))
	k.JudgeLedger()
}

// BenchmarkRouter measures messages from parallel senders to 100,000 names.
func BenchmarkRouter(b *testing.B, open func(testing.TB, Config) Router) {
	r := open(b, Config{Mailbox: mailbox})
	full := r.Errors().Full
	table := make([]string, validate.BaseScale)
	var handled atomic.Int64
	for i := range table {
		table[i] = fmt.Sprintf("name-%d", i)
		if err := r.Register(table[i], func(Message) { handled.Add(1) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetParallelism(2)
	var sender atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(sender.Add(1)) * 31; pb.Next(); i++ {
			for {
				err := r.Send(table[i*7919%len(table)], message(uint64(i)))
				if err == nil {
					break
				}
				if !errors.Is(err, full) {
					panic(err)
				}
				runtime.Gosched()
			}
		}
	})
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	if int(handled.Load()) != b.N {
		b.Fatalf("%d messages sent, %d handled", b.N, handled.Load())
	}
}
