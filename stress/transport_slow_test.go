package stress_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tensile/stress/internal/plain"
	"tensile/stress/node"
)

// TestPlantedSlowTransports: nodes with no other fault than that calls take their time.
func TestPlantedSlowTransports(t *testing.T) {
	unhurried(t)
	for _, c := range []struct{ fault, criterion string }{
		{"12 times", "throughput"},
		{"3 times", "throughput"},
		{"stalls", "p99"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			mustBeFoundSlow(t, "TestFaultyTransport$/^(throughput|steady)$", slowPlant+c.fault, c.criterion)
		})
	}
}

// slowNode makes calls as the control does, but several for each, one after the other. A
// call that stalls holds up no other, so it takes more than one in a hundred to show in
// the p99. Its connections end with its process.
type slowNode struct {
	node.Node
	name string

	mu    sync.Mutex
	peers map[string]*plain.Client
}

// Requests of calls that the kit has not made.
var (
	extraCall = bytes.Repeat([]byte("extra"), 12)
	whereCall = []byte("where do you listen?")
)

func startSlowNode(tb testing.TB, cfg node.Config) (node.Node, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	handle := cfg.Handle
	cfg.Handle = func(from string, request []byte, reply func([]byte)) {
		if bytes.Equal(request, whereCall) {
			reply([]byte(l.Addr().String()))
			return
		}
		handle(from, request, reply)
	}
	n := &slowNode{name: cfg.Name, peers: make(map[string]*plain.Client)}
	if n.Node, err = startNode(tb, cfg); err != nil {
		return nil, err
	}
	var handled atomic.Int64
	go plain.Serve(l, func(r plain.Request) (reply []byte) {
		if bytes.Equal(r.Body, extraCall) {
			return r.Body
		}
		if planted == slowPlant+"stalls" && handled.Add(1)%(stallEvery/2) == 0 {
			time.Sleep(stallTime)
		}
		handle(r.From, r.Body, func(b []byte) { reply = bytes.Clone(b) })
		return reply
	})
	return n, nil
}

// peer is the connection to another node, or nil if it cannot be reached.
func (n *slowNode) peer(to string) *plain.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.peers[to] == nil {
		addr := make(chan string, 1)
		n.Node.Call(to, whereCall, func(reply []byte, _ error) { addr <- string(reply) })
		n.peers[to], _ = plain.Dial(context.Background(), n.name, <-addr, 1<<18)
	}
	return n.peers[to]
}

func (n *slowNode) Call(to string, request []byte, done func([]byte, error)) {
	c := n.peer(to)
	if c == nil {
		done(nil, n.Errors().Unreachable)
		return
	}
	after(slowFactor()-1, c, bytes.Clone(request), done)
}

// after makes a call after so many others.
func after(left int, c *plain.Client, request []byte, done func([]byte, error)) {
	if left == 0 {
		c.Go(request, done)
		return
	}
	c.Go(extraCall, func([]byte, error) { after(left-1, c, request, done) })
}
