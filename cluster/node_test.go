package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryPairCalls(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS=%t", secure), func(t *testing.T) {
			nodes := form(t, 4, func(c *Config) {
				c.TLS = secure
				c.Handler = func(r Request) { _ = r.Reply([]byte(r.From + " " + string(r.Body))) }
			})
			for _, n := range nodes {
				require.Len(t, n.Members(), 4)
				for _, o := range nodes {
					reply, err := n.Call(soon(t), o.Name(), []byte("hello"))
					if o == n {
						assert.ErrorIs(t, err, ErrUnknownMember)
						continue
					}
					require.NoError(t, err)
					assert.Equal(t, n.Name()+" hello", string(reply))
				}
			}
		})
	}
}

func TestMessagesOfAnySize(t *testing.T) {
	for _, secure := range []bool{false, true} {
		nodes := form(t, 2, func(c *Config) { c.TLS = secure })
		for _, size := range []int{0, 1, 64, 1 << 10, 64 << 10, defaultMaxMessage} {
			body := bytes.Repeat([]byte{'x'}, size)
			reply, err := nodes[0].Call(soon(t), "b", body)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(body, reply), "%d bytes", size)
		}
		large := make([]byte, defaultMaxMessage+1)
		_, err := nodes[0].Call(soon(t), "b", large)
		assert.ErrorIs(t, err, ErrTooLarge)
		assert.ErrorIs(t, nodes[0].Send(soon(t), "b", large), ErrTooLarge)
		nodes[0].Go("b", large, func(_ []byte, err error) { assert.ErrorIs(t, err, ErrTooLarge) })
	}
}

func TestAReplyThatIsTooLarge(t *testing.T) {
	refused := make(chan error, 1)
	nodes := form(t, 2, func(c *Config) {
		c.Handler = func(r Request) {
			refused <- r.Reply(make([]byte, defaultMaxMessage+1))
			_ = r.Reply(nil)
		}
	})
	_, err := nodes[0].Call(soon(t), "b", nil)
	require.NoError(t, err)
	assert.ErrorIs(t, <-refused, ErrTooLarge)
}

