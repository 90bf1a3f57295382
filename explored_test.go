package tensile

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/cluster/balance"
	"tensile/pool"
	"tensile/queue"
	"tensile/registry"
	"tensile/stress/explore"
	"tensile/stress/modeltest"
)

// exploredBy returns how the implementations are explored: all by one binary. A
// long run sets STRESS_SCHEDULES.
func exploredBy() []explore.Option {
	return []explore.Option{explore.Schedules(300),
		explore.Memory("tensile/pool", "tensile/registry", "tensile/queue", "tensile/cluster/balance", "tensile/chaos",
			"tensile/stress/load", "tensile/stress/measure")}
}

// places is a pool, with the leases that it has lent.
type places struct {
	pool   *pool.Pool[int]
	open   atomic.Int64
	mu     sync.Mutex
	leases []pool.Lease[int]
}

const poolSize = 2

func newPlaces(tb testing.TB) *places {
	s := &places{}
	var err error
	s.pool, err = pool.New(pool.Config[int]{
		MaxSize: poolSize,
		Dial: func(context.Context) (int, error) {
			if n := s.open.Add(1); n > poolSize {
				tb.Errorf("%d connections are open, must be at most %d", n, poolSize)
			}
			return 1, nil
		},
		Close: func(int) error {
			s.open.Add(-1)
			return nil
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *places) acquire(ctx context.Context) bool {
	l, err := s.pool.Acquire(ctx)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leases = append(s.leases, l)
	return true
}

// giveBack ends the last lease, and tells whether there was one.
func (s *places) giveBack(end func(pool.Lease[int])) bool {
	s.mu.Lock()
	last := len(s.leases) - 1
	if last < 0 {
		s.mu.Unlock()
		return false
	}
	l := s.leases[last]
	s.leases = s.leases[:last]
	s.mu.Unlock()
	end(l)
	return true
}

// close ends the pool, which waits for what is lent and turns away who waits.
func (s *places) close() {
	closed := make(chan struct{})
	go func() {
		_ = s.pool.Close()
		close(closed)
	}()
	for {
		s.giveBack(pool.Lease[int].Release)
		select {
		case <-closed:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// A place is never lent twice, and none is lost: not by a caller that gives up, nor
// by a connection that is thrown away.
func TestPoolExplored(t *testing.T) {
	giveBack := func(lent int, _ struct{}) (int, bool) { return max(lent-1, 0), lent > 0 }
	modeltest.TestModel(t, modeltest.Spec[*places]{
		New:   newPlaces,
		Close: (*places).close,
		Init:  0,
		Ops: []modeltest.Op[*places]{
			modeltest.Waiting(
				modeltest.Accepts("Acquire", modeltest.None,
					func(s *places, _ struct{}) bool { return s.acquire(context.Background()) },
					func(lent int, _ struct{}, ok bool) (int, bool) { return lent + 1, ok && lent < poolSize }),
				func(lent int, _ struct{}) bool { return lent >= poolSize }),
			modeltest.Accepts("AcquireWithin", modeltest.Of(time.Duration(0), time.Millisecond),
				func(s *places, patience time.Duration) bool {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					return s.acquire(ctx)
				},
				func(lent int, _ time.Duration, ok bool) (int, bool) {
					if !ok {
						return lent, true // its time may have been up before it began
					}
					return lent + 1, lent < poolSize
				}),
			modeltest.Returns("Release", modeltest.None,
				func(s *places, _ struct{}) bool { return s.giveBack(pool.Lease[int].Release) }, giveBack),
			modeltest.Returns("Discard", modeltest.None,
				func(s *places, _ struct{}) bool { return s.giveBack(pool.Lease[int].Discard) }, giveBack),
		},
	}, exploredBy()...)
}

// mailboxes is a registry, with what it was given and what it has handed on.
type mailboxes struct {
	*registry.Registry[int]
	tb             testing.TB
	taken, handled atomic.Int64
}

func newMailboxes(tb testing.TB) *mailboxes {
	r, err := registry.New[int](registry.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return &mailboxes{Registry: r, tb: tb}
}

func (m *mailboxes) register(name string) bool {
	return m.Register(name, func(int) { m.handled.Add(1) }) == nil
}

func (m *mailboxes) unregister(name string) bool { return m.Unregister(name) == nil }

func (m *mailboxes) send(name string) bool {
	if m.Send(name, 1) != nil {
		return false
	}
	m.taken.Add(1)
	return true
}

// close waits for all that was taken.
func (m *mailboxes) close() {
	_ = m.Close() // it is always nil
	if taken, handled := m.taken.Load(), m.handled.Load(); taken != handled {
		m.tb.Errorf("%d messages were taken, %d handled", taken, handled)
	}
}

func TestRegistryExplored(t *testing.T) {
	type known = map[string]bool
	name := modeltest.Of("a", "b")
	with := func(m known, name string, is bool) known {
		m = maps.Clone(m)
		m[name] = is
		return m
	}
	modeltest.TestModel(t, modeltest.Spec[*mailboxes]{
		New:   newMailboxes,
		Close: (*mailboxes).close,
		Init:  known{"a": false, "b": false},
		Ops: []modeltest.Op[*mailboxes]{
			modeltest.Returns("Register", name, (*mailboxes).register,
				func(m known, name string) (known, bool) { return with(m, name, true), !m[name] }),
			modeltest.Returns("Unregister", name, (*mailboxes).unregister,
				func(m known, name string) (known, bool) { return with(m, name, false), m[name] }),
			modeltest.Returns("Send", name, (*mailboxes).send,
				func(m known, name string) (known, bool) { return m, m[name] }),
		},
	}, exploredBy()...)
}

// line is a queue in memory.
type line struct {
	tb     testing.TB
	broker *queue.Broker
	*queue.Queue
}

func newLine(tb testing.TB) *line {
	b, err := queue.Open(queue.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	q, err := b.Declare("line", queue.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return &line{tb, b, q}
}

func (l *line) publish(v int) bool {
	_, err := l.Publish(context.Background(), []byte(strconv.Itoa(v)))
	return err == nil
}

// receive returns the next value, and acknowledges it.
func (l *line) receive(ctx context.Context) (v int) {
	d, err := l.Receive(ctx)
	if err != nil {
		return 0
	}
	if err := d.Ack(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		l.tb.Errorf("a message that was held could not be acknowledged: %v", err)
	}
	if v, err = strconv.Atoi(string(d.Body)); err != nil {
		l.tb.Errorf("the body is %q", d.Body)
	}
	return v
}

func (l *line) close() {
	if err := l.broker.Close(); err != nil && !errors.Is(err, queue.ErrDiscarded) {
		l.tb.Error(err)
	}
}

func TestQueueExplored(t *testing.T) {
	next := func(items []int, _ struct{}, v int) ([]int, bool) {
		if len(items) == 0 || items[0] != v {
			return items, false
		}
		return items[1:], true
	}
	modeltest.TestModel(t, modeltest.Spec[*line]{
		New:   newLine,
		Close: (*line).close,
		Init:  []int(nil),
		Ops: []modeltest.Op[*line]{
			modeltest.Returns("Publish", modeltest.Unique, (*line).publish,
				func(items []int, v int) ([]int, bool) { return append(items[:len(items):len(items)], v), true }),
			modeltest.Waiting(
				modeltest.Accepts("Receive", modeltest.None,
					func(l *line, _ struct{}) int { return l.receive(context.Background()) }, next),
				func(items []int, _ struct{}) bool { return len(items) == 0 }),
			modeltest.Accepts("ReceiveWithin", modeltest.None,
				func(l *line, _ struct{}) int {
					ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
					defer cancel()
					return l.receive(ctx)
				},
				func(items []int, none struct{}, v int) ([]int, bool) {
					if v == 0 {
						return items, true // its time may have been up before it began
					}
					return next(items, none, v)
				}),
		},
	}, exploredBy()...)
}

// fleet is what a balancer knows of two nodes.
type fleet struct{ known, up [2]bool }

func TestBalancerExplored(t *testing.T) {
	nodes := [2]string{"a", "b"}
	node := modeltest.Below(len(nodes))
	// op is a change of a node, allowed by its state.
	op := func(name string, call func(*balance.Balancer, string) error, may func(known bool) bool,
		to func(f *fleet, i int)) modeltest.Op[*balance.Balancer] {
		return modeltest.Returns(name, node,
			func(b *balance.Balancer, i int) bool { return call(b, nodes[i]) == nil },
			func(f fleet, i int) (fleet, bool) {
				if !may(f.known[i]) {
					return f, false
				}
				to(&f, i)
				return f, true
			})
	}
	known := func(is bool) bool { return is }
	join := func(b *balance.Balancer, name string) error { return b.Join(balance.Node{Name: name}) }
	for _, strategy := range balance.Strategies() {
		t.Run(strategy.String(), func(t *testing.T) {
			modeltest.TestModel(t, modeltest.Spec[*balance.Balancer]{
				New: func(tb testing.TB) *balance.Balancer {
					b, err := balance.New(balance.Config{Strategy: strategy})
					if err != nil {
						tb.Fatal(err)
					}
					return b
				},
				Init: fleet{},
				Ops: []modeltest.Op[*balance.Balancer]{
					op("Join", join, func(is bool) bool { return !is },
						func(f *fleet, i int) { f.known[i], f.up[i] = true, true }),
					op("Leave", (*balance.Balancer).Leave, known, func(f *fleet, i int) { f.known[i], f.up[i] = false, false }),
					op("Down", (*balance.Balancer).Down, known, func(f *fleet, i int) { f.up[i] = false }),
					op("Up", (*balance.Balancer).Up, known, func(f *fleet, i int) { f.up[i] = true }),
					modeltest.Accepts("Pick", node,
						func(b *balance.Balancer, key int) string {
							p, err := b.Pick(uint64(key))
							if err != nil {
								return ""
							}
							defer p.Done()
							return p.Node()
						},
						func(f fleet, _ int, name string) (fleet, bool) {
							if name == "" {
								return f, f.up == [2]bool{}
							}
							return f, f.up[0] && name == nodes[0] || f.up[1] && name == nodes[1]
						}),
				},
			}, exploredBy()...)
		})
	}
}
