package stress_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/echo"
	"tensile/stress/pooltest"
)

// TestPlantedSlowPools: pools with no other fault than that they take their time.
func TestPlantedSlowPools(t *testing.T) {
	unhurried(t)
	for _, c := range []struct{ fault, criterion string }{
		{"12 times", "throughput"},
		{"stalls", "p99"},
	} {
		t.Run(c.fault, func(t *testing.T) { mustBeFoundSlow(t, slowPhases, slowPlant+c.fault, c.criterion) })
	}
}

// slowPhases are the parts of the kit in which figures in time are taken.
const slowPhases = "TestFaultyPool$/^(burst|steady|close_all)"

// slowPool does the round trip of each operation several times before the kit does.
type slowPool struct {
	subjectPool
	fault string
	began atomic.Int64 // when it was used first, in ns
	calls atomic.Int64
}

// extra is how many round trips are added.
func (p *slowPool) extra() int {
	if p.fault == "more and more" {
		now := time.Now().UnixNano()
		p.began.CompareAndSwap(0, now)
		return int(10 * time.Duration(now-p.began.Load()).Seconds())
	}
	return slowFactor() - 1
}

func (p *slowPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	l, err := p.subjectPool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if l.Conn().RemoteAddr().Network() != "tcp" {
		return l, nil // nobody is there to answer
	}
	if p.fault == "stalls" && p.calls.Add(1)%stallEvery == 0 {
		time.Sleep(stallTime)
	}
	var f echo.Frame
	for i := range p.extra() {
		f.Request(uint64(i))
		if _, err := l.Conn().Write(f[:]); err != nil {
			break // the kit will meet it too
		}
		for at, n := 0, 0; at < len(f); at += n {
			if n, err = l.Conn().Read(f[at:]); err != nil {
				return l, nil
			}
		}
	}
	return l, nil
}

func newSlowPool(p subjectPool) pooltest.Pool {
	return &slowPool{subjectPool: p, fault: strings.TrimPrefix(planted, slowPlant)}
}