func TestGoAnswersEachItsOwn(t *testing.T) {
	nodes := form(t, 2, nil)
	const n = 20_000
	var all sync.WaitGroup
	var wrong atomic.Int64
	for i := range n {
		all.Add(1)
		body := fmt.Sprint(i)
		nodes[0].Go("b", []byte(body), func(reply []byte, err error) {
			defer all.Done()
			if err != nil || string(reply) != body {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	assert.Zero(t, wrong.Load())
}

func TestSendArrivesOnceAndInOrder(t *testing.T) {
	const n = 20_000
	var got []string
	done := make(chan struct{})
	nodes := form(t, 2, func(c *Config) {
		c.Window = c.Window / 4
		c.Handler = func(r Request) {
			assert.True(t, r.OneWay())
			assert.NoError(t, r.Reply([]byte("nobody waits for this")))
			if got = append(got, string(r.Body)); len(got) == n {
				close(done)
			}
		}
	})
	for i := range n {
		require.NoError(t, nodes[0].Send(soon(t), "b", []byte(fmt.Sprint(i))))
	}
	<-done
	for i, s := range got {
		require.Equal(t, fmt.Sprint(i), s)
	}
}

func TestHandlersThatDoNotHandle(t *testing.T) {
	nodes := form(t, 2, func(c *Config) {
		if c.Name == "b" {
			c.Handler = nil
		} else {
			c.Handler = func(r Request) {
				if string(r.Body) == "panic" {
					panic("on purpose")
				}
				echo(r)
			}
		}
	})
	_, err := nodes[0].Call(soon(t), "b", nil)
	assert.ErrorIs(t, err, ErrRemote)
	assert.ErrorContains(t, err, "has no handler")
	_, err = nodes[1].Call(soon(t), "a", []byte("panic"))
	assert.ErrorIs(t, err, ErrRemote)
	assert.ErrorContains(t, err, "panicked")
	_, err = nodes[1].Call(soon(t), "a", nil)
	assert.NoError(t, err, "the connection has survived it")
}

func TestLateRepliesFromOtherGoroutines(t *testing.T) {
	var held []Request
	var mu sync.Mutex
	nodes := form(t, 2, func(c *Config) {
		c.Handler = func(r Request) {
			r.Body = bytes.Clone(r.Body)
			mu.Lock()
			held = append(held, r)
			mu.Unlock()
		}
	})
	const n = 1000
	replies := make(chan string, n)
	for i := range n {
		want := fmt.Sprint(i)
		nodes[0].Go("b", []byte(want), func(reply []byte, err error) {
			if err == nil && string(reply) != want {
				err = errors.New("the reply to another")
			}
			replies <- fmt.Sprint(err)
		})
	}
	await(t, "all held", func() bool { mu.Lock(); defer mu.Unlock(); return len(held) == n })
	for i := n - 1; i >= 0; i-- {
		go func() { _ = held[i].Reply(held[i].Body) }()
	}
	for range n {
		assert.Equal(t, "<nil>", <-replies)
	}
}

func TestTimeouts(t *testing.T) {
	nodes := form(t, 2, func(c *Config) {
		c.CallTimeout = 150 * time.Millisecond
		c.Handler = func(Request) {} // never replies
	})
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := nodes[0].Call(short, "b", nil)
	assert.ErrorIs(t, err, ErrTimeout)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = nodes[0].Call(soon(t), "b", nil)
	assert.ErrorIs(t, err, ErrTimeout, "by CallTimeout")
	late := make(chan error)
	nodes[0].Go("b", nil, func(_ []byte, err error) { late <- err })
	assert.ErrorIs(t, <-late, ErrTimeout)
}

func TestAPeerThatDoesNotKeepUp(t *testing.T) {
	gate := make(chan struct{})
	const body = 16 << 10
	nodes := form(t, 3, func(c *Config) {
		c.Window, c.MaxMessage = 1<<20, 1<<20
		if c.Name == "b" {
			c.Handler = func(r Request) { <-gate; echo(r) }
		}
	})
	a := nodes[0]
	ended := make(chan error, 10_000)
	sent := 0
	var err error
	for ; err == nil && sent < 10_000; sent++ {
		refused := make(chan error, 1)
		a.Go("b", make([]byte, body), func(_ []byte, err error) {
			if errors.Is(err, ErrOverloaded) {
				refused <- err
				return
			}
			ended <- err
		})
		select {
		case err = <-refused:
		default:
		}
	}
	require.ErrorIs(t, err, ErrOverloaded)
	assert.LessOrEqual(t, sent*body, 2<<20, "the window is a bound")

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = a.Call(short, "b", make([]byte, body))
	assert.ErrorIs(t, err, ErrOverloaded)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorIs(t, a.Send(short, "b", make([]byte, body)), ErrOverloaded)
	_, err = a.Call(soon(t), "c", make([]byte, body))
	assert.NoError(t, err, "another peer is not concerned")

	waiting := make(chan error, 3)
	for range 2 {
		go func() { _, err := a.Call(soon(t), "b", make([]byte, body)); waiting <- err }()
	}
	go func() { waiting <- a.Send(soon(t), "b", make([]byte, body)) }()
	await(t, "three wait for room", func() bool {
		l := (*a.routes.Load())["b"]
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.waiting.Len() == 3
	})
	assert.Equal(t, Alive, awaitMember(t, a, "b", Alive).State, "slow is not dead")
	close(gate)
	for range 3 {
		assert.NoError(t, <-waiting)
	}
	for range sent - 1 {
		assert.NoError(t, <-ended)
	}
}

func TestWaitersAreToldThatThePeerIsGone(t *testing.T) {
	gate := make(chan struct{})
	nodes := form(t, 2, func(c *Config) {
		c.Window, c.MaxMessage = 1<<16, 1<<16
		c.Handler = func(Request) { <-gate }
	})
	ended := make(chan error, 100)
	for range 100 {
		go func() { _, err := nodes[0].Call(soon(t), "b", make([]byte, 16<<10)); ended <- err }()
	}
	await(t, "some wait for room", func() bool {
		l := (*nodes[0].routes.Load())["b"]
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.waiting.Len() > 50
	})
	nodes[1].stop(ErrClosed)
	for range 100 {
		assert.ErrorIs(t, <-ended, ErrUnreachable)
	}
	close(gate)
}

func TestDeathIsKnownAndNamed(t *testing.T) {
	nodes := form(t, 4, nil)
	require.NoError(t, nodes[3].Close())
	for _, n := range nodes[:3] {
		awaitMember(t, n, "d", Failed)
		_, err := n.Call(soon(t), "d", nil)
		assert.ErrorIs(t, err, ErrUnreachable)
		assert.ErrorContains(t, err, "failed")
	}
	_, err := nodes[3].Call(soon(t), "a", nil)
	assert.ErrorIs(t, err, ErrClosed)
	assert.ErrorIs(t, nodes[3].Err(), ErrClosed)
	assert.ErrorIs(t, nodes[3].Leave(soon(t)), ErrClosed)
	assert.NoError(t, nodes[3].Close(), "a second time")
}

func TestLeaveIsNoFailure(t *testing.T) {
	nodes := form(t, 4, nil)
	var seen [3]chan Event
	for i, n := range nodes[:3] {
		seen[i] = make(chan Event, 10)
		n.Watch(func(e Event) {
			if e.Name == "d" && e.State != Alive {
				seen[i] <- e
			}
		})
	}
	require.NoError(t, nodes[3].Leave(soon(t)))
	for i, n := range nodes[:3] {
		e := <-seen[i]
		assert.Equal(t, Left, e.State)
		assert.NoError(t, e.Cause)
		_, err := n.Call(soon(t), "d", nil)
		assert.ErrorIs(t, err, ErrUnreachable)
		assert.ErrorContains(t, err, "left")
	}
	for _, n := range nodes[:3] {
		n.mu.Lock()
		p := n.peers["d"]
		assert.Equal(t, Left, p.state)
		assert.Error(t, p.ctx.Err(), "nobody dials it any more, and finds that it has failed")
		n.mu.Unlock()
	}
}

func TestALaterLifeTakesThePlace(t *testing.T) {
	for _, how := range []string{"closed", "left", "same port"} {
		t.Run(how, func(t *testing.T) {
			nodes := form(t, 3, nil)
			old := nodes[2]
			if how == "left" {
				require.NoError(t, old.Leave(soon(t)))
			} else {
				require.NoError(t, old.Close())
			}
			cfg := config("c", nodes[0].Addr())
			if how == "same port" {
				cfg.Bind = old.Addr()
			}
			again := start(t, cfg)
			assert.Greater(t, again.Self().Incarnation, old.Self().Incarnation)
			for _, n := range nodes[:2] {
				await(t, "the later life listed by "+n.Name(), func() bool {
					return awaitMember(t, n, "c", Alive).Incarnation == again.Self().Incarnation
				})
				awaitMember(t, again, n.Name(), Alive)
				_, err := n.Call(soon(t), "c", nil)
				assert.NoError(t, err)
				assert.Len(t, n.Members(), 3)
			}
		})
	}
}

func TestAFormerLifeIsRefused(t *testing.T) {
	nodes := form(t, 2, nil)
	a, b := nodes[0], nodes[1]
	// For one: a dial that means an earlier life of a.
	_, v, err := b.dial(soon(t), a.Self(), identity{name: "a", incarnation: a.Self().Incarnation - 1})
	require.NoError(t, err)
	assert.Equal(t, wrongTarget, v.code)
	// For another: one that comes from an earlier life of b.
	incarnation := b.Self().Incarnation
	b.incarnation.Store(incarnation - 1)
	_, v, err = b.dial(soon(t), a.Self(), identity{})
	require.NoError(t, err)
	assert.Equal(t, superseded, v.code)
	assert.Equal(t, incarnation, v.known)
	b.incarnation.Store(incarnation)
}

func TestAClockThatIsBehindIsNoHindrance(t *testing.T) {
	nodes := form(t, 2, nil)
	a, b := nodes[0], nodes[1]
	require.NoError(t, b.Close())
	awaitMember(t, a, "b", Failed)
	ahead := uint64(time.Now().Add(time.Hour).UnixNano())
	a.mu.Lock()
	a.supersede(a.peers["b"])
	a.learn(identity{"b", ahead, b.Addr()}, nil)
	a.mu.Unlock()
	again := start(t, config("b", a.Addr()))
	assert.Equal(t, ahead+1, again.Self().Incarnation)
	awaitMember(t, a, "b", Alive)
}

func TestTheOneThatWasReplacedEnds(t *testing.T) {
	nodes := form(t, 2, nil)
	a, b := nodes[0], nodes[1]
	// As if b had been silent, and another had come in its place.
	a.mu.Lock()
	p := a.peers["b"]
	who := p.identity
	who.incarnation++
	a.supersede(p)
	a.learn(who, nil)
	a.mu.Unlock()
	<-b.Done()
	assert.ErrorIs(t, b.Err(), ErrSuperseded)
	assert.ErrorIs(t, b.Err(), ErrClosed)
	_, err := b.Call(soon(t), "a", nil)
	assert.ErrorIs(t, err, ErrSuperseded)
}

func TestWhoMayNotJoin(t *testing.T) {
	nodes := form(t, 3, nil)
	seed := nodes[0].Addr()
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"wrong secret":               {func(c *Config) { c.Secret = NewSecret() }, ErrUnauthenticated},
		"a name that is taken":       {func(c *Config) { c.Name = "b" }, ErrNameTaken},
		"the name of the seed":       {func(c *Config) { c.Name = "a" }, ErrNameTaken},
		"a port that is taken":       {func(c *Config) { c.Bind = seed }, ErrAddressTaken},
		"an address of another host": {func(c *Config) { c.Bind = "192.0.2.1:0" }, ErrConfig},
	} {
		cfg := config("x", seed)
		c.change(&cfg)
		_, err := Start(soon(t), cfg)
		assert.ErrorIs(t, err, c.want, name)
	}
	for _, n := range nodes {
		assert.Len(t, n.Members(), 3, "nothing is known of those who were refused")
		for _, m := range n.Members() {
			assert.Equal(t, Alive, m.State)
		}
	}
}

func TestNoSeedAnswers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, config("a", "127.0.0.1:1"))
	assert.ErrorIs(t, err, ErrUnreachable)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "dial tcp 127.0.0.1:1", "the last cause is told")
}

