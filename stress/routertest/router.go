package routertest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/programs"
	"tensile/stress/internal/scenario"
	"tensile/stress/measure"
	"tensile/stress/validate"
)

// Router is the subject of the routing scenario. Its methods are called
// concurrently.
type Router interface {
	// Register assigns a handler to a name. The handler is called with the
	// messages of the name, one at a time and in order for each sender. It may
	// call Send, and Register and Unregister other names. It may panic or block.
	Register(name string, handle func(Message)) error
	// Unregister removes a name. Messages that were accepted before are delivered
	// to the handler that the name had then.
	Unregister(name string) error
	// Send returns nil if it accepts the message, which is then delivered exactly
	// once. If it returns an error, the message is not delivered.
	Send(name string, m Message) error
	// Close returns once every accepted message was delivered.
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
	Mailbox int // messages that a name holds before Send returns Full
}

// Message is a routed message. Sum is a checksum of ID, so that damage is detected.
type Message struct{ ID, Sum uint64 }

func message(id uint64) Message { return Message(payload.NewMessage(id)) }

func (m Message) intact() bool { return payload.Message(m).Intact() }

// The shape of the scenario.
const (
	mailbox     = 1024
	heldPerName = 1000 // messages on the way to each held name; below mailbox
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
	soon := explored.Run(programs.Soon)
	ok := k.Phase("errors", k.errors) && soon
	ok = k.Phase("full", k.full) && ok
	ok = k.Phase("order", k.order) && ok
	ok = k.Phase("names", k.names) && ok
	ok = k.Phase("grow", k.grow) && ok
	ok = k.Phase("unregister", k.unregister) && ok
	ok = k.Phase("lives", k.lives) && ok
	ok = k.Phase("relay", k.relay) && ok
	ok = k.Phase("fair", k.fair) && ok
	ok = k.Phase("panic", k.panics) && ok
	ok = k.Phase("close", k.closing) && ok
	ok = explored.Run(programs.Whenever) && ok
	if ok {
		ok = k.Phase("idle", k.idle)
		ok = ok && k.Phase("kept", k.kept)
		ok = ok && k.Phase("in flight", k.inFlight)
		ok = ok && k.Phase("throughput", k.throughput)
		ok = ok && k.Phase("steady", k.steady)
		if ok && k.Phase("churn", k.churn) {
			k.beyond(t)
		}
	} else {
		k.Note("No load was offered, because correctness failed with few operations.")
	}
	k.judge()
	if !k.Aborted {
		k.Audit(0)
	}
}

type kit struct {
	*scenario.Scenario
	open  func(testing.TB, Config) Router
	rate  float64 // of the slower of subject and control
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

// close closes a router, which may have a lot to deliver yet.
func (k *kit) close(r Router) bool {
	return k.closeWithin(scenario.PhaseBound/2*time.Duration(k.Hundreds()), r)
}

// closeSoon closes a router to which little was sent.
func (k *kit) closeSoon(r Router) bool { return k.closeWithin(scenario.Settle, r) }

func (k *kit) closeWithin(d time.Duration, r Router) bool {
	return k.returns(d, "close", "Close", func() {
		k.must(r.Close(), "Close")
	})
}

// must fails the scenario with what was tried if err is not nil.
func (k *kit) must(err error, what string) bool {
	if err != nil {
		k.Fail("routing: %s returned %v", what, err)
	}
	return err == nil
}

// register gives n names handlers that are told which of them they are for, and
// returns the names. Several goroutines register at the same time, as a router
// that grows under its callers must not lose any.
func (k *kit) register(r Router, prefix string, n int, handle func(i int, m Message)) (table []string, ok bool) {
	table = make([]string, n)
	var all sync.WaitGroup
	var failed atomic.Bool
	for part := range senders {
		all.Go(func() {
			for i := part; i < n && !failed.Load(); i += senders {
				table[i] = fmt.Sprintf("%s-%d", prefix, i)
				if err := r.Register(table[i], func(m Message) { handle(i, m) }); err != nil && failed.CompareAndSwap(false, true) {
					k.must(err, "Register")
				}
			}
		})
	}
	all.Wait()
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
	k.Shown("order")
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
