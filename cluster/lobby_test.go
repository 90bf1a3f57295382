package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// caller is a connection that comes from an address.
type caller struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func (c *caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}
func (c *caller) Close() error { c.closed.Store(true); return nil }

// enter has n from one address come in.
func enter(l *lobby, n int, from string) (all []*caller) {
	for i := range n {
		c := &caller{from: netip.AddrPortFrom(netip.MustParseAddr(from), uint16(i+1)).String()}
		l.enter(c)
		all = append(all, c)
	}
	return all
}

func inside(all []*caller) (n int) {
	for _, c := range all {
		if !c.closed.Load() {
			n++
		}
	}
	return n
}

func TestPlacesAreBounded(t *testing.T) {
	l := newLobby(100)
	all := enter(l, 1000, "127.0.0.1")
	assert.Equal(t, 100, inside(all))
	for _, c := range all {
		l.leave(c)
		l.leave(c)
	}
	assert.Empty(t, l.guests)
	assert.Empty(t, l.from)
}

func TestOneAddressKeepsNobodyOut(t *testing.T) {
	l := newLobby(100)
	few := enter(l, 30, "192.0.2.1")
	enter(l, 2_000, "198.51.100.1")
	assert.Equal(t, 30, inside(few), "those from elsewhere stay")
	many := enter(l, 2_000, "2001:db8::1")
	assert.Equal(t, 30, inside(few))
	assert.Equal(t, 35, inside(many), "the two that want all share the rest")
}

func TestANetworkIsOneAddress(t *testing.T) {
	l := newLobby(100)
	few := enter(l, 40, "192.0.2.1")
	for i := range 1000 {
		enter(l, 1, fmt.Sprintf("2001:db8::%x", i+1))
	}
	assert.Equal(t, 40, inside(few))
	mapped := &caller{from: "[::ffff:192.0.2.1]:1"}
	assert.Equal(t, netip.MustParseAddr("192.0.2.1"), origin(mapped.RemoteAddr()))
}

// Were the oldest to go, all of the first would be gone.
func TestAnyMayHaveToGo(t *testing.T) {
	const places, rounds = 100, 50
	survived := 0
	for range rounds {
		l := newLobby(places)
		first := enter(l, places, "127.0.0.1")
		enter(l, places, "127.0.0.1")
		survived += inside(first)
	}
	// Each of 100 that come in turn takes the place of one of 101: of the first
	// (100/101)^100 stay, which is 36.9 %. The standard error is below 0.7 %.
	assert.InDelta(t, 0.369, float64(survived)/(places*rounds), 0.07)
}

// A member whose hello takes a while gets in while strangers come as fast as they
// can, all from its own address.
func TestAHelloGetsThroughAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, distance = 4000, 20 * time.Millisecond
		l := newLobby(mostStrangers)
		stop := make(chan struct{})
		go func() {
			for clock := time.NewTicker(time.Second / rate); ; {
				select {
				case <-clock.C:
					l.enter(&caller{from: "127.0.0.1:1"})
				case <-stop:
					clock.Stop()
					return
				}
			}
		}()
		time.Sleep(time.Second) // it is full
		var took []time.Duration
		for range 40 {
			began := time.Now()
			for {
				c := &caller{from: "127.0.0.1:2"}
				l.enter(c)
				time.Sleep(distance)
				if l.leave(c); !c.closed.Load() {
					break
				}
				time.Sleep(seedPause)
			}
			took = append(took, time.Since(began))
		}
		close(stop)
		assert.Less(t, slices.Max(took), 500*time.Millisecond)
	})
}

func TestRefusalsAreToldNowAndThen(t *testing.T) {
	var r refusals
	began := time.Now()
	told := 0
	for i := range 10_000 {
		if n := r.add(began.Add(time.Duration(i) * time.Millisecond)); n > 0 {
			told += n
			require.Zero(t, i%1000)
		}
	}
	assert.Equal(t, 9001, told, "all but those since the last")
}
