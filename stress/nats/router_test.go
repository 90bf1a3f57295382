package nats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"tensile/registry"
	"tensile/stress/routertest"
)

func TestStressRouter(t *testing.T) {
	chosen(t)
	url := at(t)
	routertest.TestRouter(t, func(tb testing.TB, cfg routertest.Config) routertest.Router {
		return openRouter(tb, url, cfg)
	})
}

func BenchmarkRouter(b *testing.B) {
	url := at(b)
	routertest.BenchmarkRouter(b, func(tb testing.TB, cfg routertest.Config) routertest.Router {
		return openRouter(tb, url, cfg)
	})
}

// router has NATS find the process at which a name is registered: each name is a
// subject. Mailboxes are that process's, of package registry. A message is a
// request, and the reply says what became of it.
type router struct {
	nc       *nats.Conn
	prefix   string
	names    *registry.Registry[routertest.Message]
	arrivals chan *nats.Msg
	closed   atomic.Bool
	sending  sync.RWMutex // held by each that waits for a reply
	stop     chan struct{}
	stopped  chan struct{}

	mu   sync.Mutex // of coming and going
	subs map[string]*nats.Subscription
}

// verdicts are what a reply says, by its only byte.
var verdicts = [...]error{nil, registry.ErrUnknown, registry.ErrFull, registry.ErrClosed}

func openRouter(tb testing.TB, url string, cfg routertest.Config) routertest.Router {
	names, err := registry.New[routertest.Message](registry.Config{Mailbox: cfg.Mailbox,
		OnPanic: func(string, any, []byte) {}})
	if err != nil {
		tb.Fatal(err)
	}
	r := &router{nc: connect(tb, url), prefix: nats.NewInbox() + ".", names: names,
		// More than all who wait for a reply: one that is full would drop.
		arrivals: make(chan *nats.Msg, 1<<16), stop: make(chan struct{}), stopped: make(chan struct{}),
		subs: make(map[string]*nats.Subscription)}
	go r.arrive()
	return r
}

func (r *router) Errors() routertest.Errors {
	return routertest.Errors{
		Unknown: registry.ErrUnknown, Taken: registry.ErrTaken, Full: registry.ErrFull, Closed: registry.ErrClosed,
	}
}

// Register needs no answer of the server: what is sent over the same connection
// comes after the subscription.
func (r *router) Register(name string, handle func(routertest.Message)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.names.Register(name, handle); err != nil {
		return err
	}
	sub, err := r.nc.ChanSubscribe(r.prefix+name, r.arrivals)
	if err != nil {
		return errors.Join(err, r.names.Unregister(name))
	}
	r.subs[name] = sub
	return nil
}

// Unregister returns when the server has heard of it: what is in flight to the
// name is answered until then, and whoever comes and goes waits for the server.
func (r *router) Unregister(name string) error {
	r.mu.Lock()
	if err := r.names.Unregister(name); err != nil {
		r.mu.Unlock()
		return err
	}
	sub := r.subs[name]
	delete(r.subs, name)
	r.mu.Unlock()
	heard := sub.StatusChanged(nats.SubscriptionClosed)
	if err := sub.Drain(); err != nil {
		return err
	}
	<-heard
	return nil
}

func (r *router) Send(name string, m routertest.Message) error {
	r.sending.RLock()
	defer r.sending.RUnlock()
	if r.closed.Load() {
		return registry.ErrClosed
	}
	body := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(make([]byte, 0, 16), m.ID), m.Sum)
	reply, err := r.nc.Request(r.prefix+name, body, patience)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return registry.ErrUnknown
	case errors.Is(err, nats.ErrConnectionClosed):
		return registry.ErrClosed
	case err != nil:
		return err
	case len(reply.Data) != 1 || int(reply.Data[0]) >= len(verdicts):
		return fmt.Errorf("nats: a reply of %q", reply.Data)
	}
	return verdicts[reply.Data[0]]
}

// arrive gives what comes to its mailbox, and answers.
func (r *router) arrive() {
	defer close(r.stopped)
	for {
		select {
		case msg := <-r.arrivals:
			r.take(msg)
		case <-r.stop:
			return
		}
	}
}

func (r *router) take(msg *nats.Msg) {
	err := r.names.Send(msg.Subject[len(r.prefix):],
		routertest.Message{ID: binary.LittleEndian.Uint64(msg.Data), Sum: binary.LittleEndian.Uint64(msg.Data[8:])})
	for v, is := range verdicts {
		if errors.Is(err, is) {
			_ = msg.Respond([]byte{byte(v)}) // whoever asked is told by its own time-out
		}
	}
}

func (r *router) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	err := r.names.Close()
	r.sending.Lock() // who was told that a message was taken must hear so
	defer r.sending.Unlock()
	r.nc.Close()
	close(r.stop)
	<-r.stopped
	return err
}
