package tensile

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"tensile/chaos"
	"tensile/cluster"
	"tensile/cluster/balance"
	"tensile/cluster/session"
	"tensile/pool"
	"tensile/queue"
	"tensile/registry"
	"tensile/stress/balancertest"
	"tensile/stress/chaostest"
	"tensile/stress/clustertest"
	"tensile/stress/conntest"
	"tensile/stress/node"
	"tensile/stress/pooltest"
	"tensile/stress/queuetest"
	"tensile/stress/routertest"
	"tensile/stress/sessiontest"
	"tensile/stress/transporttest"
)

func BenchmarkPooling(b *testing.B) {
	pooltest.BenchmarkPool(b, func(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
		p, err := pool.New(pool.Config[net.Conn]{Dial: cfg.Dial, Close: net.Conn.Close, MaxSize: cfg.Size})
		if err != nil {
			tb.Fatal(err)
		}
		return connections{p}
	})
}

type connections struct{ *pool.Pool[net.Conn] }

func (c connections) Acquire(ctx context.Context) (pooltest.Lease, error) {
	l, err := c.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func BenchmarkRouting(b *testing.B) {
	routertest.BenchmarkRouter(b, func(tb testing.TB, cfg routertest.Config) routertest.Router {
		r, err := registry.New[routertest.Message](registry.Config{Mailbox: cfg.Mailbox})
		if err != nil {
			tb.Fatal(err)
		}
		return names{r}
	})
}

type names struct {
	*registry.Registry[routertest.Message]
}

func (names) Errors() routertest.Errors {
	return routertest.Errors{
		Unknown: registry.ErrUnknown, Taken: registry.ErrTaken, Full: registry.ErrFull, Closed: registry.ErrClosed,
	}
}

func BenchmarkBalancing(b *testing.B) {
	balancertest.BenchmarkBalancer(b, func(tb testing.TB, cfg balancertest.Config) balancertest.Balancer {
		own := balance.Config{Strategy: strategies[cfg.Strategy], Load: cfg.Load}
		for _, n := range cfg.Nodes {
			own.Nodes = append(own.Nodes, balance.Node(n))
		}
		balancer, err := balance.New(own)
		if err != nil {
			tb.Fatal(err)
		}
		return balancing{balancer}
	})
}

// strategies maps the default to the zero value, which is the default too.
var strategies = map[balancertest.Strategy]balance.Strategy{
	balancertest.RoundRobin: balance.RoundRobin, balancertest.LeastConnections: balance.LeastConnections,
	balancertest.PowerOfTwoChoices: balance.PowerOfTwo, balancertest.RendezvousHashing: balance.Rendezvous,
	balancertest.BoundedLoadHashing: balance.BoundedLoad,
}

type balancing struct{ *balance.Balancer }

func (b balancing) Pick(key uint64) (balancertest.Pick, error) {
	p, err := b.Balancer.Pick(key)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (b balancing) Join(n balancertest.Node) error { return b.Balancer.Join(balance.Node(n)) }
func (b balancing) NoNodes() error                 { return balance.ErrNoNodes }

func BenchmarkChaos(b *testing.B) {
	chaostest.BenchmarkWorkers(b, func(tb testing.TB, cfg chaostest.WorkersConfig) chaostest.Workers {
		w, err := chaos.NewWorkers(chaos.WorkersConfig[uint64]{
			Workers: cfg.Workers, Restarts: cfg.Restarts, Within: cfg.Within, Hung: cfg.Hung,
			Start: func(worker int) chaos.Handler[uint64] {
				handle := cfg.Start(worker)
				return func(_ context.Context, op uint64) error { return handle(op) }
			},
		})
		if err != nil {
			tb.Fatal(err)
		}
		return w
	})
}

func BenchmarkMemory(b *testing.B) {
	conntest.BenchmarkServer(b, func(_ testing.TB, cfg conntest.Config) conntest.Server {
		if cfg.Idle {
			return nil
		}
		return &holder{open: make(map[net.Conn]bool)}
	})
}

// holder is a server with a goroutine for each connection.
type holder struct {
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
	end    func() error
	done   sync.WaitGroup
}

func (h *holder) Serve(l net.Listener) error {
	h.mu.Lock()
	h.end = l.Close
	h.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		h.mu.Lock()
		if h.closed {
			h.mu.Unlock()
			return conn.Close()
		}
		h.open[conn] = true
		h.done.Go(func() { h.answer(conn) })
		h.mu.Unlock()
	}
}

func (h *holder) answer(conn net.Conn) {
	defer func() {
		_ = conn.Close() // the other end has gone, or Close did it
		h.mu.Lock()
		delete(h.open, conn)
		h.mu.Unlock()
	}()
	var session conntest.State
	var frame [conntest.FrameSize]byte
	for {
		if _, err := io.ReadFull(conn, frame[:]); err != nil {
			return
		}
		session.Answer(&frame)
		if _, err := conn.Write(frame[:]); err != nil {
			return
		}
	}
}

func (h *holder) Close() error {
	h.mu.Lock()
	h.closed = true
	err := h.end()
	for conn := range h.open {
		_ = conn.Close() // its goroutine ends by it
	}
	h.mu.Unlock()
	h.done.Wait()
	return err
}

func BenchmarkQueueing(b *testing.B) {
	queuetest.BenchmarkBroker(b, func(tb testing.TB, cfg queuetest.Config) queuetest.Broker {
		broker, err := queue.Open(queue.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		queues := make(queues, cfg.Queues)
		for i := range queues {
			if queues[i], err = broker.Declare(strconv.Itoa(i), queue.Config{Visibility: cfg.Visibility}); err != nil {
				tb.Fatal(err)
			}
		}
		return broking{broker, queues}
	})
}

type queues []*queue.Queue

type broking struct {
	*queue.Broker
	queues
}

func (b broking) Publish(ctx context.Context, i int, body []byte) error {
	_, err := b.queues[i].Publish(ctx, body)
	return err
}

func (b broking) Receive(ctx context.Context, i int) (queuetest.Delivery, error) {
	d, err := b.queues[i].Receive(ctx)
	if err != nil {
		return nil, err
	}
	return delivery{d}, nil
}

type delivery struct{ queue.Delivery }

func (d delivery) Body() []byte { return d.Delivery.Body }
func (d delivery) Attempt() int { return d.Delivery.Attempt }
func (d delivery) Nack() error  { return d.Delivery.Nack(0) }

func BenchmarkSessions(b *testing.B) { sessiontest.BenchmarkStore(b, startSessions) }

// sessions is package session over package cluster.
type sessions struct {
	node  *cluster.Node
	store *session.Store
}

func startSessions(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	store, err := session.New(session.Config{Name: cfg.Name, Nodes: cfg.Nodes, Timeout: 10 * time.Second})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := cluster.Start(ctx, cluster.Config{
		Name: cfg.Name, Bind: cfg.Listen, Seeds: cfg.Seeds, Secret: cfg.Secret, Handler: store.Serve,
	})
	if err != nil {
		tb.Fatal(err)
	}
	store.Start(session.Over(node))
	return sessions{node, store}
}

func (s sessions) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := s.store.Put(ctx, key, value, ttl)
	return err
}

func (s sessions) Get(ctx context.Context, key string) ([]byte, error) {
	found, err := s.store.Get(ctx, key)
	return found.Value, err
}

func (s sessions) Delete(ctx context.Context, key string) error {
	_, err := s.store.Delete(ctx, key)
	return err
}

func (s sessions) Close() error { return errors.Join(s.store.Close(), s.node.Close()) }

func (sessions) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: session.ErrNotFound, Refused: session.ErrNoQuorum}
}