func TestASeedMayComeLater(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := taken.Addr().String()
	require.NoError(t, taken.Close())
	early := make(chan *Node)
	go func() { early <- start(t, config("b", addr)) }()
	cfg := config("a", addr) // it is its own seed, and ignores that
	cfg.Bind = addr
	a := start(t, cfg)
	awaitMember(t, a, "b", Alive)
	awaitMember(t, <-early, "a", Alive)
}

func TestWatch(t *testing.T) {
	nodes := form(t, 2, nil)
	events := make(chan string, 100)
	stop := nodes[0].Watch(func(e Event) { events <- fmt.Sprint(e.Name, " ", e.State, " ", e.Cause != nil) })
	assert.Equal(t, "b alive false", <-events, "those there are come first")
	c := start(t, config("c", nodes[0].Addr()))
	assert.Equal(t, "c alive false", <-events)
	require.NoError(t, c.Close())
	assert.Equal(t, "c failed true", <-events)
	stop()
	stop()
	require.NoError(t, nodes[1].Close())
	awaitMember(t, nodes[0], "b", Failed)
	assert.Empty(t, events)
	require.NoError(t, nodes[0].Close())
	nodes[0].Watch(func(Event) { t.Error("a closed node has no news") })()
}

// faults breaks or damages the connections of a node, as a proxy would.
type faults struct {
	mu    sync.Mutex
	conns map[string][]net.Conn // to members, by address: a seed has no name yet
	cut   map[string]bool       // members to which no dial and no packet gets
	flip  atomic.Bool           // the next write is damaged
}

