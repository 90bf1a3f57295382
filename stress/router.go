package stress

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/validate"
)

// Router is what the routing scenario drives.
type Router interface {
	// Register gives a name the handler that is called with its messages, one
	// at a time and in order for each sender. A handler may call Send, and
	// Register and Unregister other names.
	Register(name string, handle func(Message)) error
	// Unregister ends the life of a name. What was taken before comes to the
	// handler that the name had then.
	Unregister(name string) error
	// Send returns nil once it has taken the message, which is then delivered
	// exactly once; with any error it is not delivered.
	Send(name string, m Message) error
	// Close returns when everything taken was delivered.
	Close() error
	// Errors are those that the other methods return, for errors.Is.
	Errors() RouterErrors
}

// RouterErrors are the distinct errors of a Router.
type RouterErrors struct{ Unknown, Taken, Full, Closed error }

// RouterConfig is what the kit asks of a router.
type RouterConfig struct {
	Mailbox int // messages that a name holds before Send returns Full
}

// Message is what is routed. Sum follows from ID, so that damage shows.
type Message struct{ ID, Sum uint64 }

func message(id uint64) Message { return Message(payload.NewMessage(id)) }

func (m Message) intact() bool { return payload.Message(m).Intact() }

// The shape of the scenario.
const (
	mailbox     = 1024
	heldPerName = 1000 // messages on the way to each held name; below mailbox
	senders     = 8
	generators  = 2 // of the steady run: one alone can not offer millions a second
	inARow      = 4 // messages to one name before the next: so a swap shows
	// minMessages lets a fault that strikes once in 100,000 messages strike,
	// whatever N is.
	minMessages, maxMessages = 250_000, 1_000_000
)

// TestRouter takes the routers that open returns through the routing scenario.
func TestRouter(t *testing.T, open func(testing.TB, RouterConfig) Router) {
	k := &routerKit{scenario: begin(t, validate.Routing), open: open}
	ok := k.phase("errors", k.errors)
	ok = k.phase("full", k.full) && ok
	ok = k.phase("order", k.order) && ok
	ok = k.phase("names", k.names) && ok
	ok = k.phase("grow", k.grow) && ok
	ok = k.phase("unregister", k.unregister) && ok
	ok = k.phase("lives", k.lives) && ok
	ok = k.phase("relay", k.relay) && ok
	ok = k.phase("fair", k.fair) && ok
	ok = k.phase("panic", k.panics) && ok
	ok = k.phase("close", k.closing) && ok
	if ok {
		ok = k.phase("idle", k.idle)
		ok = ok && k.phase("kept", k.kept)
		ok = ok && k.phase("in flight", k.inFlight)
		ok = ok && k.phase("throughput", k.throughput)
		ok = ok && k.phase("steady", k.steady)
		if ok && k.phase("churn", k.churn) {
			k.explored(t)
		}
	} else {
		k.note("No load was offered, as correctness failed at small contention.")
	}
	k.judge()
	if !k.aborted {
		k.audit(0)
	}
}

type routerKit struct {
	*scenario
	open func(testing.TB, RouterConfig) Router
	rate float64
}

func (k *routerKit) start(t testing.TB) Router {
	r := k.open(t, RouterConfig{Mailbox: mailbox})
	k.subject(r)
	return r
}

// close closes a router, which may have a lot to deliver yet.
func (k *routerKit) close(r Router) bool {
	return k.closeWithin(phaseBound/2*time.Duration(k.hundreds()), r)
}

// closeSoon closes a router to which little was sent.
func (k *routerKit) closeSoon(r Router) bool { return k.closeWithin(settleBound, r) }

func (k *routerKit) closeWithin(d time.Duration, r Router) bool {
	return k.returns(d, "close", "Close", func() {
		k.must(r.Close(), "Close")
	})
}

// must fails the scenario with what was tried if err is not nil.
func (k *routerKit) must(err error, what string) bool {
	if err != nil {
		k.fail("routing: %s returned %v", what, err)
	}
	return err == nil
}

// register gives n names handlers that are told which of them they are for, and
// returns the names. Several goroutines register at the same time, as a router
// that grows under its callers must not lose any.
func (k *routerKit) register(r Router, prefix string, n int, handle func(i int, m Message)) (table []string, ok bool) {
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
func (k *routerKit) judge() {
	a := k.account
	if a.Sent == 0 {
		return
	}
	k.measured("delivery", 100*float64(a.Delivered)/float64(a.Sent-a.Refused))
	k.judgeLedger()
	k.shown("order")
}

// BenchmarkRouter measures messages from parallel senders to 100,000 names.
func BenchmarkRouter(b *testing.B, open func(testing.TB, RouterConfig) Router) {
	r := open(b, RouterConfig{Mailbox: mailbox})
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