func BenchmarkFormation(b *testing.B) { clustertest.BenchmarkCluster(b, startNode) }

func BenchmarkMessaging(b *testing.B) { transporttest.BenchmarkTransport(b, startNode) }

// member is package cluster behind the interface of its kits.
type member struct{ *cluster.Node }

func startNode(_ testing.TB, cfg node.Config) (node.Node, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, err := cluster.Start(ctx, cluster.Config{
		Name: cfg.Name, Bind: cfg.Bind, Seeds: cfg.Seeds, Secret: cfg.Secret, Window: cfg.Window,
		CallTimeout: cfg.CallTimeout,
		Handler: func(r cluster.Request) {
			if r.OneWay() {
				cfg.Handle(r.From, r.Body, nil)
				return
			}
			// a caller that is gone is told by its own side
			cfg.Handle(r.From, r.Body, func(reply []byte) { _ = r.Reply(reply) })
		},
		Dial: func(ctx context.Context, to cluster.Member) (net.Conn, error) { return cfg.Dial(ctx, to.Addr) },
	})
	if err != nil {
		return nil, err
	}
	return member{n}, nil
}

func (n member) Members() []node.Member {
	var all []node.Member
	for _, m := range n.Node.Members() {
		if m.Name != n.Name() {
			all = append(all, node.Member{Name: m.Name, State: node.State(m.State.String())})
		}
	}
	return all
}

func (n member) Call(to string, request []byte, done func([]byte, error)) { n.Go(to, request, done) }

func (n member) Send(to string, message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.Node.Send(ctx, to, message)
}

func (member) Errors() node.Errors {
	return node.Errors{
		Unauthenticated: cluster.ErrUnauthenticated, NameTaken: cluster.ErrNameTaken, AddressTaken: cluster.ErrAddressTaken,
		Unreachable: cluster.ErrUnreachable, Overloaded: cluster.ErrOverloaded,
	}
}
