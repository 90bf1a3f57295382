package stress_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/cluster"
	"tensile/stress/node"
	"tensile/stress/transporttest"
)

func TestPlantedTransports(t *testing.T) {
	unhurried(t)
	t.Parallel()
	mustBeCaughtWaiting(t, "TestFaultyTransport", []fault{
		{"the wrong caller", "was given the reply to"},
		{"drops one in 100,000", "calls never ended"},
		{"loses one-way messages", "one-way: of"},
		{"forgets calls to the dead", "never ended"},
		{"gives up late", "its deadline was 2.188"},
	}, processes)
	mustBeCaught(t, "TestFaultyTransport", []fault{
		{"doubles one", "came again"},
		{"handles one twice", "arrived 2 times"},
		{"damages one", "that are no reply to any"},
		{"the wrong node", "arrived at node-"},
		{"answers by itself", "never arrived"},
		{"fails now and then", "ended with an error though nothing was wrong"},
		{"nothing above 32 KB", "a call of 65536 bytes"},
		{"no bound", "messaging.back_pressure: node-"},
		{"one queue for all", "the p99 of calls to others"},
		{"slow beside a stopped one", "the p99 of calls to others"},
		{"another error for the dead", "an error that is not Errors().Unreachable"},
		{"one break breaks all", "was garbled, and other calls failed"},
		{"accepts any secret", "messaging.secret: "},
	}, processes)
}

// TestFaultyTransport is the kit over nodes with the fault that is planted.
func TestFaultyTransport(t *testing.T) {
	skipUnlessPlanted(t)
	transporttest.TestTransport(t, startFaultyNode)
}

// faultyCalls is the part of a faultyNode that concerns calls.
type faultyCalls struct {
	calls, sends atomic.Int64
	swapped      chan swap
	line         chan func()
	stuck        atomic.Value // name of the one to which there is no room
	ended        chan struct{}
	unbounded    sync.Mutex
	queue        []func()
	wake         chan struct{}
	timed        lateCalls
}

// swap is a reply that waits to be given to another.
type swap struct {
	reply []byte
	done  func([]byte, error)
}

func (f *faultyNode) plantInCalls() {
	f.ended = make(chan struct{})
	f.plantInLateCalls()
	switch planted {
	case "the wrong caller":
		f.swapped = make(chan swap, 1)
	case "one queue for all":
		f.line = make(chan func(), 64)
		go func() {
			for {
				select {
				case call := <-f.line:
					call()
				case <-f.ended:
					return
				}
			}
		}()
	case "no bound":
		f.wake = make(chan struct{}, 1)
		go f.drain()
	}
}

// plantInHandler is a fault at the other end.
func plantInHandler(cfg *node.Config) {
	var handled atomic.Int64
	handle := cfg.Handle
	cfg.Handle = func(from string, request []byte, reply func([]byte)) {
		n := handled.Add(1)
		if planted == "handles one twice" && n == 5000 {
			handle(from, request, func([]byte) {})
		}
		handle(from, request, reply)
	}
	if planted == "one break breaks all" {
		var mu sync.Mutex
		var conns []net.Conn
		dial := cfg.Dial
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			conns = append(conns, conn)
			return contagious{conn, func() {
				mu.Lock()
				defer mu.Unlock()
				time.AfterFunc(20*time.Millisecond, func() {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range conns {
						_ = c.Close()
					}
				})
			}}, nil
		}
	}
}

// contagious is a connection whose end others do not survive.
type contagious struct {
	net.Conn
	infect func()
}

func (c contagious) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.infect()
	}
	return n, err
}

func (f *faultyNode) alive(name string) bool {
	for _, m := range f.Node.Members() {
		if m.Name == name {
			return m.State == node.Alive
		}
	}
	return false
}

