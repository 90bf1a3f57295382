package chaos

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve listens and gives each connection to handle.
func serve(t *testing.T, handle func(*net.TCPConn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// echoes returns what it gets until that ends.
func echoes(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }

func proxyTo(t *testing.T, target string) *Proxy {
	p, err := NewProxy(target, 1)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close()) })
	return p
}

func dial(t *testing.T, addr string) *net.TCPConn {
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn.(*net.TCPConn)
}

func random(n int) []byte {
	data := make([]byte, n)
	source := rand.New(rand.NewPCG(5, 5))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	return data
}

// through sends data to an echo behind the proxy and returns what comes back.
func through(t *testing.T, p *Proxy, data []byte) []byte {
	conn := dial(t, p.Addr())
	go func() {
		_, _ = conn.Write(data)
		_ = conn.CloseWrite()
	}()
	back, err := io.ReadAll(conn)
	require.NoError(t, err)
	return back
}

func impose(t *testing.T, p *Proxy, forth, back Condition) func() {
	lift, err := p.Impose(forth, back)
	require.NoError(t, err)
	return lift
}

func TestProxyCarriesEverything(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	data := random(5 << 20)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { assert.True(t, bytes.Equal(data, through(t, p, data))) })
	}
	all.Wait()
}

func TestProxyDelay(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	lift := impose(t, p, Condition{Delay: 60 * time.Millisecond, Jitter: 10 * time.Millisecond},
		Condition{Delay: 50 * time.Millisecond})
	began := time.Now()
	assert.Equal(t, "hello", string(through(t, p, []byte("hello"))))
	assert.GreaterOrEqual(t, time.Since(began), 100*time.Millisecond)
	data := random(1 << 20)
	assert.True(t, bytes.Equal(data, through(t, p, data)), "jitter must not reorder")
	lift()
	lift()
	assert.Zero(t, p.forth.now.Load().Condition)
}

func TestProxyLossIsAStall(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	impose(t, p, Condition{Loss: 0.5, Stall: 20 * time.Millisecond}, Condition{})
	conn := dial(t, p.Addr())
	stalled := 0
	for i := range 16 {
		began := time.Now()
		_, err := conn.Write([]byte{byte(i)})
		require.NoError(t, err)
		var b [1]byte
		_, err = io.ReadFull(conn, b[:])
		require.NoError(t, err)
		assert.Equal(t, byte(i), b[0], "nothing is missing")
		if time.Since(began) >= 20*time.Millisecond {
			stalled++
		}
	}
	assert.Positive(t, stalled)
}

func TestProxyHarmsTheStream(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	data := random(4 << 20)
	for name, c := range map[string]struct {
		Condition
		check func(back []byte) bool
	}{
		"drop": {Condition{Drop: 0.2}, func(back []byte) bool {
			return len(back) < len(data) && len(back) > len(data)/2
		}},
		"duplicate": {Condition{Duplicate: 0.2}, func(back []byte) bool {
			return len(back) > len(data) && len(back) < 2*len(data)
		}},
		"corrupt": {Condition{Corrupt: 0.2}, func(back []byte) bool {
			return len(back) == len(data) && !bytes.Equal(back, data)
		}},
	} {
		lift := impose(t, p, Condition{}, c.Condition)
		assert.True(t, c.check(through(t, p, data)), name)
		lift()
		assert.True(t, bytes.Equal(data, through(t, p, data)), "afterwards")
	}
}

func TestProxyBandwidth(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	impose(t, p, Condition{Bandwidth: 100_000}, Condition{})
	began := time.Now()
	data := random(30_000)
	assert.True(t, bytes.Equal(data, through(t, p, data)))
	assert.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
}

