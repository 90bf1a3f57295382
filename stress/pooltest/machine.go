package pooltest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/internal/scenario"
)

// machineTime is for how long the rate of the machine is measured.
const machineTime = 300 * time.Millisecond

// machine measures what the kernel and the processors do without any pool, in
// round trips a second: each connection has a goroutine of its own. No pool is
// faster, and where that is slow on a machine, or for a while, the pool is not
// to blame. It has a server of its own, so that nothing of it is counted with the
// pools. 0 says that it could not be measured.
func (k *kit) machine(ctx context.Context, conns int) float64 {
	server, err := echo.Start()
	if err != nil {
		k.Fail("pooling: %v", err)
		return 0
	}
	k.OnInterrupt(func() { _ = server.Close() })
	ctx, cancel := context.WithTimeout(ctx, scenario.PhaseBound)
	defer cancel()
	all := make([]net.Conn, 0, conns)
	defer func() {
		for _, c := range all {
			_ = c.Close() // nothing is on its way
		}
		if err := server.Close(); err != nil {
			k.Fail("pooling: %v", err)
		}
	}()
	var d net.Dialer
	for range conns {
		c, err := d.DialContext(ctx, "tcp", server.Addr)
		if err != nil {
			k.Note("The rate of the machine without a pool was not measured: %v", err)
			return 0
		}
		all = append(all, c)
	}
	var trips atomic.Int64
	var goroutines sync.WaitGroup
	began := time.Now()
	for i, c := range all {
		goroutines.Go(func() {
			_ = c.SetDeadline(began.Add(scenario.PhaseBound)) // or else the round trip says so
			var f echo.Frame
			n := 0
			for ; n == 0 || time.Since(began) < machineTime; n++ {
				f.Request(uint64(i))
				if exchangeOver(c, &f, &f) != nil {
					break
				}
			}
			trips.Add(int64(n))
		})
	}
	goroutines.Wait()
	return float64(trips.Load()) / time.Since(began).Seconds()
}
