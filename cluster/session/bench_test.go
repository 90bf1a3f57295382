package session

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// direct is a network without any delay.
type direct struct {
	name   string
	stores map[string]*Store
}

func (n direct) Alive(string) bool { return true }

func (n direct) Go(to string, request []byte, done func([]byte, error)) {
	request = slices.Clone(request)
	go func() { done(n.stores[to].Handle(n.name, request)) }()
}

// BenchmarkStore measures the store alone: four nodes in one process, half of the
// operations writes, by many callers.
func BenchmarkStore(b *testing.B) {
	names := []string{"a", "b", "c", "d"}
	stores := make(map[string]*Store)
	for _, name := range names {
		s, err := New(Config{Name: name, Nodes: names})
		if err != nil {
			b.Fatal(err)
		}
		stores[name] = s
		defer s.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for name, s := range stores {
		s.Start(direct{name, stores})
	}
	for _, s := range stores {
		if err := s.Replicated(ctx, names...); err != nil {
			b.Fatal(err)
		}
	}
	value := make([]byte, 64)
	b.ReportAllocs()
	b.SetParallelism(200)
	var caller atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		id := caller.Add(1)
		s := stores[names[id%4]]
		for i := 0; pb.Next(); i++ {
			key := fmt.Sprintf("session-%d-%d", id, i/2%100)
			var err error
			if i%2 == 0 {
				_, err = s.Put(context.Background(), key, value, 0)
			} else {
				_, err = s.Get(context.Background(), key)
			}
			if err != nil {
				panic(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