// TestProxyCut cuts one direction at a time: what is sent into it is held, and
// arrives afterwards.
func TestProxyCut(t *testing.T) {
	arrived := make(chan byte, 10)
	orders := make(chan byte)
	p := proxyTo(t, serve(t, func(conn *net.TCPConn) {
		go func() {
			for b := range orders {
				_, _ = conn.Write([]byte{b})
			}
		}()
		var b [1]byte
		for {
			if _, err := conn.Read(b[:]); err != nil {
				return
			}
			arrived <- b[0]
		}
	}))
	conn := dial(t, p.Addr())
	defer close(orders)
	receive := func() byte {
		var b [1]byte
		_, err := io.ReadFull(conn, b[:])
		require.NoError(t, err)
		return b[0]
	}
	send := func(b byte) {
		_, err := conn.Write([]byte{b})
		require.NoError(t, err)
	}
	send(1)
	assert.Equal(t, byte(1), <-arrived)

	lift := impose(t, p, Condition{Cut: true}, Condition{})
	send(2)
	orders <- 3
	assert.Equal(t, byte(3), receive(), "the other direction is open")
	assert.Empty(t, arrived)
	lift()
	assert.Equal(t, byte(2), <-arrived)

	lift = impose(t, p, Condition{}, Condition{Cut: true})
	orders <- 4
	send(5)
	assert.Equal(t, byte(5), <-arrived)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := conn.Read(make([]byte, 1))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	assert.True(t, timeout.Timeout())
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	lift()
	assert.Equal(t, byte(4), receive())
}

// TestProxyCutHoldsTheEnd has the far side close during a cut.
func TestProxyCutHoldsTheEnd(t *testing.T) {
	leave, left := make(chan struct{}), make(chan struct{})
	p := proxyTo(t, serve(t, func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte{1})
		<-leave
		_ = conn.Close()
		close(left)
	}))
	conn := dial(t, p.Addr())
	_, err := io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	lift := impose(t, p, Condition{Cut: true}, Condition{Cut: true})
	close(leave)
	<-left
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "i/o timeout")
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	lift()
	_, err = conn.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
}

// TestProxyDialDuringACut is accepted and leads nowhere until then.
func TestProxyDialDuringACut(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	lift := impose(t, p, Condition{}, Condition{Cut: true})
	conn := dial(t, p.Addr())
	_, err := conn.Write([]byte{7})
	require.NoError(t, err)
	lift()
	var b [1]byte
	_, err = io.ReadFull(conn, b[:])
	require.NoError(t, err)
	assert.Equal(t, byte(7), b[0])
}

func TestProxyReset(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	conn := dial(t, p.Addr())
	_, err := conn.Write([]byte{7})
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	assert.Equal(t, 1, p.Reset())
	_, err = conn.Read(make([]byte, 1))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, io.EOF)
	assert.Equal(t, "again", string(through(t, p, []byte("again"))))
}

func TestProxyRefusedTarget(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := listener.Addr().String()
	require.NoError(t, listener.Close())
	p := proxyTo(t, gone)
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil { // else the reset was faster
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1))
	}
	assert.ErrorIs(t, err, syscall.ECONNRESET)

	p.SetTarget(serve(t, echoes))
	assert.Equal(t, "here", string(through(t, p, []byte("here"))))
}

// TestProxyHoldsUpTheSender sends more than the proxy may hold into a cut.
func TestProxyHoldsUpTheSender(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	lift := impose(t, p, Condition{Cut: true}, Condition{})
	conn := dial(t, p.Addr())
	data := random(32 << 20)
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	n, err := conn.Write(data)
	assert.ErrorContains(t, err, "i/o timeout")
	assert.Less(t, n, 16<<20, "kernel buffers and a megabyte of ours")
	lift()
}

func TestProxyCloseUnblocksEverything(t *testing.T) {
	p, err := NewProxy(serve(t, echoes), 1)
	require.NoError(t, err)
	impose(t, p, Condition{Delay: time.Hour}, Condition{Cut: true})
	conn := dial(t, p.Addr())
	_, err = conn.Write(random(100))
	require.NoError(t, err)
	assert.NoError(t, p.Close())
	assert.NoError(t, p.Close())
}

func TestConditionErrors(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	for want, c := range map[string]Condition{
		"Loss is 1.1":      {Loss: 1.1},
		"Drop is -1":       {Drop: -1},
		"Corrupt is 2":     {Corrupt: 2},
		"Delay is -1ns":    {Delay: -1},
		"Stall is 48h0m0s": {Stall: 2 * MaxTime},
		"Bandwidth is -1":  {Bandwidth: -1},
	} {
		_, err := p.Impose(c, Condition{})
		assert.ErrorIs(t, err, ErrPlan)
		assert.ErrorContains(t, err, want)
		_, err = p.Impose(Condition{}, c)
		assert.ErrorIs(t, err, ErrPlan)
	}
	assert.Zero(t, p.forth.now.Load().Condition)
}

