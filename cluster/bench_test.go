package cluster

import (
	"fmt"
	"testing"
)

// BenchmarkCalls has one node call another, with so many calls under way.
func BenchmarkCalls(b *testing.B) {
	for _, c := range []struct{ size, inFlight int }{
		{64, 1}, {64, 100}, {64, 10_000}, {4 << 10, 100}, {64 << 10, 1}, {64 << 10, 20},
	} {
		b.Run(fmt.Sprintf("%dB/%d", c.size, c.inFlight), func(b *testing.B) {
			nodes := form(b, 2, func(cfg *Config) { cfg.Window = 64 << 20 })
			request := make([]byte, c.size)
			room := make(chan struct{}, c.inFlight)
			done := func(_ []byte, err error) {
				if err != nil {
					b.Error(err)
				}
				<-room
			}
			b.SetBytes(int64(2 * c.size))
			for b.Loop() {
				room <- struct{}{}
				nodes[0].Go("b", request, done)
			}
			for range c.inFlight {
				room <- struct{}{}
			}
		})
	}
}