func newFaults() *faults {
	return &faults{conns: make(map[string][]net.Conn), cut: make(map[string]bool)}
}

// sever cuts the way to a member, or opens it again.
func (f *faults) sever(n *Node, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut[n.Addr()] = cut
	if cut {
		for _, conn := range f.conns[n.Addr()] {
			_ = conn.Close()
		}
		delete(f.conns, n.Addr())
	}
}

func (f *faults) severed(to Member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut[to.Addr]
}

type faulty struct {
	net.Conn
	f *faults
}

func (c faulty) Write(b []byte) (int, error) {
	if len(b) > 30 && c.f.flip.CompareAndSwap(true, false) {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
	}
	return c.Conn.Write(b)
}

func (f *faults) dial(ctx context.Context, to Member) (net.Conn, error) {
	if f.severed(to) {
		return nil, errors.New("cut off")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.Addr)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns[to.Addr] = append(f.conns[to.Addr], conn)
	return faulty{conn, f}, nil
}

func TestAGarbledFrameEndsItsConnectionOnly(t *testing.T) {
	f := newFaults()
	nodes := form(t, 3, func(c *Config) {
		if c.Name == "b" { // the last to be dialled by b is c
			c.Dial = f.dial
		}
	})
	b := nodes[1]
	var other atomic.Int64
	busy, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for busy.Err() == nil {
			if _, err := nodes[0].Call(soon(t), "b", []byte("x")); err != nil {
				t.Errorf("a call on another connection: %v", err)
				return
			}
			other.Add(1)
		}
	})
	for range 20 {
		f.flip.Store(true)
		_, err := b.Call(soon(t), "c", make([]byte, 100))
		if err != nil { // it may have struck a beat
			assert.ErrorIs(t, err, ErrUnreachable)
		}
		awaitMember(t, b, "c", Alive)
		await(t, "the next call", func() bool { _, err := b.Call(soon(t), "c", nil); return err == nil })
	}
	cancel()
	all.Wait()
	assert.NotZero(t, other.Load())
	for _, n := range nodes {
		for _, m := range n.Members() {
			assert.Equal(t, Alive, m.State, "%s sees %s", n.Name(), m.Name)
		}
	}
}

