package cluster

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stuck returns a node, whose time passes, and a link of it to a member that
// takes nothing.
func stuck(t *testing.T, ours bool, change func(*Config)) *link {
	n := observer(t)
	n.cfg.MaxMessage, n.cfg.Window = 1<<10, 2<<10
	if change != nil {
		change(&n.cfg)
	}
	conn, other := net.Pipe()
	keys, _ := pair(t)
	l := newLink(n, conn, keys, "b", ours)
	n.mu.Lock()
	l.run()
	n.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	n.wg.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(tick)
			n.look(tick, false)
		}
	})
	t.Cleanup(func() {
		cancel()
		l.close(ErrClosed)
		_ = other.Close()
		n.wg.Wait()
	})
	return l
}

// soonEnds waits for a channel to be closed.
func soonEnds(t *testing.T, ended <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal(otherwise)
	}
}

// call is what Node.Call does once it has found the link.
func (l *link) call(ctx context.Context, payload []byte) error {
	ended := make(chan error, 1)
	_, err := l.startOrWait(ctx, kindRequest, payload, func(_ []byte, err error) { ended <- err })
	if err != nil {
		return err
	}
	return <-ended
}

func TestNothingOutlastsCallTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := stuck(t, true, nil), stuck(t, false, nil)
		timeout := ours.node.cfg.CallTimeout
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			for name, f := range map[string]func() error{
				"call":  func() error { return ours.call(t.Context(), make([]byte, 1000)) },
				"send":  func() error { _, err := ours.startOrWait(t.Context(), kindOneWay, make([]byte, 1000), nil); return err },
				"reply": func() error { return theirs.reply(kindReply, 1, make([]byte, 1000)) },
			} {
				all.Go(func() {
					err := f()
					if err != nil && !errors.Is(err, ErrOverloaded) && !errors.Is(err, ErrTimeout) {
						t.Errorf("%s: %v", name, err)
					}
					if took := time.Since(began); err != nil && (took < timeout || took > timeout+2*tick) {
						t.Errorf("a %s ended after %v, must be within CallTimeout %v", name, took, timeout)
					}
				})
			}
		}
		ended := make(chan struct{})
		go func() { all.Wait(); close(ended) }()
		soonEnds(t, ended, "calls, sends and replies outlast CallTimeout")
	})
}

func TestALinkThatFailsEndsAllThatWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := stuck(t, true, nil), stuck(t, false, nil)
		const each = 1000
		ended := make(chan error, 3*each)
		for range each {
			go func() { ended <- ours.call(t.Context(), make([]byte, 1000)) }()
			go func() {
				_, err := ours.startOrWait(t.Context(), kindOneWay, make([]byte, 1000), nil)
				ended <- err
			}()
			go func() { ended <- theirs.reply(kindReply, 1, make([]byte, 1000)) }()
		}
		synctest.Wait()
		under := len(ended) // messages for which there was room, and which count as sent
		require.LessOrEqual(t, under, 10)
		ours.close(ErrUnreachable)
		theirs.close(ErrUnreachable)
		synctest.Wait()
		require.Len(t, ended, 3*each, "ended once the links had failed")
		for i := range 3 * each {
			if err := <-ended; i >= under {
				require.ErrorIs(t, err, ErrUnreachable)
			}
		}
	})
}

// What waits when a link fails must not be moved among the calls of that link:
// nobody would ever end those.
func TestNothingIsAdmittedToALinkThatHasFailed(t *testing.T) {
	keys, _ := pair(t)
	l := newLink(observer(t), nopConn{}, keys, "b", true)
	l.node.cfg.Window = 100
	id, err := l.start(kindRequest, make([]byte, 100), func([]byte, error) {})
	require.NoError(t, err)
	w := &waiter{kind: kindRequest, done: func([]byte, error) {}, due: math.MaxInt64, settled: make(chan struct{})}
	l.waiting.PushBack(w)
	l.close(errors.New("on purpose"))
	l.cancel(id) // there is room now
	l.expire(math.MaxInt64)
	require.NoError(t, l.answers(nil, new(completions)))
	soonEnds(t, w.settled, "one that waited for room is told nothing")
	assert.ErrorIs(t, w.err, ErrUnreachable)
	assert.Empty(t, l.pending.all(), "calls on a link that nobody serves")
	_, err = l.startOrWait(t.Context(), kindRequest, nil, func([]byte, error) {})
	assert.ErrorIs(t, err, ErrUnreachable)
}

// nopConn is a connection on which nothing happens.
type nopConn struct{ net.Conn }

func (nopConn) Close() error { return nil }

func TestTheLongestCallTimeoutIsNotOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := stuck(t, true, func(c *Config) { c.CallTimeout = math.MaxInt64 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ended := make(chan error, 1)
		_, err := l.start(kindRequest, nil, func(_ []byte, err error) { ended <- err })
		require.NoError(t, err)
		<-ctx.Done()
		select {
		case err := <-ended:
			t.Errorf("a call whose CallTimeout is 292 years ended within the hour: %v", err)
		default:
		}
	})
}

// A member may stop, as by SIGSTOP, between its leave and the end of its
// connection.
func TestALeaverThatStaysIsPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := stuck(t, false, nil)
		n := l.node
		n.mu.Lock()
		n.peers["b"] = &peer{identity: identity{"b", 1, "127.0.0.1:1"}, in: l, cancel: func() {}}
		n.mu.Unlock()
		n.left(l)
		n.mu.Lock()
		assert.Contains(t, n.links, l, "Close would not close it")
		n.mu.Unlock()
		began := time.Now()
		soonEnds(t, l.closed, "the connection of a member that has left stays open")
		assert.LessOrEqual(t, time.Since(began), farewell+2*tick)
		synctest.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		assert.Empty(t, n.links)
	})
}

// Each function that a node calls may close the node.
func TestCloseFromWithin(t *testing.T) {
	for name, f := range map[string]func(a, b *Node, within func(*Node)){
		"Watch": func(a, _ *Node, within func(*Node)) { a.Watch(func(Event) { within(a) }) },
		"Go": func(a, b *Node, within func(*Node)) {
			a.Go(b.Name(), nil, func([]byte, error) { within(a) })
		},
		"Handler": func(a, b *Node, _ func(*Node)) { b.Go(a.Name(), []byte("close"), func([]byte, error) {}) },
	} {
		t.Run(name, func(t *testing.T) {
			returned := make(chan struct{})
			var once sync.Once
			within := func(n *Node) { _ = n.Close(); once.Do(func() { close(returned) }) }
			var self *Node
			ready := make(chan struct{})
			nodes := form(t, 2, func(c *Config) {
				if c.Name == "a" {
					c.Handler = func(Request) { <-ready; within(self) }
				}
			})
			self = nodes[0]
			close(ready)
			f(nodes[0], nodes[1], within)
			select {
			case <-returned:
			case <-time.After(patience):
				panic("Close waits for the function that called it") // and would in the cleanup
			}
			<-nodes[0].Done()
			assert.ErrorIs(t, nodes[0].Err(), ErrClosed)
		})
	}
}
