package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// impostor is a member as far as the handshake goes, and then says what a test
// wants it to say. It takes one dial at a time.
type impostor struct {
	net.Conn // that it has dialled
	seal     *direction
}

func (i impostor) say(m message) error {
	_, err := i.Write(framed(i.seal, m))
	return err
}

// impersonate has one join n that has the secret.
func impersonate(t *testing.T, n *Node, name string) impostor {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	self := identity{name, uint64(time.Now().UnixNano()), l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = acceptOnce(conn, n.ring, self) // n takes it for a member all the same, or not
		}
	}()
	conn, err := net.Dial("tcp", n.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	h, err := newHello(n.ring[0], preambleCalls)
	require.NoError(t, err)
	require.NoError(t, h.say(conn))
	keys, v, err := greet(conn, h, nil, proof{self: self, target: n.identity()})
	require.NoError(t, err)
	require.Equal(t, welcome, v.code)
	i := impostor{conn, keys.out}
	require.NoError(t, i.say(message{kind: kindBeat}))
	return i
}

// acceptOnce welcomes a dialler, and closes the connection at once.
func acceptOnce(conn net.Conn, ring keyring, self identity) error {
	defer conn.Close()
	h, err := hear(conn, ring)
	if err != nil {
		return err
	}
	_, _, _, err = receive(conn, h, nil, func(proof) verdict { return verdict{code: welcome, self: self} })
	return err
}

// A member may be compromised, or its memory damaged.
func TestNoiseOfAMemberHarmsNobodyElse(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	nodes := form(t, 2, nil)
	for round := range 20 {
		i := impersonate(t, nodes[0], fmt.Sprint("x", round))
		for range 20 {
			payload := make([]byte, random.IntN(300))
			for k := range payload {
				payload[k] = byte(random.Uint32())
			}
			if random.IntN(3) == 0 {
				payload = appendIdentity(nil, identity{"ghost", random.Uint64(), "127.0.0.1:1"})
			}
			if i.say(message{kind(1 + random.IntN(int(kindEnd))), random.Uint64(), payload}) != nil {
				break // it was put out
			}
		}
		_, err := nodes[1].Call(soon(t), "a", []byte("still there?"))
		require.NoError(t, err, "seed %d, round %d", seed, round)
	}
	assert.NoError(t, nodes[0].Err(), "seed %d", seed)
}

// Who breaks each connection as soon as it is open must not keep a node busy with
// handshakes.
func TestOneThatBreaksAllConnectionsIsDialledSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := observer(t)
		var err error
		n.ring, err = newKeyring(secret, nil)
		require.NoError(t, err)
		other := identity{"b", 1, "127.0.0.1:1"}
		var dials atomic.Int64
		n.cfg.Dial = func(context.Context, Member) (net.Conn, error) {
			near, far := net.Pipe()
			dials.Add(1)
			go func() { _ = acceptOnce(far, n.ring, other) }()
			return near, nil
		}
		n.mu.Lock()
		n.learn(other, nil)
		n.mu.Unlock()
		const while = 10 * time.Second // two dials a second, and some at first
		time.Sleep(while)
		assert.GreaterOrEqual(t, dials.Load(), int64(10), "it may get better")
		assert.LessOrEqual(t, dials.Load(), int64(40))
		n.cancel()
		n.mu.Lock()
		n.supersede(n.peers["b"])
		n.mu.Unlock()
		n.wg.Wait()
	})
}

// repeater is a path on which one sends a second time what goes over it.
type repeater struct {
	net.Conn
	armed *atomic.Bool
}

func (c repeater) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil && c.armed.Load() {
		_, _ = c.Conn.Write(b) // the other side may have ended the connection
	}
	return n, err
}

func TestWhatIsRepeatedOnThePathIsNotBelieved(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var armed atomic.Bool
		var mu sync.Mutex
		var got []string
		nodes := form(t, 2, func(c *Config) {
			c.TLS = secure
			c.Handler = func(r Request) {
				mu.Lock()
				got = append(got, string(r.Body))
				mu.Unlock()
				echo(r)
			}
			if c.Name == "b" {
				c.Dial = func(ctx context.Context, to Member) (net.Conn, error) {
					conn, err := new(net.Dialer).DialContext(ctx, "tcp", to.Addr)
					return repeater{conn, &armed}, err
				}
			}
		})
		armed.Store(true)
		broke := 0
		for i := range 200 {
			if _, err := nodes[1].Call(soon(t), "a", []byte(fmt.Sprint("pay ", i))); err != nil {
				assert.ErrorIs(t, err, ErrUnreachable)
				broke++
			}
		}
		assert.NotZero(t, broke, "a connection on which something was added must end")
		mu.Lock()
		slices.Sort(got)
		assert.Len(t, slices.Compact(got), len(got), "TLS %v: a message was believed twice", secure)
		mu.Unlock()
		armed.Store(false)
		await(t, "a call once nothing is added any more", func() bool {
			_, err := nodes[1].Call(soon(t), "a", []byte("the end"))
			return err == nil
		})
		require.NoError(t, errors.Join(nodes[0].Close(), nodes[1].Close()))
	}
}

func TestCloseUnderLoad(t *testing.T) {
	for _, leave := range []bool{false, true} {
		for _, secure := range []bool{false, true} {
			nodes := form(t, 3, func(c *Config) { c.TLS = secure })
			var all sync.WaitGroup
			var calls atomic.Int64
			for i := range 30 {
				all.Go(func() {
					for {
						_, err := nodes[i%3].Call(context.Background(), nodes[(i+1)%3].Name(), make([]byte, 10_000))
						calls.Add(1)
						if errors.Is(err, ErrClosed) {
							return
						}
					}
				})
			}
			await(t, "calls under way", func() bool { return calls.Load() > 100 })
			for _, n := range nodes {
				if leave {
					_ = n.Leave(soon(t)) // the others may go meanwhile
				}
				require.NoError(t, n.Close())
			}
			ended := make(chan struct{})
			go func() { all.Wait(); close(ended) }()
			soonEnds(t, ended, "calls hang after Close")
		}
	}
}