func TestConditionsAddUp(t *testing.T) {
	p := proxyTo(t, serve(t, echoes))
	now := func() Condition { return p.forth.now.Load().Condition }
	one := impose(t, p, Condition{Delay: 1, Loss: 0.5, Bandwidth: 100}, Condition{})
	two := impose(t, p, Condition{Delay: 2, Loss: 0.5, Cut: true, Bandwidth: 50}, Condition{})
	assert.Equal(t, Condition{Delay: 3, Loss: 0.75, Cut: true, Bandwidth: 50}, now())
	one()
	assert.Equal(t, Condition{Delay: 2, Loss: 0.5, Cut: true, Bandwidth: 50}, now())
	two()
	assert.Zero(t, now())
}

func TestNetwork(t *testing.T) {
	n := NewNetwork(1)
	defer func() { assert.NoError(t, n.Close()) }()
	for _, from := range []string{"a", "b", "c"} {
		for _, to := range []string{"a", "b", "c"} {
			if from != to {
				_, err := n.Link(from, to, "127.0.0.1:1")
				require.NoError(t, err)
			}
		}
	}
	cut := func() map[string]bool {
		all := make(map[string]bool)
		for l, p := range n.links {
			if p.forth.now.Load().Cut {
				all[l.from+l.to+" forth"] = true
			}
			if p.back.now.Load().Cut {
				all[l.from+l.to+" back"] = true
			}
		}
		return all
	}
	inject := n.Injectors(Condition{Delay: time.Second, Loss: 0.1})
	for _, c := range []struct {
		fault  Fault
		target string
		cut    []string
	}{
		{Cut, "a>b", []string{"ab forth", "ba back"}},
		{Partition, "a>b", []string{"ab forth", "ba back"}},
		{Cut, "c", []string{"ca forth", "cb forth", "ac back", "bc back"}},
		{
			Partition, "c", []string{"ca forth", "cb forth", "ac back", "bc back", "ca back", "cb back", "ac forth", "bc forth"},
		},
	} {
		undo, err := inject[c.fault](t.Context(), c.target)
		require.NoError(t, err)
		want := make(map[string]bool)
		for _, w := range c.cut {
			want[w] = true
		}
		assert.Equal(t, want, cut(), "%s of %s", c.fault, c.target)
		require.NoError(t, undo())
		assert.Empty(t, cut())
	}
	undo, err := inject[Delay](t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, Condition{Delay: time.Second}, n.links[link{"b", "a"}].back.now.Load().Condition)
	require.NoError(t, undo())

	for _, target := range []string{"", "x", "a>x", "a>", ">a", "a>a"} {
		_, err := inject[Cut](t.Context(), target)
		assert.ErrorIs(t, err, ErrPlan, target)
	}
	for _, fault := range []Fault{Drop, Corrupt, Duplicate, Bandwidth} {
		_, err := inject[fault](t.Context(), "a")
		assert.ErrorIs(t, err, ErrPlan)
		assert.ErrorContains(t, err, "severity")
	}
	for _, name := range []string{"", "a>b"} {
		_, err := n.Link(name, "b", "127.0.0.1:1")
		assert.ErrorIs(t, err, ErrPlan)
	}
}

func TestLinkFollowsARestart(t *testing.T) {
	n := NewNetwork(1)
	defer func() { assert.NoError(t, n.Close()) }()
	addr, err := n.Link("a", "b", serve(t, func(conn *net.TCPConn) { _, _ = conn.Write([]byte("old")) }))
	require.NoError(t, err)
	read := func() string {
		text, err := io.ReadAll(dial(t, addr))
		require.NoError(t, err)
		return string(text)
	}
	assert.Equal(t, "old", read())
	again, err := n.Link("a", "b", serve(t, func(conn *net.TCPConn) { _, _ = conn.Write([]byte("new")) }))
	require.NoError(t, err)
	assert.Equal(t, addr, again)
	assert.Equal(t, "new", read())
}
