package cluster

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// 64 strangers announce 20 MB of gossip each, or the largest proof, and begin to
// send them.
func TestStrangersCostLittle(t *testing.T) {
	const strangers = 64
	n := start(t, config("a"))
	hello := func(preamble string) []byte {
		h, err := newHello(newKeys(t), preamble)
		require.NoError(t, err)
		return append(append([]byte(preamble), h.public...), make([]byte, macSize-1)...)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	for i := range strangers {
		conn, err := net.Dial("tcp", n.Addr())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write(hello([]string{preambleCalls, preambleGossip}[i%2])) // but for the last byte
		require.NoError(t, err)
	}
	await(t, "all strangers are waited for", func() bool {
		n.strangers.mu.Lock()
		defer n.strangers.mu.Unlock()
		return len(n.strangers.guests) == strangers
	})
	runtime.ReadMemStats(&after)
	assert.LessOrEqual(t, runtime.NumGoroutine()-goroutines, strangers, "goroutines")
	assert.LessOrEqual(t, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc), uint64(8<<20), "bytes")
	await(t, "all strangers are put out", func() bool {
		n.strangers.mu.Lock()
		defer n.strangers.mu.Unlock()
		return len(n.strangers.guests) == 0
	})
}

// Strangers hold all places, and come again as soon as they have lost one: a
// member joins, and calls.
func TestAMemberJoinsThroughAFlood(t *testing.T) {
	a := start(t, config("a"))
	end := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(end)
	for range 8 {
		all.Go(func() {
			var held []net.Conn
			defer func() {
				for _, c := range held {
					_ = c.Close()
				}
			}()
			pause := time.NewTicker(8 * time.Millisecond) // 1,000 a second
			defer pause.Stop()
			for {
				select {
				case <-end:
					return
				case <-pause.C:
				}
				conn, err := net.Dial("tcp", a.Addr())
				if err != nil {
					continue
				}
				if held = append(held, conn); len(held) > mostStrangers/8 {
					_ = held[0].Close()
					held = held[1:]
				}
			}
		})
	}
	await(t, "most places are taken", func() bool {
		a.strangers.mu.Lock()
		defer a.strangers.mu.Unlock()
		return len(a.strangers.guests) >= mostStrangers/2
	})
	b := start(t, config("b", a.Addr()))
	awaitMember(t, a, "b", Alive)
	awaitMember(t, b, "a", Alive)
	_, err := a.Call(soon(t), "b", nil)
	assert.NoError(t, err)
	_, err = b.Call(soon(t), "a", nil)
	assert.NoError(t, err)
}

// Who has overheard a hello may repeat it: that takes no place of a member's, and
// none among the strangers.
func TestARepeatedHelloIsWaitedForInItsOwnLine(t *testing.T) {
	n := start(t, config("a"))
	h, err := newHello(n.ring[0], preambleCalls)
	require.NoError(t, err)
	said := append(append([]byte(h.preamble), h.public...), h.transcript().mac(h.keys.hello)...)
	for range 2 * mostGreeted {
		conn, err := net.Dial("tcp", n.Addr())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Write(said)
		require.NoError(t, err)
	}
	await(t, "their places are taken", func() bool {
		n.greeted.mu.Lock()
		defer n.greeted.mu.Unlock()
		assert.LessOrEqual(t, len(n.greeted.guests), mostGreeted)
		return len(n.greeted.guests) > mostGreeted/2
	})
	awaitMember(t, start(t, config("b", n.Addr())), "a", Alive)
}

// While a node waits for its seeds nobody takes streams of gossip.
func TestAStreamThatNobodyTakesEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := observer(t)
		conn, other := net.Pipe()
		defer other.Close()
		keys, _ := pair(t)
		began := time.Now()
		newGossip(n, nil).serve(newStream(conn, keys))
		assert.LessOrEqual(t, time.Since(began), handshakeTimeout)
		_, err := other.Read(make([]byte, 1))
		assert.Error(t, err, "it is closed")
	})
}

func TestASeedOfAnotherClusterIsPassedOver(t *testing.T) {
	other := config("x")
	other.Secret = NewSecret()
	x, a := start(t, other), start(t, config("a"))
	b := start(t, config("b", x.Addr(), a.Addr()))
	awaitMember(t, a, "b", Alive)
	_, err := Start(soon(t), config("c", x.Addr()))
	assert.ErrorIs(t, err, ErrUnauthenticated, "where there is no other seed, that is an error")
	assert.Len(t, b.Members(), 2)
}

// A cluster is given another secret, by restarts of one node at a time.
func TestASecretIsReplaced(t *testing.T) {
	old, fresh := NewSecret(), NewSecret()
	nodes := make(map[string]*Node)
	names := []string{"a", "b", "c"}
	restart := func(name string, secret []byte, accepted ...[]byte) {
		if n := nodes[name]; n != nil {
			require.NoError(t, n.Leave(soon(t)))
			delete(nodes, name)
		}
		cfg := config(name)
		for _, n := range nodes {
			cfg.Seeds = append(cfg.Seeds, n.Addr())
		}
		cfg.Secret, cfg.AcceptedSecrets = secret, accepted
		nodes[name] = start(t, cfg)
		for _, n := range nodes {
			for _, o := range nodes {
				if n != o {
					awaitMember(t, n, o.Name(), Alive)
					_, err := n.Call(soon(t), o.Name(), nil)
					require.NoError(t, err, "%s calls %s", n.Name(), o.Name())
				}
			}
		}
	}
	for _, step := range []struct {
		secret   []byte
		accepted [][]byte
	}{{old, nil}, {old, [][]byte{fresh}}, {fresh, [][]byte{old}}, {fresh, nil}} {
		for _, name := range names {
			restart(name, step.secret, step.accepted...)
		}
	}
	cfg := config("d", nodes["a"].Addr())
	cfg.Secret = old
	_, err := Start(soon(t), cfg)
	assert.ErrorIs(t, err, ErrUnauthenticated, "the old secret is of no use any more")
}