func TestAPartitionAndItsEnd(t *testing.T) {
	var fs []*faults
	nodes := form(t, 3, func(c *Config) {
		f := newFaults()
		fs = append(fs, f)
		c.Dial = f.dial
		c.Datagram = func(to Member) bool { return !f.severed(to) }
	})
	c := nodes[2]
	sever := func(cut bool) {
		fs[0].sever(c, cut)
		fs[1].sever(c, cut)
		fs[2].sever(nodes[0], cut)
		fs[2].sever(nodes[1], cut)
	}
	sever(true)
	awaitMember(t, nodes[0], "c", Failed)
	awaitMember(t, nodes[1], "c", Failed)
	awaitMember(t, c, "a", Failed)
	awaitMember(t, c, "b", Failed)
	_, err := nodes[0].Call(soon(t), "b", nil)
	assert.NoError(t, err)
	sever(false)
	for _, n := range nodes {
		for _, o := range nodes {
			if n != o {
				awaitMember(t, n, o.Name(), Alive)
			}
		}
	}
	assert.NoError(t, c.Err())
}

// A node behind a partition takes for dead who leaves meanwhile, and learns better.
func TestALeaveBehindAPartition(t *testing.T) {
	var fs []*faults
	nodes := form(t, 4, func(c *Config) {
		f := newFaults()
		fs = append(fs, f)
		c.Dial = f.dial
		c.Datagram = func(to Member) bool { return !f.severed(to) }
	})
	a, c, d := nodes[0], nodes[2], nodes[3]
	sever := func(cut bool) {
		for i, n := range nodes[:3] {
			fs[i].sever(d, cut)
			fs[3].sever(n, cut)
		}
	}
	sever(true)
	awaitMember(t, c, "d", Failed)
	awaitMember(t, d, "a", Failed)
	awaitMember(t, d, "c", Failed)
	require.NoError(t, a.Leave(soon(t)))
	awaitMember(t, c, "a", Left)
	awaitMember(t, d, "a", Failed)
	sever(false)
	awaitMember(t, d, "a", Left)
	awaitMember(t, d, "c", Alive)
	awaitMember(t, c, "a", Left)
}

