package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func startN(t testing.TB, k int, change func(i int, c *Config)) []*Node {
	var nodes []*Node
	var seeds []string
	for i := range k {
		cfg := Config{Name: fmt.Sprint("n", i), Bind: "127.0.0.1:0", Secret: secret, Seeds: seeds,
			Handler: func(r Request) { _ = r.Reply(r.Body) }}
		if os.Getenv("LOG") != "" {
			cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("at", cfg.Name)
		}
		if change != nil {
			change(i, &cfg)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		n, err := Start(ctx, cfg)
		cancel()
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		nodes = append(nodes, n)
		seeds = []string{nodes[0].Addr()}
	}
	return nodes
}

func alive(n *Node) int {
	c := 0
	for _, m := range n.Members() {
		if m.State == Alive {
			c++
		}
	}
	return c
}

func TestSmoke(t *testing.T) {
	began := time.Now()
	nodes := startN(t, 4, nil)
	for _, n := range nodes {
		require.Eventually(t, func() bool { return alive(n) == 4 }, 5*time.Second, time.Millisecond)
	}
	t.Log("formed", time.Since(began))
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				r, err := a.Call(context.Background(), b.Name(), []byte("hi"))
				require.NoError(t, err)
				require.Equal(t, "hi", string(r))
			}
		}
	}
	began = time.Now()
	nodes[3].Close()
	t.Log("close", time.Since(began))
	for _, n := range nodes[:3] {
		require.Eventually(t, func() bool { return alive(n) == 3 }, 5*time.Second, time.Millisecond)
	}
	t.Log("death", time.Since(began))
	began = time.Now()
	require.NoError(t, nodes[2].Leave(context.Background()))
	t.Log("leave", time.Since(began))
	t.Log(nodes[0].Members())
}

func BenchmarkCalls(b *testing.B) {
	nodes := startN(b, 2, nil)
	for alive(nodes[0]) < 2 {
		time.Sleep(time.Millisecond)
	}
	const window = 8000
	b.ReportAllocs()
	payload := make([]byte, 64)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range min(window, b.N) {
		wg.Add(1)
		var done func([]byte, error)
		done = func(r []byte, err error) {
			if err != nil {
				panic(err)
			}
			if left.Add(-1) < 0 {
				wg.Done()
				return
			}
			nodes[0].Go("n1", payload, done)
		}
		nodes[0].Go("n1", payload, done)
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}
