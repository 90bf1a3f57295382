package conntest

import (
	"context"
	"testing"

	"tensile/stress/internal/proc"
	"tensile/stress/validate"
)

// benchmarkTCP is how many TCP connections BenchmarkServer holds.
const benchmarkTCP = 10_000

// BenchmarkServer holds connections of each kind that open offers, in
// processes of their own: 100,000 in memory, 10,000 over TCP. It reports the heap
// and stack of one in B/conn, and measures requests, each on the next connection.
func BenchmarkServer(b *testing.B, open func(testing.TB, Config) Server) {
	site := siteOfConnections(b, open)
	if site.Child() {
		return
	}
	for _, d := range allKinds() {
		if open(b, d.Config) == nil {
			continue
		}
		var server, callers *host
		start := func(cfg hostConfig) *host {
			cfg.Config = d.Config
			p, err := site.Start(cfg, proc.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := p.Close(); err != nil {
					b.Error(err)
				}
			})
			h := &host{hostConfig: cfg, name: d.name, process: p}
			h.must(b, hostRequest{Do: doOpen})
			return h
		}
		if d.n = validate.BaseScale; d.Network == networkMemory {
			server = start(hostConfig{Serves: true, Calls: true, N: d.n})
			callers = server
		} else {
			d.n = benchmarkTCP
			server = start(hostConfig{Serves: true, N: d.n})
			callers = start(hostConfig{Calls: true, Pair: 1, N: d.n})
		}
		callers.must(b, hostRequest{Do: doConnect, Server: server.now.Address})
		server.must(b, hostRequest{Do: doRead})
		now, fresh := server.now.Now, server.now.Fresh
		each := float64(now.Heap+now.Stacks-fresh.Heap-fresh.Stacks) / float64(d.n)
		b.Run(d.name, func(b *testing.B) {
			before := callers.now.Account.Answered
			callers.must(b, hostRequest{Do: doTouch, N: b.N})
			if done := callers.now.Account.Answered - before; done != b.N {
				b.Fatalf("%d of %d requests were answered: %v", done, b.N, callers.now.Account.Examples)
			}
			b.ReportMetric(each, "B/conn")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
		server.must(b, hostRequest{Do: doClose})
	}
}

// must is ask for a benchmark.
func (h *host) must(b *testing.B, r hostRequest) {
	b.Helper()
	if err := h.ask(context.Background(), r); err != nil {
		b.Fatal(err)
	}
}