func TestTwoLeaveAtOnce(t *testing.T) {
	nodes := form(t, 4, nil)
	errs := make(chan error, 2)
	for _, n := range nodes[:2] {
		go func() { errs <- n.Leave(soon(t)) }()
	}
	assert.NoError(t, <-errs)
	assert.NoError(t, <-errs)
	for _, n := range nodes[2:] {
		awaitMember(t, n, "a", Left)
		awaitMember(t, n, "b", Left)
	}
}

// Who knows already that a node leaves has no place for it any more, and it may wait for
// others still.
func TestALeaverIsNotThrownOut(t *testing.T) {
	n := form(t, 2, nil)[0]
	n.mu.Lock()
	n.leaving = true
	n.mu.Unlock()
	n.ousted(ErrSuperseded)
	assert.NoError(t, n.Err())
	require.NoError(t, n.Close())
	assert.NotPanics(t, n.spreadLeave)
}

// One that cannot be reached by who leaves hears it from the others.
func TestALeaveThatOthersTell(t *testing.T) {
	var fs []*faults
	nodes := form(t, 3, func(c *Config) {
		f := newFaults()
		fs = append(fs, f)
		c.Dial = f.dial
		c.Datagram = func(to Member) bool { return !f.severed(to) }
	})
	fs[0].sever(nodes[2], true)
	fs[2].sever(nodes[0], true)
	require.NoError(t, nodes[0].Leave(soon(t)))
	awaitMember(t, nodes[1], "a", Left)
	awaitMember(t, nodes[2], "a", Left)
}

func TestStrangersDoNotDisturb(t *testing.T) {
	nodes := form(t, 2, nil)
	addr := nodes[1].Addr()
	var strangers []net.Conn
	defer func() {
		for _, c := range strangers {
			_ = c.Close()
		}
	}()
	// Some say nothing, some say little, some talk nonsense.
	for i := range 2 * mostStrangers {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		strangers = append(strangers, conn)
		switch i % 4 {
		case 1:
			_, _ = conn.Write([]byte(preambleCalls[:2]))
		case 2:
			_, _ = conn.Write([]byte(preambleCalls + strings.Repeat("\xff", 200)))
		case 3:
			_, _ = conn.Write([]byte(preambleGossip + "\x0a\xff\xff\xff\xff"))
		}
	}
	packets, err := net.Dial("udp", addr)
	require.NoError(t, err)
	defer packets.Close()
	for range 100 {
		_, _ = packets.Write(bytes.Repeat([]byte{0xff}, 1000))
	}
	_, err = nodes[0].Call(soon(t), "b", nil)
	assert.NoError(t, err)
	c := start(t, config("c", addr))
	awaitMember(t, c, "a", Alive)
	nodes[1].strangers.mu.Lock()
	assert.LessOrEqual(t, len(nodes[1].strangers.guests), mostStrangers)
	nodes[1].strangers.mu.Unlock()
}

func TestOneThatIsSilentIsPutOut(t *testing.T) {
	n := start(t, config("a"))
	conn, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 1))
	assert.Error(t, err)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// A seed may be dialled while it is becoming a peer. The dialler then keeps one
// of two connections, and must lose nothing by the other, whichever is first.
func TestADialThatIsNotKeptDisturbsNothing(t *testing.T) {
	nodes := form(t, 2, nil)
	a, b := nodes[0], nodes[1]
	b.mu.Lock()
	kept := b.peers["a"].out
	b.mu.Unlock()
	l, v, err := b.dial(soon(t), Member{Addr: a.Addr()}, identity{})
	require.NoError(t, err)
	require.Equal(t, welcome, v.code)
	select {
	case <-kept.closed:
		t.Fatal("the connection in use was closed for one that nothing has come over")
	case <-time.After(4 * beatInterval):
	}
	require.NoError(t, l.conn.Close())
	_, err = b.Call(soon(t), "a", []byte("x"))
	assert.NoError(t, err)
}