func (f *faultyNode) Call(to string, request []byte, done func([]byte, error)) {
	if f.callLate(to, request, done) {
		return
	}
	n := f.calls.Add(1)
	switch {
	case planted == "answers nobody" && n > 5:
		return
	case planted == "forgets calls to the dead" && !f.alive(to):
		return
	case planted == "another error for the dead" && !f.alive(to):
		done(nil, errors.New("no such thing"))
		return
	case planted == "nothing above 32 KB" && len(request) > 32<<10:
		done(nil, errors.New("too large"))
		return
	case planted == "drops one in 100,000" && n == 40_000:
		return
	case planted == "fails now and then" && n == 40_000:
		done(nil, errors.New("try again"))
		return
	case planted == "doubles one" && n == 5000:
		once := done
		done = func(reply []byte, err error) {
			reply = bytes.Clone(reply)
			once(reply, err)
			once(reply, err)
		}
	case planted == "answers by itself" && n == 5000:
		reply := bytes.Clone(request)
		for i := range reply {
			reply[i] = ^reply[i]
		}
		done(reply, nil)
		return
	case planted == "the wrong node" && n == 5000:
		members := f.Node.Members()
		to = members[slices.IndexFunc(members, func(m node.Member) bool { return m.Name != to })].Name
	case planted == "damages one" && n == 5000:
		sound := done
		done = func(reply []byte, err error) {
			if len(reply) > 0 {
				reply = bytes.Clone(reply)
				reply[len(reply)-1] ^= 1
			}
			sound(reply, err)
		}
	case planted == "the wrong caller" && n%5000 < 2 && n > 4000:
		mine := done
		done = func(reply []byte, err error) {
			select {
			case other := <-f.swapped:
				other.done(reply, err)
				mine(other.reply, nil)
			case f.swapped <- swap{bytes.Clone(reply), mine}:
			}
		}
	case planted == "slow beside a stopped one":
		sound := done
		done = func(reply []byte, err error) {
			switch stuck := f.stuck.Load(); {
			case errors.Is(err, f.Node.Errors().Overloaded):
				f.stuck.Store(to)
			case stuck == to && err == nil:
				f.stuck.Store("")
			case stuck != nil && stuck != "" && stuck != to:
				reply = bytes.Clone(reply)
				time.AfterFunc(1500*time.Millisecond, func() { sound(reply, err) })
				return
			}
			sound(reply, err)
		}
	case planted == "gives up late":
		sound, began := done, time.Now()
		done = func(reply []byte, err error) {
			if err == nil || time.Since(began) < 200*time.Millisecond {
				sound(reply, err)
				return
			}
			time.AfterFunc(3*time.Second, func() { sound(nil, err) })
		}
	case planted == "one queue for all":
		request = bytes.Clone(request)
		select {
		case f.line <- func() { f.insist(to, request, done) }:
		case <-f.ended:
		}
		return
	case planted == "no bound":
		request = bytes.Clone(request)
		f.unbounded.Lock()
		f.queue = append(f.queue, func() { go f.insist(to, request, done) })
		f.unbounded.Unlock()
		select {
		case f.wake <- struct{}{}:
		default:
		}
		return
	}
	f.Node.Call(to, request, done)
}

// insist makes a call again and again until there is room for it.
func (f *faultyNode) insist(to string, request []byte, done func([]byte, error)) {
	for refused := true; refused; {
		answered := make(chan error, 1)
		f.Node.Call(to, request, func(reply []byte, err error) {
			if !errors.Is(err, f.Node.Errors().Overloaded) {
				done(reply, err)
				err = nil
			}
			select {
			case answered <- err:
			default:
			}
		})
		select {
		case err := <-answered:
			refused = err != nil
		default:
			refused = false
		}
		if refused {
			time.Sleep(time.Millisecond)
		}
	}
}

func (f *faultyNode) Errors() node.Errors {
	e := f.Node.Errors()
	if f.line != nil {
		e.Overloaded = nil // Call waits
	}
	if planted == offersLess {
		e.Unauthenticated, e.NameTaken, e.AddressTaken = nil, nil, nil
	}
	return e
}

func (f *faultyNode) drain() {
	for {
		select {
		case <-f.wake:
		case <-f.ended:
			return
		}
		f.unbounded.Lock()
		queue := f.queue
		f.queue = nil
		f.unbounded.Unlock()
		for _, call := range queue {
			call()
		}
	}
}

func (f *faultyNode) Send(to string, message []byte) error {
	if n := f.sends.Add(1); planted == "loses one-way messages" && n == 50 {
		return nil
	}
	if planted == "drops beyond the window" {
		at, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
		defer cancel()
		if err := f.Node.(subjectNode).Node.Send(at, to, message); !errors.Is(err, cluster.ErrOverloaded) {
			return err
		}
		return nil
	}
	return f.Node.Send(to, message)
}
