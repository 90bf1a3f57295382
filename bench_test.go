package tensile

import (
	"context"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"tensile/chaos"
	"tensile/cluster"
	"tensile/cluster/balance"
	"tensile/cluster/session"
	"tensile/pool"
	"tensile/queue"
	"tensile/registry"
	"tensile/stress/measure"
)

// The headline of each scenario: what one operation costs a caller of the packages, with
// nothing between. The kits' own benchmarks, with processes and real connections, are
// beside the scenarios, in stress.

// BenchmarkPooling lends 8 connections to 128 callers for each processor.
func BenchmarkPooling(b *testing.B) {
	p, err := pool.New(pool.Config[net.Conn]{
		Dial:    func(context.Context) (net.Conn, error) { conn, _ := net.Pipe(); return conn, nil },
		Close:   net.Conn.Close,
		MaxSize: 8,
	})
	must(b, err)
	b.Cleanup(func() { must(b, p.Close()) })
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := p.Acquire(b.Context())
			if err != nil {
				b.Error(err)
				return
			}
			l.Release()
		}
	})
}

// BenchmarkRouting passes messages to 1,000 names until all of them are handled.
func BenchmarkRouting(b *testing.B) {
	r, err := registry.New[int](registry.Config{})
	must(b, err)
	names := make([]string, 1000)
	for i := range names {
		names[i] = strconv.Itoa(i)
		must(b, r.Register(names[i], func(int) {}))
	}
	for i := 0; b.Loop(); i++ {
		for r.Send(names[i%len(names)], i) != nil { // full
		}
	}
	must(b, r.Close())
}

// BenchmarkQueueing publishes, receives and acknowledges a message.
func BenchmarkQueueing(b *testing.B) {
	broker, err := queue.Open(queue.Options{})
	must(b, err)
	q, err := broker.Declare("jobs", queue.Config{})
	must(b, err)
	body := make([]byte, 64)
	for b.Loop() {
		_, err := q.Publish(b.Context(), body)
		must(b, err)
		d, err := q.Receive(b.Context())
		must(b, err)
		must(b, d.Ack(b.Context()))
	}
	must(b, broker.Close())
}

// BenchmarkMemory holds 10,000 connections, with a goroutine each. It reports what one of
// them takes, and measures requests.
func BenchmarkMemory(b *testing.B) {
	const frame, n = 64, 10_000
	before := measure.ReadMemory()
	conns := make([]net.Conn, n)
	for i := range conns {
		near, far := net.Pipe()
		conns[i] = near
		go func() {
			var request [frame]byte
			for {
				if _, err := io.ReadFull(far, request[:]); err != nil {
					return
				}
				if _, err := far.Write(request[:]); err != nil {
					return
				}
			}
		}()
	}
	ask := func(conn net.Conn) {
		var request [frame]byte
		_, err := conn.Write(request[:])
		must(b, err)
		_, err = io.ReadFull(conn, request[:])
		must(b, err)
	}
	for _, conn := range conns { // from here on each has its goroutine
		ask(conn)
	}
	held := measure.ReadMemory()
	for i := 0; b.Loop(); i++ {
		ask(conns[i%n])
	}
	b.ReportMetric(float64(held.Heap+held.Stacks-before.Heap-before.Stacks)/n, "B/conn")
	for _, conn := range conns {
		must(b, conn.Close())
	}
}

// BenchmarkBalancing picks one of ten nodes.
func BenchmarkBalancing(b *testing.B) {
	var cfg balance.Config
	for i := range 10 {
		cfg.Nodes = append(cfg.Nodes, balance.Node{Name: strconv.Itoa(i)})
	}
	balancer, err := balance.New(cfg)
	must(b, err)
	for key := uint64(0); b.Loop(); key++ {
		p, err := balancer.Pick(key)
		must(b, err)
		p.Done()
	}
}

// BenchmarkChaos has one of 1,000 supervised workers do an operation.
func BenchmarkChaos(b *testing.B) {
	const n = 1000
	workers, err := chaos.NewWorkers(chaos.WorkersConfig[int]{
		Workers: n,
		Start:   func(int) chaos.Handler[int] { return func(context.Context, int) error { return nil } },
	})
	must(b, err)
	for i := 0; b.Loop(); i++ {
		must(b, workers.Do(b.Context(), i%n, i))
	}
	must(b, workers.Close())
}

// BenchmarkSessions writes a session at one of four nodes and reads it at the next.
func BenchmarkSessions(b *testing.B) {
	names := []string{"a", "b", "c", "d"}
	stores := make(map[string]*session.Store)
	for _, name := range names {
		store, err := session.New(session.Config{Name: name, Nodes: names})
		must(b, err)
		b.Cleanup(func() { must(b, store.Close()) })
		stores[name] = store
	}
	for _, n := range form(b, names, func(name string) cluster.Handler { return stores[name].Serve }) {
		stores[n.Name()].Start(session.Over(n))
	}
	value := make([]byte, 256)
	for i := 0; b.Loop(); i++ {
		key := strconv.Itoa(i)
		_, err := stores[names[i%4]].Put(b.Context(), key, value, time.Hour)
		must(b, err)
		_, err = stores[names[(i+1)%4]].Get(b.Context(), key)
		must(b, err)
	}
}

// BenchmarkFormation starts four nodes, until each lists the others.
func BenchmarkFormation(b *testing.B) {
	for b.Loop() {
		for _, n := range form(b, []string{"a", "b", "c", "d"}, nil) {
			must(b, n.Close())
		}
	}
}

// BenchmarkMessaging calls another node, with 1,000 calls in flight.
func BenchmarkMessaging(b *testing.B) {
	nodes := form(b, []string{"a", "b"}, func(string) cluster.Handler {
		return func(r cluster.Request) { _ = r.Reply(r.Body) } // an error is the caller's too
	})
	body := make([]byte, 64)
	inFlight := make(chan struct{}, 1000)
	for b.Loop() {
		inFlight <- struct{}{}
		nodes[0].Go("b", body, func(_ []byte, err error) {
			if err != nil {
				b.Error(err)
			}
			<-inFlight
		})
	}
	for range cap(inFlight) {
		inFlight <- struct{}{}
	}
}

// form starts nodes, and returns them once each lists all of them as alive.
func form(b *testing.B, names []string, handler func(name string) cluster.Handler) (nodes []*cluster.Node) {
	secret := cluster.NewSecret()
	var seeds []string
	for _, name := range names {
		cfg := cluster.Config{Name: name, Bind: "127.0.0.1:0", Seeds: seeds, Secret: secret}
		if handler != nil {
			cfg.Handler = handler(name)
		}
		n, err := cluster.Start(b.Context(), cfg)
		must(b, err)
		b.Cleanup(func() { _ = n.Close() }) // it may have been closed
		nodes, seeds = append(nodes, n), append(seeds, n.Addr())
	}
	for _, n := range nodes {
		for alive(n) < len(names) {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return nodes
}

func alive(n *cluster.Node) (count int) {
	for _, m := range n.Members() {
		if m.State == cluster.Alive {
			count++
		}
	}
	return count
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}
