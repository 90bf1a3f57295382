package stress

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
)

// BenchmarkSessions measures operations at four nodes by 512 callers, each with a
// session of its own that it writes and reads in turn.
func BenchmarkSessions(b *testing.B, start func(testing.TB, SessionConfig) Sessions) {
	site := sessionSite(b, start)
	if site == nil {
		return
	}
	ctx := context.Background()
	c := &sessionCluster{site: site, secret: sessionSecret, output: func(string) *os.File { return nil }, onKill: func(func()) {}}
	defer c.end()
	if err := c.form(ctx, false); err != nil {
		b.Fatal(err)
	}
	book := newBook(b.N)
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(sessionCallers / 2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1)) - 1
			session := i / 2
			n := c.nodes[i%len(c.nodes)]
			var r result
			if i%2 == 0 {
				number, value := book.next(session)
				r = n.put(ctx, opTime, sessionKey(session), value)
				book.acked[session].Store(number)
			} else {
				r = n.get(ctx, opTime, sessionKey(session))
			}
			if r.err != nil {
				panic(r.err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	if err := c.disband(); err != nil {
		b.Fatal(err)
	}
}
