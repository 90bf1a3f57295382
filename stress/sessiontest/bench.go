package sessiontest

import (
	"context"
	"os"
	"testing"

	"tensile/stress/measure"
)

// BenchmarkStore measures operations at four nodes by 512 callers within them:
// half of the operations write a session each, and the other half read them at
// other nodes.
func BenchmarkStore(b *testing.B, start func(testing.TB, Config) Store) {
	site := openSite(b, start)
	if site == nil {
		return
	}
	ctx := context.Background()
	c := &cluster{
		site: site, secret: newSecret(), output: func(string) *os.File { return nil }, onKill: func(func()) {},
	}
	defer c.end()
	if err := c.form(ctx, false); err != nil {
		b.Fatal(err)
	}
	book := newBook(max(b.N/2, 2*nodeCount))
	rec := measure.NewRecorder(0)
	b.ResetTimer()
	for _, read := range []bool{false, true} {
		accounts, err := c.offer(ctx, book, workload{Callers: callerCount / nodeCount, Times: 1, Read: read})
		if err != nil {
			b.Fatal(err)
		}
		for _, a := range accounts {
			if a.First != "" || a.Left > 0 || len(a.Wrong) > 0 {
				b.Fatalf("%d of %d operations never ended; first error: %q; wrong reads: %v", a.Left, a.N, a.First, a.Wrong)
			}
		}
		gather(rec, accounts)
	}
	b.StopTimer()
	b.ReportMetric(rec.Throughput(), "ops/s")
	if err := c.disband(); err != nil {
		b.Fatal(err)
	}
}
